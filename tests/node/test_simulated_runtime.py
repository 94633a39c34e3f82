"""The simulated driver: containers change state on the clock, as their script tells."""

from __future__ import annotations

import asyncio
import random

import pytest

from holdfast.node.runtime import (
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    ImageMissing,
    RuntimeFailure,
    SandboxSpec,
)
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.world import World


async def started(runtime: SimulatedRuntime, script: str = "", image: str = "app:1") -> ContainerRecord:
    await runtime.pull(image)
    labels = {"simulated.holdfast.dev/app": script}
    await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0", labels=labels))
    record = await runtime.create_container(ContainerSpec(pod_uid="uid-1", name="app", attempt=0, image=image))
    return await runtime.start_container(record.id)


def test_a_container_ends_when_its_script_says(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world)
        ended: list[ContainerRecord] = []
        runtime.on_exit(ended.append)
        record = await started(runtime, '{"start_delay_s": 2, "exit_after_s": 30, "exit_code": 3}')
        assert record.state is ContainerState.RUNNING
        await asyncio.sleep(29)
        assert ended == []
        await asyncio.sleep(2)
        assert [(r.exit_code, r.reason, (r.finished - r.started).total_seconds()) for r in ended] == [(3, "Error", 30)]

    on_jumping_time(scenario())


def test_a_container_that_ignores_the_signal_uses_up_its_grace(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world)
        record = await started(runtime, '{"ignores_signal": true}')
        before = asyncio.get_running_loop().time()
        await runtime.stop_container(record.id, 30)
        assert asyncio.get_running_loop().time() - before == pytest.approx(30)
        assert runtime.containers("uid-1")[0].exit_code == 137

    on_jumping_time(scenario())


def test_a_container_that_obeys_ends_at_once_with_its_own_code(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world, scripts={"app:1": Script(stop_s=1.5, stop_code=143)})
        record = await started(runtime)
        before = asyncio.get_running_loop().time()
        await runtime.stop_container(record.id, 30)
        assert asyncio.get_running_loop().time() - before == pytest.approx(1.5)
        assert runtime.containers()[0].exit_code == 143

    on_jumping_time(scenario())


def test_probes_are_answered_by_age(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world)
        record = await started(
            runtime, '{"ready_after_s": 5, "dead_after_s": 60, "unready_between_s": [10, 20], "exec_output": "no"}'
        )
        answers = []
        for _ in range(5):
            answers.append([runtime.answer_probe(record.id, kind) for kind in ("startup", "readiness", "liveness")])
            await asyncio.sleep(15)
        assert answers == [
            [False, False, True],
            [True, False, True],
            [True, True, True],
            [True, True, True],
            [True, True, False],
        ]
        assert (await runtime.exec_sync(record.id, ["true"], 1)).output == b"no"

    on_jumping_time(scenario())


def test_a_start_failure_leaves_an_ended_run(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world)
        with pytest.raises(RuntimeFailure, match="no such file"):
            await started(runtime, '{"start_failure": "no such file"}')
        record = runtime.containers("uid-1")[0]
        assert (record.state, record.exit_code, record.reason) == (ContainerState.EXITED, 128, "StartError")

    on_jumping_time(scenario())


def test_an_unknown_image_is_refused(world, on_jumping_time):
    runtime = SimulatedRuntime(world, scripts={"nowhere:1": Script(has_image=False)})
    with pytest.raises(ImageMissing):
        on_jumping_time(runtime.pull("nowhere:1"))


def test_a_sandbox_made_again_has_a_new_address_and_a_higher_attempt(world, on_jumping_time):
    async def scenario():
        runtime = SimulatedRuntime(world)
        await started(runtime)
        first = runtime.sandboxes()[0]
        await runtime.remove_sandbox("uid-1")
        assert runtime.containers() == []
        await started(runtime)
        second = runtime.sandboxes()[0]
        assert second.attempt == first.attempt + 1
        assert second.ips != first.ips

    on_jumping_time(scenario())


def test_one_seed_gives_one_history(on_jumping_time, world):
    async def ids() -> list[str]:
        runtime = SimulatedRuntime(World(clock=world.clock, random=random.Random(3)))
        await started(runtime)
        return [record.id for record in runtime.containers()]

    assert on_jumping_time(ids()) == on_jumping_time(ids())
