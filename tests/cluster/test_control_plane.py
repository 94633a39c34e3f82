"""How the control plane says it is."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.apiserver.components import CONTROLLERS, SCHEDULER
from holdfast.apiserver.server import ApiServer, Config
from holdfast.cluster import control_plane
from holdfast.cluster.control_plane import ControlPlane
from holdfast.store.memory import MemoryStore
from holdfast.world import World


class SlowClock:
    """Sleeps until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.is_asleep = asyncio.Event()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.is_asleep.set()
        await self.go_on.wait()


class Breaking:
    """A scheduler that breaks at its first start and works from then on."""

    starts = 0
    works: asyncio.Event

    def __init__(self, *rest: Any) -> None:
        type(self).starts += 1

    async def run(self) -> None:
        if self.starts == 1:
            raise RuntimeError("broken on purpose")
        self.works.set()
        await asyncio.Event().wait()


async def test_a_component_is_ill_while_a_part_of_it_waits_to_be_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "Scheduler", Breaking)
    monkeypatch.setattr(Breaking, "starts", 0)
    monkeypatch.setattr(Breaking, "works", asyncio.Event(), raising=False)
    clock = SlowClock()
    world = World(clock, random.Random(7))
    store = MemoryStore(clock)
    await store.open()
    server = ApiServer(store, world, Config())
    await server.open()
    directories: Any = None
    plane = ControlPlane(server.client, world, directories=directories, volumes_root="", without=("controllers", "dns"))
    assert plane.problem(SCHEDULER) == "it does not run"
    running = asyncio.create_task(plane.run())
    await clock.is_asleep.wait()
    assert plane.problem(SCHEDULER) == "1 of its parts broke and will be started again"
    assert plane.problem(CONTROLLERS) == "it does not run"
    clock.go_on.set()
    await Breaking.works.wait()
    assert plane.problem(SCHEDULER) == ""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert plane.problem(SCHEDULER) == "it does not run"
    await server.close()
    await store.close()
