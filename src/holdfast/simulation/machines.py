"""The machines of a simulated cluster: what outlives every process on them, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal

import msgspec

from holdfast.client import Client
from holdfast.controllers.volumes.effects import Backing, Cut, ShareWork
from holdfast.node.agent import Agent
from holdfast.node.config import AgentConfig
from holdfast.node.runtime import ContainerRecord, ContainerSpec, ContainerState
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.world import World

from .faults import Faults
from .frontend import Frontend
from .process import Process

TASK = ("task",)
"""The command of a container that ends by itself, well or not."""
TASK_FAILS = 0.25
LONGEST_TASK_S = 20.0
SLOW_S = 8.0
"""The longest that anything takes on a slow machine."""

GOOD_IMAGES = ("host", "host:2")
BAD_IMAGES = ("missing", "crashing", "unready", "dying")
"""What no registry has; what ends soon after its start; what never becomes ready; what fails its liveness probes."""

Trouble = Literal["stopped", "crashed", "cut off", "slow"]
"""The agent is gone and containers go on; the machine lost power; nobody is reached; everything takes its time."""


class Directories:
    """Volumes' directories that exist by name only. They outlive every process, as a disk does."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self._making: dict[str, str] = {}

    async def backing(self, size_bytes: int) -> Backing:
        return Backing()

    async def create(self, path: str) -> None:
        self._making[path] = ""
        self.present.add(path)

    async def create_sized(self, path: str, size_bytes: int, is_device: bool = False) -> None:
        raise AssertionError("nothing has a size here")

    async def is_image(self, path: str) -> bool:
        if path not in self.present:
            raise FileNotFoundError(2, "no such volume or snapshot", path)
        return False

    async def fill(self, path: str, source: str, size_bytes: int, is_device: bool = False) -> None:
        await self.is_image(source)
        await self.create(path)

    async def cut(self, path: str, source: str, of_image: bool) -> Cut:
        await self.is_image(source)
        self.present.add(path)
        return await self.look(path)

    async def cut_together(self, path: str, group: str, members: Sequence[tuple[str, str]]) -> Cut:
        raise AssertionError("nothing has a size here")

    async def look(self, path: str) -> Cut:
        await self.is_image(path)
        return Cut(0, 1_767_323_045_000_000_000)

    async def grow(self, path: str, size_bytes: int) -> bool:
        raise AssertionError("nothing has a size here")

    async def discard(self, path: str) -> None:
        self.present.discard(path)

    async def settle(self, path: str) -> None:
        self._making.pop(path, None)

    def is_unsettled(self, path: str) -> bool:
        return path in self._making

    def unsettled(self, root: str) -> list[str]:
        return sorted(path.removeprefix(f"{root}/") for path in self._making)

    async def remove(self, path: str) -> None:
        self.present.discard(path)

    async def empty(self, path: str, deadline_s: float) -> None:
        """Nothing is ever in one."""

    async def on_share(self, work: ShareWork) -> Any:
        """Nor in an export."""

    def remains(self, path: str) -> str:
        return self._making.get(path, "")


class Node:
    """One machine, whose containers outlive its agent."""

    def __init__(
        self, name: str, number: int, world: World, frontend: Frontend, faults: Callable[[], Faults], random: Random
    ) -> None:
        self.name = name
        self.runtime = SimulatedRuntime(
            world, scripts=self._script_for, network=f"10.{244 + number}", on_probe=self._on_probe
        )
        self.process = Process(f"agent {name}", self._run, frontend, self._faults_here, random)
        self.is_slow = False
        self.unready: set[str] = set()
        """Uids of pods whose readiness probes fail."""
        self._world = world
        self._faults = faults
        self._random = random

    async def _run(self, client_for: Callable[[str], Client]) -> None:
        config = AgentConfig(node_name=self.name, capacity={"cpu": "64", "memory": "256Gi"}, most_pods=10_000)
        await Agent(client_for(f"node:{self.name}"), self.runtime, self._world, config).run()

    def _faults_here(self) -> Faults:
        faults = self._faults()
        return replace(faults, request_delay_s=SLOW_S / 4) if self.is_slow else faults

    def _script_for(self, spec: ContainerSpec) -> Script:
        faults, dice = self._faults(), self._random
        if not spec.pod_uid:  # an image is asked for
            return Script(has_image=spec.image != "missing" and not _happens(dice, faults.failed_pull))
        start_s, stop_s = faults.slow_start_s, faults.slow_stop_s
        if self.is_slow:
            start_s, stop_s = SLOW_S, SLOW_S
        script = Script(start_delay_s=dice.random() * start_s, stop_s=dice.random() * stop_s)
        if spec.command == TASK:
            failed = dice.random() < TASK_FAILS
            return _with(script, exit_after_s=dice.random() * LONGEST_TASK_S, exit_code=int(failed))
        match spec.image:
            case "crashing":
                return _with(script, exit_after_s=dice.random() * 5, exit_code=1)
            case "unready":
                return _with(script, ready_after_s=float("inf"))
            case "dying":
                return _with(script, ready_after_s=float("inf"), dead_after_s=0.0)
        return script

    def _on_probe(self, record: ContainerRecord, kind: str) -> bool | None:
        return False if kind == "readiness" and record.pod_uid in self.unready else None

    # What may be wrong with it

    async def suffer(self, trouble: Trouble) -> None:
        match trouble:
            case "stopped":
                await self.process.kill()
            case "crashed":
                await self.process.kill()
                self.runtime.crash()
            case "cut off":
                self.process.line.clear()
            case "slow":
                self.is_slow = True

    async def recover(self) -> None:
        self.process.line.set()
        self.is_slow = False
        self.unready.clear()
        await self.process.start()

    # What runs on it

    def runs(self, pod_uid: str) -> bool:
        """Whether any container of the pod runs here."""
        return any(each.state is ContainerState.RUNNING for each in self.runtime.containers(pod_uid))

    def running_containers(self) -> list[str]:
        """Ids, in the order in which they were made."""
        return [each.id for each in self.runtime.containers() if each.state is ContainerState.RUNNING]


def _with(script: Script, **changes: Any) -> Script:
    return msgspec.structs.replace(script, **changes)


def _happens(dice: Random, probability: float) -> bool:
    return bool(probability) and dice.random() < probability
