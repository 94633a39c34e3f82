"""Keys that want work: each at most once, never the same one twice at once, failures with back-off."""

from __future__ import annotations

import asyncio

from holdfast.world import World

FIRST_RETRY_S = 0.005
LONGEST_RETRY_S = 1000.0
RETRIES_PER_S = 10.0
RETRY_BURST = 100.0
GETS_PER_TURN = 16
"""So many keys are handed out before everyone else on the event loop has a turn."""


class WorkQueue:
    """Keys in the order they came. One that is added while it is worked on comes again after `done`.

    Back-off is that of S157: 5 ms doubling to 1000 s for each key, and overall 10 retries per second with
    bursts of 100.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._ready: dict[str, None] = {}
        self._at_work: set[str] = set()
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._tokens = RETRY_BURST
        self._tokens_at_s = world.clock.monotonic_s()
        self._getters: set[asyncio.Future[None]] = set()
        self._gets = 0
        self._is_closed = False

    def __len__(self) -> int:
        """How many keys wait to be worked on now."""
        return len(self._ready) + len(self._again)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, nothing is worked on and no timer runs."""
        return not (self._ready or self._at_work or self._timers)

    def add(self, key: str) -> None:
        if self._is_closed:
            return
        if key in self._at_work:
            self._again.add(key)
        else:
            self._ready[key] = None
            self._wake_one()

    def add_after(self, key: str, seconds: float) -> None:
        """Adds the key after a time; of several such calls the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: str) -> None:
        """Adds a key whose work failed, later each time until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = min(FIRST_RETRY_S * 2.0 ** min(failures, 60), LONGEST_RETRY_S)
        self.add_after(key, max(delay_s, self._take_token()))

    def forget(self, key: str) -> None:
        """The key's work succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key, to be handed back with `done`."""
        self._gets += 1
        if self._gets % GETS_PER_TURN == 0:
            await asyncio.sleep(0)
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._getters.add(waiter)
            try:
                await waiter
            finally:
                self._getters.discard(waiter)
        key = next(iter(self._ready))
        del self._ready[key]
        self._at_work.add(key)
        return key

    def done(self, key: str) -> None:
        self._at_work.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Forgets everything; what is added from now on is dropped."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        self._again.clear()

    def _due(self, key: str) -> None:
        del self._timers[key]
        self.add(key)

    def _wake_one(self) -> None:
        for waiter in self._getters:
            if not waiter.done():
                waiter.set_result(None)
                return

    def _take_token(self) -> float:
        """Seconds until the overall rate allows one more retry; takes that place."""
        now_s = self._world.clock.monotonic_s()
        self._tokens = min(RETRY_BURST, self._tokens + (now_s - self._tokens_at_s) * RETRIES_PER_S)
        self._tokens_at_s = now_s
        self._tokens -= 1
        return max(0.0, -self._tokens / RETRIES_PER_S)
