"""Time that passes only while nothing else is to do: an hour takes milliseconds, and each run is the same."""

from __future__ import annotations

import asyncio
import random
import selectors
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from holdfast.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulation begins."""


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: nothing would ever happen again."""


class Livelock(RuntimeError):
    """Tasks wake each other, or timers fire, without end and without time passing."""


MOST_TURNS = 50_000
"""So many turns of the loop may happen at one moment."""


class _Jump(selectors.DefaultSelector):
    now_s = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        before_s = self.now_s
        self.now_s += max(timeout, 0.0)
        self.turns = self.turns + 1 if self.now_s == before_s else 0
        if self.turns > MOST_TURNS:
            self.turns = 0
            raise Livelock(f"time stands still at {self.now_s} s")
        return []  # nothing comes from outside: no sockets, no threads


class _Numbered:
    """Sets of these are gone through in an order that depends on nothing but what was made before.

    The hash of a future is its address otherwise, which differs from run to run.
    """

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class _Future(_Numbered, asyncio.Future[Any]):
    pass


class _Task(_Numbered, asyncio.Task[Any]):
    pass


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer.

    A task that is given no name is called as the one that started it: so whatever happens tells on whose behalf.
    """

    def __init__(self) -> None:
        self._jump = _Jump()
        self._numbers = count()
        super().__init__(self._jump)

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(next(self._numbers), loop=self)

    def time(self) -> float:
        return self._jump.now_s

    def create_task(self, coro: Any, *, name: Any = None, **options: Any) -> asyncio.Task[Any]:
        if name is None and (parent := asyncio.current_task(self)) is not None:
            name = parent.get_name()
        return _Task(next(self._numbers), coro, loop=self, name=name, **options)


class SimulatedClock:
    """The clock of everything that runs on one simulated loop."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time())

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def simulated_world(loop: SimulatedLoop, seed: int) -> World:
    return World(clock=SimulatedClock(loop), random=random.Random(seed))
