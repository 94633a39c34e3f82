"""A store that forgets everything when its process ends. Commits at once, so that a simulation is deterministic."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.world import Clock

from . import Change, Entry, StoreFailed
from .base import BaseStore
from .state import Window


class MemoryStore(BaseStore):
    """A `Store` without a disk."""

    def __init__(self, clock: Clock, window: Window | None = None) -> None:
        super().__init__(clock, window or Window())

    async def _commit(self, change: Change, entry: Entry | None) -> None:
        self._committed(((change, entry),))

    def _forgotten(self, changes: Iterable[Change]) -> None:
        """Nothing holds them any longer."""

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
