"""Pods that want a node: the ready ones by priority, the others parked until something changes (N226, N227)."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from itertools import count

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 10.0
FORCED_RETRY_S = 300.0


@dataclass(slots=True)
class _Waiting:
    """One pod, ready or parked."""

    priority: int
    order: int
    """When it was first seen: the older goes first among equals."""
    attempts: int = 0
    not_before_s: float = 0.0
    """Loop time at which its back-off is over."""
    is_ready: bool = False
    timer: asyncio.TimerHandle | None = None
    until_s: float = 0.0


class SchedulingQueue:
    """Keys of pods. A key that was handed out is the caller's until it is parked, added again or forgotten."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._orders = count()
        self._arrived = asyncio.Event()
        self._is_closed = False

    def __len__(self) -> int:
        """How many pods have no node yet."""
        return len(self._waiting)

    def add(self, key: str, priority: int = 0) -> None:
        """Makes the pod ready at once."""
        if self._is_closed:
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(priority, next(self._orders))
        waiting.priority = priority
        self._make_ready(key, waiting)

    async def get(self) -> str:
        """The pod with the highest priority, the oldest of those."""
        while True:
            while self._ready:
                _, order, key = heapq.heappop(self._ready)
                waiting = self._waiting.get(key)
                if waiting is not None and waiting.is_ready and waiting.order == order:
                    waiting.is_ready = False
                    return key
            self._arrived.clear()
            await self._arrived.wait()

    def park(self, key: str) -> None:
        """The attempt failed: wait for a change and for the back-off, which doubles from 1 s to 10 s."""
        waiting = self._waiting.get(key)
        if waiting is None or self._is_closed:
            return
        loop = asyncio.get_running_loop()
        backoff_s = min(FIRST_BACKOFF_S * 2.0 ** min(waiting.attempts, 10), LONGEST_BACKOFF_S)
        waiting.attempts += 1
        waiting.not_before_s = loop.time() + backoff_s
        self._set_timer(key, waiting, FORCED_RETRY_S)

    def wait(self, key: str, limit_s: float) -> None:
        """The pod waits for its volumes: for `wake`, at most so long."""
        waiting = self._waiting.get(key)
        if waiting is not None and not self._is_closed:
            self._set_timer(key, waiting, limit_s)

    def retry(self, key: str) -> None:
        """The attempt could not be completed: again after the back-off."""
        self.park(key)
        waiting = self._waiting.get(key)
        if waiting is not None:
            self._set_timer(key, waiting, waiting.not_before_s - asyncio.get_running_loop().time())

    def wake(self, key: str) -> None:
        """Something the pod waits for by name is there: no back-off."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            self._make_ready(key, waiting)

    def wake_all(self) -> None:
        """Something changed that may help anyone: each as soon as its back-off is over."""
        now_s = asyncio.get_running_loop().time()
        for key, waiting in self._waiting.items():
            if waiting.is_ready or waiting.timer is None:
                continue
            if waiting.not_before_s <= now_s:
                self._make_ready(key, waiting)
            elif waiting.until_s > waiting.not_before_s:
                self._set_timer(key, waiting, waiting.not_before_s - now_s)

    def forget(self, key: str) -> None:
        """The pod has a node, or is gone."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None and waiting.timer is not None:
            waiting.timer.cancel()

    def close(self) -> None:
        self._is_closed = True
        for key in list(self._waiting):
            self.forget(key)

    def _make_ready(self, key: str, waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None
        if waiting.is_ready:
            return
        waiting.is_ready = True
        heapq.heappush(self._ready, (-waiting.priority, waiting.order, key))
        self._arrived.set()

    def _set_timer(self, key: str, waiting: _Waiting, seconds: float) -> None:
        """Does nothing for a pod that became ready again while it was worked on."""
        if waiting.is_ready:
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        loop = asyncio.get_running_loop()
        waiting.until_s = loop.time() + seconds
        waiting.timer = loop.call_later(seconds, self._make_ready, key, waiting)
