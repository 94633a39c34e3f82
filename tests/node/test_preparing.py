"""What a pod needs before its first container: which of it is made side by side, and what is left if it cannot be."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.node.config import AgentConfig
from holdfast.node.pod import Pod
from holdfast.node.preparing import Preparation
from holdfast.node.runtime.simulated import SimulatedRuntime
from holdfast.node.volumes import MountFailure

WORDS = {"name": "words", "configMap": {"name": "words"}}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}


class Machine:
    """As much of an agent as preparing a pod takes. `done` is what began and ended, in order."""

    def __init__(self, world: Any, *volumes: dict[str, Any]) -> None:
        metadata = {"name": "web-0", "namespace": "default", "uid": "u-1"}
        self.pod = Pod({"metadata": metadata, "spec": {"containers": [], "volumes": list(volumes)}})
        self.done: list[str] = []
        self.events: list[str] = []
        self.runtime = SimulatedRuntime(world)
        self.failure: MountFailure | None = None
        make = self.runtime.create_sandbox

        async def create_sandbox(spec: Any) -> Any:
            return await self._note("sandbox", make(spec))

        self.runtime.create_sandbox = create_sandbox  # type: ignore[method-assign]
        shared: Any = SimpleNamespace(
            runtime=self.runtime,
            world=world,
            config=AgentConfig(node_name="node-1"),
            volumes=SimpleNamespace(mount=lambda pod: self._note("volumes", self._mount())),
            tell=lambda pod, type, reason, message: self.events.append(reason),
        )
        self.preparation = Preparation(shared)

    async def _note(self, what: str, work: Any) -> Any:
        self.done.append(f"{what} begins")
        await asyncio.sleep(1)
        try:
            return await work
        finally:
            self.done.append(f"{what} over")

    async def _mount(self) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        return {}

    @property
    def has_sandbox(self) -> bool:
        return self.runtime.sandbox("u-1") is not None


@pytest.mark.parametrize("kind", ["configMap", "downwardAPI", "emptyDir", "hostPath", "projected", "secret"])
def test_the_sandbox_is_made_beside_volumes_that_nobody_has_to_be_waited_for(world, on_jumping_time, kind):
    async def body():
        machine = Machine(world, {"name": "v", kind: {}})
        await machine.preparation.prepare(machine.pod)
        assert set(machine.done[:2]) == {"volumes begins", "sandbox begins"}
        assert machine.has_sandbox

    on_jumping_time(body())


def test_n75_a_pod_with_a_claim_has_its_sandbox_after_its_volumes(world, on_jumping_time):
    async def body():
        machine = Machine(world, WORDS, CLAIM)
        await machine.preparation.prepare(machine.pod)
        assert machine.done == ["volumes begins", "volumes over", "sandbox begins", "sandbox over"]

    on_jumping_time(body())


def test_n75_a_pod_whose_volumes_cannot_be_had_has_no_sandbox(world, on_jumping_time):
    async def body():
        machine = Machine(world, WORDS)
        machine.failure = MountFailure("words", 'configmap "words" not found')
        await machine.preparation.prepare(machine.pod)
        assert (machine.has_sandbox, machine.events) == (False, ["FailedMount"])
        machine.done.clear()
        await machine.preparation.prepare(machine.pod)
        assert machine.done == ["volumes begins", "volumes over"], "after a failure they are asked for first"
        machine.failure = None
        await machine.preparation.prepare(machine.pod)
        assert machine.has_sandbox

    on_jumping_time(body())


def test_a_pod_that_ends_meanwhile_leaves_no_sandbox_half_made(world, on_jumping_time):
    async def body():
        machine = Machine(world, WORDS)
        preparing = asyncio.ensure_future(machine.preparation.prepare(machine.pod))
        await asyncio.sleep(0.5)
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        assert "sandbox over" in machine.done

    on_jumping_time(body())
