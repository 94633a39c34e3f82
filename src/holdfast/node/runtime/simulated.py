"""A driver in which nothing runs: containers change state on the clock, as a script tells.

A pod's annotation `simulated.holdfast.dev/<container>` (or `/pod`, for all its containers) holds a
`Script` as JSON, for example `{"start_delay_s": 2, "ready_after_s": 5, "ignores_signal": true}`; the
agent hands such annotations on as sandbox labels. Without one, `scripts` answers by image, and else a
container starts at once, is healthy and ends at once when asked to.

Everything follows the event loop's time, and chance comes from `World.random`: one seed, one history.
The object is the machine: it outlives the agent that uses it, as containers do. `crash` is a reboot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from holdfast.world import World

from . import (
    ContainerRecord,
    ContainerResources,
    ContainerSpec,
    ContainerState,
    Credentials,
    ExecResult,
    ExitListener,
    ImageMissing,
    ImageRecord,
    Process,
    Progress,
    RuntimeFailure,
    Sandbox,
    SandboxSpec,
    Usage,
)
from .simulated_script import Script, Scripts, reason, script_of

__all__ = ["Script", "SimulatedRuntime"]


@dataclass(slots=True)
class _Pod:
    spec: SandboxSpec
    sandbox: Sandbox
    containers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Container:
    spec: ContainerSpec
    script: Script
    record: ContainerRecord
    started_s: float = 0.0
    is_stopping: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class SimulatedRuntime:
    """One machine's worth of containers that do not exist. Implements `Runtime`."""

    name = "simulated"
    version = "1.0.0"
    has_recursive_read_only = True

    def __init__(
        self,
        world: World,
        *,
        scripts: Scripts | None = None,
        network: str = "10.244",
        on_probe: Callable[[ContainerRecord, str], bool | None] | None = None,
        sandbox_delay_s: float = 0.0,
    ) -> None:
        """`network` is the first two bytes of the pods' addresses: give each machine its own.

        `on_probe(record, kind)` answers a probe before the script is asked; None leaves it to the script.
        """
        self._world = world
        self._scripts = scripts
        self._network = network
        self.on_probe = on_probe
        self._sandbox_delay_s = sandbox_delay_s
        self._pods: dict[str, _Pod] = {}
        self._containers: dict[str, _Container] = {}
        self._attempts: dict[str, int] = {}
        self._images: dict[str, ImageRecord] = {}
        self._listener: ExitListener | None = None
        self._addresses: set[str] = set()
        self._next_address = 1

    # -- the machine ------------------------------------------------------------------------------

    async def open(self) -> None: ...

    async def close(self) -> None:
        self._listener = None

    def crash(self) -> None:
        """The machine loses power: every container and sandbox is gone, nobody is told. Images stay."""
        for container in self._containers.values():
            if container.timer is not None:
                container.timer.cancel()
            container.ended.set()
        self._pods.clear()
        self._containers.clear()
        self._addresses.clear()

    def kill(self, container_id: str, exit_code: int = 137) -> None:
        """A running container ends by itself, now."""
        self._end(self._containers[container_id], exit_code, reason(exit_code))

    def listening_ports(self, pod_uid: str) -> frozenset[int] | None:
        """Unknown here: nothing listens."""
        return None

    # -- what exists ------------------------------------------------------------------------------

    def sandboxes(self) -> Sequence[Sandbox]:
        return [pod.sandbox for pod in self._pods.values()]

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """One of `sandboxes`."""
        pod = self._pods.get(pod_uid)
        return pod.sandbox if pod else None

    def shortcomings(self, spec: ContainerSpec) -> list[str]:
        return []

    def containers(self, pod_uid: str = "") -> Sequence[ContainerRecord]:
        if not pod_uid:
            return [container.record for container in self._containers.values()]
        pod = self._pods.get(pod_uid)
        return [self._containers[id].record for id in pod.containers] if pod else []

    def on_exit(self, listener: ExitListener) -> None:
        self._listener = listener

    # -- sandboxes --------------------------------------------------------------------------------

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        if pod := self._pods.get(spec.pod_uid):
            return pod.sandbox
        if self._sandbox_delay_s:
            await asyncio.sleep(self._sandbox_delay_s)
        attempt = self._attempts.get(spec.pod_uid, -1) + 1
        self._attempts[spec.pod_uid] = attempt
        sandbox = Sandbox(
            pod_uid=spec.pod_uid,
            attempt=attempt,
            ips=() if spec.host_network else (self._allocate(),),
            created=self._now(),
            resources=spec.resources,
        )
        self._pods[spec.pod_uid] = _Pod(spec, sandbox)
        return sandbox

    async def update_sandbox(self, pod_uid: str, resources: ContainerResources) -> None:
        if pod := self._pods.get(pod_uid):
            pod.sandbox = replace(pod.sandbox, resources=resources)

    async def remove_sandbox(self, pod_uid: str) -> None:
        pod = self._pods.pop(pod_uid, None)
        if pod is None:
            return
        for id in pod.containers:
            container = self._containers.pop(id)
            self._end(container, 137, "Error", tell=False)
        self._addresses.difference_update(pod.sandbox.ips)

    def _allocate(self) -> str:
        """Round robin, so that a released address rests as long as possible (N238)."""
        for _ in range(0xFFFE):
            number = self._next_address
            self._next_address = number + 1 if number < 0xFFFE else 1
            address = f"{self._network}.{number >> 8}.{number & 0xFF}"
            if address not in self._addresses:
                self._addresses.add(address)
                return address
        raise RuntimeFailure("CreatePodSandboxError", f"no address is free in {self._network}.0.0/16")

    # -- containers -------------------------------------------------------------------------------

    async def create_container(self, spec: ContainerSpec) -> ContainerRecord:
        pod = self._pods.get(spec.pod_uid)
        if pod is None:
            raise RuntimeFailure("CreateContainerError", f"pod {spec.pod_uid} has no sandbox")
        for id in pod.containers:
            record = self._containers[id].record
            if (record.name, record.attempt) == (spec.name, spec.attempt):
                return record
        image = self._images.get(spec.image)
        if image is None:
            raise ImageMissing("ErrImageNeverPull", f'image "{spec.image}" is not present')
        script = script_of(spec, pod.spec.labels, self._scripts)
        if script.create_failure:
            raise RuntimeFailure("CreateContainerError", script.create_failure)
        record = ContainerRecord(
            id=f"{self._world.random.getrandbits(256):064x}",
            pod_uid=spec.pod_uid,
            name=spec.name,
            attempt=spec.attempt,
            image=spec.image,
            image_id=image.id,
            state=ContainerState.CREATED,
            created=self._now(),
            log_path=spec.log_path,
            resources=spec.resources,
        )
        self._containers[record.id] = _Container(spec, script, record)
        pod.containers.append(record.id)
        return record

    async def start_container(self, container_id: str) -> ContainerRecord:
        container = self._container(container_id)
        if container.record.state is not ContainerState.CREATED:
            return container.record
        script = container.script
        if script.start_delay_s:
            await asyncio.sleep(script.start_delay_s)
        if container_id not in self._containers:
            raise RuntimeFailure("RunContainerError", f"container {container_id} was removed while it started")
        now = self._now()
        if script.start_failure:
            container.record = replace(
                container.record,
                state=ContainerState.EXITED,
                started=now,
                finished=now,
                exit_code=128,
                reason="StartError",
                message=script.start_failure,
            )
            container.ended.set()
            raise RuntimeFailure("RunContainerError", script.start_failure)
        container.started_s = asyncio.get_running_loop().time()
        container.record = replace(container.record, state=ContainerState.RUNNING, started=now)
        if script.exit_after_s is not None:
            self._end_after(container, script.exit_after_s, script.exit_code, script.end_reason)
        return container.record

    async def update_container(self, container_id: str, resources: ContainerResources) -> None:
        container = self._running(container_id)
        if container.script.update_failure:
            raise RuntimeFailure("", container.script.update_failure)
        container.spec = replace(container.spec, resources=resources)
        container.record = replace(container.record, resources=resources)

    def resources(self, container_id: str) -> ContainerResources:
        """What a container has by now."""
        return self._container(container_id).spec.resources

    async def stop_container(self, container_id: str, grace_period_s: float, signal: str = "") -> None:
        container = self._containers.get(container_id)
        if container is None or container.ended.is_set():
            return
        if container.record.state is not ContainerState.RUNNING:
            self._end(container, 137, "Error")
            return
        script = container.script
        if grace_period_s <= 0:
            self._end(container, 137, "Error")
        elif not script.ignores_signal and not container.is_stopping:
            container.is_stopping = True
            if script.stop_s:
                self._end_after(container, script.stop_s, script.stop_code, reason(script.stop_code))
            else:
                self._end(container, script.stop_code, reason(script.stop_code))
        try:
            async with asyncio.timeout(max(grace_period_s, 0)):
                await container.ended.wait()
        except TimeoutError:
            self._end(container, 137, "Error")

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.get(container_id)
        if container is None:
            return
        if container.record.state is ContainerState.RUNNING:
            raise RuntimeFailure("RemoveContainerError", f"container {container_id} is running")
        del self._containers[container_id]
        if pod := self._pods.get(container.spec.pod_uid):
            pod.containers.remove(container_id)

    # -- inside a container -----------------------------------------------------------------------

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Process:
        raise RuntimeFailure("ExecError", "exec: containers of the simulated runtime do not run")

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        script = self._running(container_id).script
        if script.exec_s:
            if timeout_s and script.exec_s > timeout_s:
                await asyncio.sleep(timeout_s)
                raise TimeoutError(f"command timed out after {timeout_s:g}s")
            await asyncio.sleep(script.exec_s)
        return ExecResult(script.exec_code, script.exec_output.encode())

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Process:
        raise RuntimeFailure("AttachError", "attach: containers of the simulated runtime do not run")

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise ConnectionRefusedError(f"port {port}: containers of the simulated runtime do not listen")

    async def usage(self, container_id: str) -> Usage | None:
        container = self._containers.get(container_id)
        if container is None or container.record.state is not ContainerState.RUNNING:
            return None
        script, age_s = container.script, asyncio.get_running_loop().time() - container.started_s
        memory = script.memory_bytes
        return Usage(self._world.clock.now(), round(age_s * script.cpu_cores * 1e9), memory, memory, memory)

    async def written_bytes(self, container_id: str) -> int:
        container = self._containers.get(container_id)
        return container.script.written_bytes if container else 0

    async def reopen_log(self, container_id: str) -> None: ...

    def answer_probe(self, container_id: str, kind: str) -> bool:
        """Whether a probe (`startup`, `liveness`, `readiness`) of that container succeeds at this moment."""
        container = self._containers.get(container_id)
        if container is None or container.record.state is not ContainerState.RUNNING:
            return False
        if self.on_probe is not None and (answer := self.on_probe(container.record, kind)) is not None:
            return answer
        return container.script.answers(kind, asyncio.get_running_loop().time() - container.started_s)

    # -- images -----------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageRecord | None:
        return self._images.get(reference)

    async def pull(
        self, reference: str, credentials: Sequence[Credentials] = (), progress: Progress | None = None
    ) -> ImageRecord:
        script = script_of(ContainerSpec(pod_uid="", name="", attempt=0, image=reference), {}, self._scripts)
        if script.pull_s and reference not in self._images:
            await asyncio.sleep(script.pull_s)
        if not script.has_image:
            raise ImageMissing("ErrImagePull", f'failed to resolve image "{reference}": not found')
        return self._images.setdefault(reference, _invented_image(reference))

    async def images(self) -> Sequence[ImageRecord]:
        return list(self._images.values())

    async def mount_image(self, image_id: str, directory: Path) -> None: ...

    async def remove_image(self, reference: str) -> None:
        self._images.pop(reference, None)

    # -- inner workings ---------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._world.clock.now()

    def _container(self, container_id: str) -> _Container:
        if container := self._containers.get(container_id):
            return container
        raise RuntimeFailure("RunContainerError", f"there is no container {container_id}")

    def _running(self, container_id: str) -> _Container:
        container = self._container(container_id)
        if container.record.state is not ContainerState.RUNNING:
            raise RuntimeFailure("ExecError", f"container {container.spec.name} is not running")
        return container

    def _end_after(self, container: _Container, delay_s: float, exit_code: int, reason: str) -> None:
        if container.timer is not None:
            container.timer.cancel()
        loop = asyncio.get_running_loop()
        container.timer = loop.call_later(delay_s, self._end, container, exit_code, reason)

    def _end(self, container: _Container, exit_code: int, reason: str, *, tell: bool = True) -> None:
        if container.ended.is_set():
            return
        if container.timer is not None:
            container.timer.cancel()
            container.timer = None
        container.record = replace(
            container.record,
            state=ContainerState.EXITED,
            started=container.record.started,
            finished=self._now(),
            exit_code=exit_code,
            reason=reason,
        )
        container.ended.set()
        if tell and self._listener is not None:
            self._listener(container.record)


def _invented_image(reference: str) -> ImageRecord:
    from hashlib import sha256

    digest = sha256(reference.encode()).hexdigest()
    return ImageRecord(
        id=f"sha256:{digest}", references=(reference,), digests=(f"{reference}@sha256:{digest}",), size_bytes=0
    )
