"""What every backend shares: revisions are assigned, changes told to listeners and watchers."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from holdfast.world import Clock

from . import ABSENT, Change, Encode, Entry, Page, RevisionMismatch
from .state import State, Window

Listener = Callable[[Sequence[Change]], None]


class BaseStore(ABC):
    """`Store` but for durability: a backend says in `_commit` when a change is durable.

    Between its assignment and its commit a change is only in `_assigned`, which holds the latest such
    state of each key.
    """

    def __init__(self, clock: Clock, window: Window) -> None:
        self._clock = clock
        self._state = State(window)
        self._assigned: dict[str, tuple[int, Entry | None]] = {}
        self._last_assigned = 0
        self._listeners: list[Listener] = []
        self._watchers: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def revision(self) -> int:
        return self._state.revision

    @property
    def oldest_revision(self) -> int:
        return self._state.oldest

    async def open(self) -> None:
        self._last_assigned = self._state.revision

    async def close(self) -> None:
        self._closed = True
        self._wake_watchers()

    def get(self, key: str) -> Entry | None:
        return self._state.entries.get(key)

    def latest(self, key: str) -> Entry | None:
        assigned = self._assigned.get(key)
        return assigned[1] if assigned else self._state.entries.get(key)

    def range(self, prefix: str, *, at: int = 0, limit: int = 0, start: str = "") -> Page:
        return self._state.range(prefix, at, limit, start)

    async def write(self, key: str, encode: Encode, *, expected: int | None = None) -> Entry:
        latest = self.latest(key)
        if expected is not None and expected != (latest.revision if latest else ABSENT):
            raise RevisionMismatch(key, latest)
        self._check_usable()
        revision = self._last_assigned + 1
        entry = Entry(key, encode(revision), revision)
        change = Change(key, revision, entry.value, False, latest)
        await self._assign(change, entry)
        return entry

    async def delete(self, key: str, encode: Encode, *, expected: int | None = None) -> Change:
        latest = self.latest(key)
        if latest is None or (expected is not None and expected != latest.revision):
            raise RevisionMismatch(key, latest)
        self._check_usable()
        revision = self._last_assigned + 1
        change = Change(key, revision, encode(revision), True, latest)
        await self._assign(change, None)
        return change

    async def _assign(self, change: Change, entry: Entry | None) -> None:
        self._last_assigned = change.revision
        self._assigned[change.key] = (change.revision, entry)
        await self._commit(change, entry)

    @abstractmethod
    async def _commit(self, change: Change, entry: Entry | None) -> None:
        """Returns once the change is durable and `_committed` was called with it. Takes its turn before suspending."""

    @abstractmethod
    def _check_usable(self) -> None:
        """Raises StoreFailed if nothing more is accepted."""

    def _committed(self, batch: Sequence[tuple[Change, Entry | None]]) -> None:
        """Makes durable changes, in the order of their revisions, visible."""
        assigned = self._assigned
        for change, entry in batch:
            self._state.apply(change, entry)
            if assigned[change.key][0] == change.revision:
                del assigned[change.key]
        changes = [change for change, _ in batch]
        for listener in tuple(self._listeners):
            listener(changes)
        self._wake_watchers()
        self._forgotten(self._state.trim(self._clock.monotonic_s()))

    @abstractmethod
    def _forgotten(self, changes: Iterable[Change]) -> None:
        """Changes that have left the history: what they superseded may go."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Change]:
        """Ends when the store is closed."""
        seen = after
        while True:
            for change in self._state.after(seen):
                seen = change.revision
                if change.key.startswith(prefix):
                    yield change
            if self._state.revision > seen:
                continue
            if self._closed:
                return
            await self._next_commit()

    async def _next_commit(self) -> None:
        # One future per waiter: cancelling a task cancels the future it waits for.
        waiter = asyncio.get_running_loop().create_future()
        self._watchers.add(waiter)
        try:
            await waiter
        finally:
            self._watchers.discard(waiter)

    def _wake_watchers(self) -> None:
        for waiter in self._watchers:
            if not waiter.done():
                waiter.set_result(None)

    async def compact(self, before: int) -> None:
        self._forgotten(self._state.forget(before))
