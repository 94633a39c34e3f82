"""Both backends behind one fixture, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.store import Store
from holdfast.store.memory import MemoryStore
from holdfast.store.sqlite import SqliteStore
from holdfast.store.state import Window


class ManualClock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic_s(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


SMALL = Window(seconds=100, least_changes=300)

Open = Callable[..., Awaitable[Any]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    """An empty open store of each backend."""
    backend: Any = MemoryStore(clock, SMALL)
    if request.param == "sqlite":
        backend = SqliteStore(tmp_path / "state.db", clock, window=SMALL)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def open_file(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens SQLite stores, by default all on one file; those still open are closed after the test."""
    stores: list[SqliteStore] = []

    async def run(name: str = "state.db", **options: Any) -> SqliteStore:
        store = SqliteStore(tmp_path / name, clock, **{"window": SMALL, **options})
        await store.open()
        stores.append(store)
        return store

    yield run
    for store in stores:
        await store.close()
