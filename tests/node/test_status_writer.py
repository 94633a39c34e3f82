"""How a status reaches the API: the latest wins, failures are tried again, nobody's work is overwritten."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.errors import ApiError, Conflict, Invalid, NotFound
from holdfast.client import Unreachable
from holdfast.node.pod import Pod
from holdfast.node.status import pod_status
from holdfast.node.status_writer import SOON_S, StatusWriter, Turns

sys.path.insert(0, str(Path(__file__).parent))

from pods import observed, pod, running


class Server:
    """Takes patches, or answers with the errors it was given first."""

    def __init__(self, *errors: ApiError) -> None:
        self.errors = list(errors)
        self.patches: list[tuple[float, Any]] = []

    async def patch(self, resource: Any, name: str, patch: Any, namespace: str, **members: Any) -> Any:
        await asyncio.sleep(0.01)
        if self.errors:
            raise self.errors.pop(0)
        self.patches.append((asyncio.get_running_loop().time(), patch))
        metadata = {"uid": "uid-1", "resourceVersion": str(len(self.patches) * 10)}
        return {"metadata": metadata, "status": patch["status"]}


def writer(server: Server, world: Any, turns: Turns | None = None) -> StatusWriter:
    return StatusWriter(server, world, pod(), asyncio.ensure_future, turns or Turns())  # type: ignore[arg-type]


WAITING = pod_status(pod(), observed(sandbox=None), "crun")
SANDBOX = pod_status(pod(), observed(), "crun", WAITING)
READY = pod_status(pod(), observed(seen={"app": running()}), "crun", SANDBOX)


def test_the_steps_of_a_start_are_written_together_and_readiness_at_once(world, on_jumping_time):
    server = Server()

    async def scenario() -> None:
        one = writer(server, world)
        one.submit(WAITING)
        await asyncio.sleep(SOON_S / 2)
        one.submit(SANDBOX)
        await asyncio.sleep(1)
        assert [round(at, 2) for at, _ in server.patches] == [round(SOON_S + 0.01, 2)]
        one.submit(READY)
        await asyncio.sleep(0.011)
        assert len(server.patches) == 2

    on_jumping_time(scenario())
    assert server.patches[0][1]["metadata"] == {"uid": "uid-1"}


def test_of_many_pods_that_start_together_those_that_are_ready_overtake_those_that_still_wait(world, on_jumping_time):
    server = Server()

    async def scenario() -> None:
        turns = Turns()
        many = [writer(server, world, turns) for _ in range(50)]
        for one in many:
            one.submit(WAITING)
        await asyncio.sleep(SOON_S + 0.05)
        assert 1 <= len(server.patches) <= 5, "one after another"
        for one in many:
            one.submit(READY)
        await asyncio.sleep(0.012)
        assert len(server.patches) >= 50, "nobody who is ready waits"
        await asyncio.sleep(1)
        assert all(one.latest == READY and one._task is None for one in many)

    on_jumping_time(scenario())
    assert len(server.patches) < 60


def test_in_the_end_everyone_in_line_has_a_turn_also_after_one_that_failed_or_went(world, on_jumping_time):
    server = Server(*[Unreachable("nobody there")] * 3)

    async def scenario() -> None:
        turns = Turns()
        many = [writer(server, world, turns) for _ in range(20)]
        for one in many:
            one.submit(WAITING)
        await asyncio.sleep(SOON_S + 0.005)
        many[0].stop()
        many[7].stop()
        await asyncio.sleep(5)
        assert not turns._line

    on_jumping_time(scenario())
    assert len(server.patches) == 18


def test_the_same_status_is_written_once(world, on_jumping_time):
    server = Server()

    async def scenario() -> None:
        one = writer(server, world)
        for _ in range(3):
            one.submit(READY)
            await one.flush()

    on_jumping_time(scenario())
    assert len(server.patches) == 1


@pytest.mark.parametrize("error", [Unreachable("gone"), Conflict("busy")])
def test_what_may_pass_is_tried_again(world, on_jumping_time, error):
    server = Server(error, error)

    async def scenario() -> None:
        one = writer(server, world)
        one.submit(READY)
        await one.flush()

    on_jumping_time(scenario())
    assert len(server.patches) == 1


@pytest.mark.parametrize("error", [NotFound("no such pod"), Invalid("bad status")])
def test_n245_what_cannot_succeed_is_given_up_quietly(world, on_jumping_time, error):
    server = Server(error)

    async def scenario() -> None:
        one = writer(server, world)
        one.submit(READY)
        await one.flush()
        assert server.errors == []

    on_jumping_time(scenario())
    assert server.patches == []


def test_s161_an_older_copy_says_nothing_new_and_a_newer_one_does(world, on_jumping_time):
    server = Server()

    def copy(revision: int, status: Any) -> Pod:
        manifest = pod().manifest
        return Pod(
            {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(revision)}, "status": status}
        )

    async def scenario() -> None:
        one = writer(server, world)
        one.submit(READY)
        await one.flush()
        assert not one.observe(copy(5, WAITING))  # from before the write
        assert not one.observe(copy(10, server.patches[0][1]["status"]))  # its echo
        assert one.observe(copy(11, WAITING))  # somebody else's work
        one.submit(READY)
        await one.flush()

    on_jumping_time(scenario())
    assert len(server.patches) == 2


def test_nothing_is_written_once_the_pod_is_gone(world, on_jumping_time):
    server = Server()

    async def scenario() -> None:
        one = writer(server, world)
        one.submit(WAITING)
        one.stop()
        one.submit(READY)
        await asyncio.sleep(1)

    on_jumping_time(scenario())
    assert server.patches == []


@pytest.mark.parametrize("turns", [0, 1, 3], ids=["before it is begun", "as it begins", "while it is written"])
async def test_nobody_waits_for_a_status_whose_pod_is_gone(world, turns):
    one = writer(Server(*[Unreachable("nobody there")] * 100), world)
    one.submit(READY)
    for _ in range(turns):
        await asyncio.sleep(0)
    flushing = asyncio.ensure_future(one.flush())
    one.stop()
    await asyncio.wait_for(flushing, 1)


def test_that_a_pod_asks_for_nothing_is_said_once(world, on_jumping_time):
    server = Server()

    async def scenario() -> None:
        one = writer(server, world)
        for status in (SANDBOX, READY):
            one.submit(status)
            await one.flush()
        assert [patch["status"].get("resources") for _, patch in server.patches] == [{}, None]

    on_jumping_time(scenario())
