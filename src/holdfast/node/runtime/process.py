"""A driver that runs plain processes of this machine's own programs, where nothing better can run.

What it gives a container: a working directory of its own, a log, a supervisor that outlives the agent, an
address of the loopback network (127.x.y.z) per pod, the user it asks for (as root only), `exec`.

What it cannot give, and `shortcomings` says of a container: images (the machine's programs are used: the
container's `command`, or a program called like the image), isolation, limits, a network namespace (two
pods that listen on all addresses on one port collide: listen on $POD_IP), and paths. A volume mounted at
`/data` is the directory `data` below the working directory, and `$HOLDFAST_ROOT/data` from anywhere:
`$(HOLDFAST_ROOT)` and `$(HOLDFAST_POD_IP)` are expanded in command, arguments and variables.

Its records are those of the `oci` driver, in `<run>/process`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal as signals
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from holdfast.node.disk import tree_bytes
from holdfast.world import World

from . import (
    ContainerRecord,
    ContainerResources,
    ContainerSpec,
    ContainerState,
    Credentials,
    ExecResult,
    ExitListener,
    ImageRecord,
    Process,
    Progress,
    RuntimeFailure,
    Sandbox,
    SandboxSpec,
    Usage,
)
from .host_exec import HostProcess, exec_sync
from .listening import ListeningPorts
from .oci import records
from .oci.containers import signal_number
from .oci.processes import Child, ProcessIdentity, identify, open_process, send_signal, wait_readable
from .oci.records import StoredContainer, StoredSandbox
from .process_preparation import image_of, is_missing, make_root, run_of, unlink_mounts
from .process_usage import usage_of

SUPERVISOR = Path(__file__).with_name("process_supervisor.py")
KILLED = 137
LOST = "The container could not be located when the pod was terminated"


class _Exit(msgspec.Struct, frozen=True):
    exit_code: int
    finished_s: float


@dataclass(slots=True)
class _Container:
    stored: StoredContainer
    directory: Path
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    watching: asyncio.Task[None] | None = None


class ProcessRuntime:
    """Implements `Runtime`."""

    name = "process"
    version = "1.0.0"
    has_recursive_read_only = False

    def __init__(self, run_dir: Path, world: World, network: str = "") -> None:
        """`network` is the first two bytes of the pods' loopback addresses; default: by the directory's name."""
        self._world = world
        self._pods = run_dir / "process" / "pods"
        self._bundles = run_dir / "process" / "containers"
        self._network = network or f"127.{100 + hashlib.sha256(str(run_dir).encode()).digest()[0] % 100}"
        self._sandboxes: dict[str, StoredSandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._listener: ExitListener | None = None
        self._last_address = 0
        self._listening: ListeningPorts | None = None

    # -- life -------------------------------------------------------------------------------------

    async def open(self) -> None:
        for directory in (self._pods, self._bundles):
            directory.mkdir(parents=True, exist_ok=True)
        boot = records.boot_id()
        for directory, sandbox in records.read_all(self._pods, StoredSandbox):
            if sandbox is None or sandbox.boot_id != boot:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                self._sandboxes[sandbox.spec.pod_uid] = sandbox
        for directory, stored in records.read_all(self._bundles, StoredContainer):
            if stored is None or stored.state is ContainerState.CREATED or stored.boot_id != boot:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                self._adopt(_Container(stored, directory))

    def _adopt(self, container: _Container) -> None:
        self._containers[container.stored.id] = container
        if container.stored.state is ContainerState.EXITED:
            container.ended.set()
        else:
            self._watch(container)

    async def close(self) -> None:
        watching = [one.watching for one in self._containers.values() if one.watching is not None]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        self._containers.clear()
        self._sandboxes.clear()
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    # -- what exists ------------------------------------------------------------------------------

    def sandboxes(self) -> Sequence[Sandbox]:
        return [stored.as_sandbox(True) for stored in self._sandboxes.values()]

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """One of `sandboxes`."""
        stored = self._sandboxes.get(pod_uid)
        return stored.as_sandbox(True) if stored else None

    def containers(self, pod_uid: str = "") -> Sequence[ContainerRecord]:
        stored = (one.stored for one in self._containers.values())
        found = [one.as_record() for one in stored if pod_uid in ("", one.spec.pod_uid)]
        return sorted(found, key=lambda record: (record.created, record.attempt))

    def on_exit(self, listener: ExitListener) -> None:
        self._listener = listener

    def listening_ports(self, pod_uid: str) -> frozenset[int] | None:
        """Those on the pod's own address or on all; None where the kernel does not tell."""
        stored = self._sandboxes.get(pod_uid)
        if stored is None or not stored.ips:
            return None
        try:
            if self._listening is None:
                self._listening = ListeningPorts("")
            return self._listening.ports(stored.ips[0])
        except OSError:
            return None

    def shortcomings(self, spec: ContainerSpec) -> list[str]:
        """What this container asks for and does not get, in words for an event."""
        missing = list(spec.unmet)
        if any(is_missing(mount) for mount in spec.mounts):
            missing.append("volumes are found below $HOLDFAST_ROOT and the working directory, not at their mountPath")
        if spec.resources.memory_limit_bytes or spec.resources.cpu_quota_us:
            missing.append("resource limits are not enforced")
        if spec.read_only_root or spec.privileged or spec.add_capabilities or spec.drop_capabilities:
            missing.append("its securityContext applies only as far as the user")
        if spec.devices:
            missing.append("block volumes are not found at their devicePath")
        if spec.stdin or spec.tty:
            missing.append("it has neither stdin nor a terminal, and cannot be attached to")
        return missing

    # -- sandboxes --------------------------------------------------------------------------------

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        if known := self._sandboxes.get(spec.pod_uid):
            return known.as_sandbox(True)
        directory = self._pods / spec.pod_uid
        directory.mkdir(parents=True, exist_ok=True)
        ips = () if spec.host_network else (self._allocate(),)
        stored = StoredSandbox(spec, 0, ips, self._world.clock.now(), records.boot_id())
        records.write(directory, stored)
        self._sandboxes[spec.pod_uid] = stored
        return stored.as_sandbox(True)

    def _allocate(self) -> str:
        """Round robin (N238)."""
        taken = {ip for stored in self._sandboxes.values() for ip in stored.ips}
        for _ in range(0xFFFE):
            self._last_address = self._last_address % 0xFFFE + 1
            address = f"{self._network}.{self._last_address >> 8}.{self._last_address & 0xFF}"
            if address not in taken:
                return address
        raise RuntimeFailure("CreatePodSandboxError", f"no address is free in {self._network}.0.0/16")

    async def remove_sandbox(self, pod_uid: str) -> None:
        for container in [one for one in self._containers.values() if one.stored.spec.pod_uid == pod_uid]:
            await self.stop_container(container.stored.id, 0)
            await self.remove_container(container.stored.id)
        self._sandboxes.pop(pod_uid, None)
        shutil.rmtree(self._pods / pod_uid, ignore_errors=True)

    # -- containers -------------------------------------------------------------------------------

    async def create_container(self, spec: ContainerSpec) -> ContainerRecord:
        identifier = hashlib.sha256(f"{spec.pod_uid}/{spec.name}/{spec.attempt}".encode()).hexdigest()
        if known := self._containers.get(identifier):
            return known.stored.as_record()
        sandbox = self._sandboxes.get(spec.pod_uid)
        if sandbox is None:
            raise RuntimeFailure("CreateContainerError", f"pod {spec.pod_uid} has no sandbox")
        directory = self._bundles / identifier
        image = image_of(spec.image)
        try:
            make_root(directory / "root", spec.mounts)
            run = run_of(spec, image, sandbox, directory / "root")
            (directory / "run.json").write_bytes(msgspec.json.encode(run))
        except OSError as error:
            raise RuntimeFailure("CreateContainerError", str(error)) from error
        stored = StoredContainer(identifier, spec, image.id, self._world.clock.now(), records.boot_id())
        records.write(directory, stored)
        self._containers[identifier] = _Container(stored, directory)
        return stored.as_record()

    async def start_container(self, container_id: str) -> ContainerRecord:
        container = self._known(container_id)
        if container.stored.state is not ContainerState.CREATED:
            return container.stored.as_record()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            command = [sys.executable, "-I", "-S", "-E", str(SUPERVISOR), str(container.directory), str(writing)]
            supervisor = Child(command, pass_fds=(writing,))
            os.close(writing)
            answer = await _line(reading)
        finally:
            os.close(reading)
        if "pid" not in answer:
            await supervisor.wait()
            self._fail(container, str(answer.get("error") or "the supervisor did not start"))
        process = identify(int(answer["pid"]))
        self._replace(container, process=process, supervisor=identify(supervisor.pid), started=self._world.clock.now())
        self._watch(container, supervisor)
        return container.stored.as_record()

    def _fail(self, container: _Container, message: str) -> None:
        """The program could not be executed (N45)."""
        now = self._world.clock.now()
        self._replace(container, started=now, finished=now, exit_code=128, reason="StartError", message=message)
        container.ended.set()
        raise RuntimeFailure("RunContainerError", message)

    def _watch(self, container: _Container, supervisor: Child | None = None) -> None:
        container.watching = asyncio.ensure_future(self._until_ended(container, supervisor))

    async def _until_ended(self, container: _Container, supervisor: Child | None) -> None:
        """By the supervisor's end; one that was killed leaves a process that nobody records: it is ended too."""
        if supervisor is not None:
            await supervisor.wait()
        elif container.stored.supervisor is not None:
            await _gone(container.stored.supervisor)
        end = _exit_of(container.directory)
        if end is None and container.stored.process is not None:
            _signal_group(container.stored.process, signals.SIGKILL)
            await _gone(container.stored.process)
        self._record_end(container, end)

    def _record_end(self, container: _Container, end: _Exit | None) -> None:
        if end is None:
            changes: dict[str, Any] = {
                "finished": self._world.clock.now(),
                "exit_code": KILLED,
                "reason": "ContainerStatusUnknown",
                "message": LOST,
            }
        else:
            changes = {
                "finished": datetime.fromtimestamp(end.finished_s, UTC),
                "exit_code": end.exit_code,
                "reason": "Error" if end.exit_code else "Completed",
            }
        self._replace(container, **changes)
        container.ended.set()
        if self._listener is not None:
            self._listener(container.stored.as_record())

    async def update_sandbox(self, pod_uid: str, resources: ContainerResources) -> None:
        """Nothing is limited here, and sandboxes say so."""

    async def update_container(self, container_id: str, resources: ContainerResources) -> None:
        """Nothing is limited here, as `shortcomings` says."""

    async def stop_container(self, container_id: str, grace_period_s: float, signal: str = "") -> None:
        container = self._containers.get(container_id)
        if container is None or container.stored.state is not ContainerState.RUNNING:
            return
        process = container.stored.process
        if process is not None and grace_period_s > 0:
            _signal_group(process, signal_number(signal or "TERM"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_period_s):
                    await container.ended.wait()
        while not container.ended.is_set():
            if process is not None:
                _signal_group(process, signals.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await container.ended.wait()

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.get(container_id)
        if container is None:
            return
        await self.stop_container(container_id, 0)
        unlink_mounts(container.directory / "root", container.stored.spec.mounts)
        shutil.rmtree(container.directory, ignore_errors=True)
        del self._containers[container_id]

    # -- programs ---------------------------------------------------------------------------------

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Process:
        run = self._surroundings(container_id)
        return HostProcess(command, run["environment"], run["directory"], stdin, stdout, stderr, tty)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        run = self._surroundings(container_id)
        return await exec_sync(command, run["environment"], run["directory"], timeout_s)

    def _surroundings(self, container_id: str) -> dict[str, Any]:
        container = self._known(container_id)
        if container.stored.state is not ContainerState.RUNNING:
            raise RuntimeFailure("ExecFailed", f"container {container.stored.spec.name} is not running")
        run: dict[str, Any] = msgspec.json.decode((container.directory / "run.json").read_bytes())
        return run

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Process:
        raise RuntimeFailure("AttachFailed", "the process runtime cannot attach: use logs, or exec")

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """On the pod's own address, else on the loopback that all share."""
        sandbox = self._sandboxes.get(pod_uid)
        for address in sandbox.ips if sandbox else ():
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(address, port)
        return await asyncio.open_connection("127.0.0.1", port)

    async def usage(self, container_id: str) -> Usage | None:
        container = self._containers.get(container_id)
        return usage_of(container.stored.process, self._world.clock.now()) if container else None

    async def written_bytes(self, container_id: str) -> int:
        container = self._containers.get(container_id)
        return await asyncio.to_thread(tree_bytes, container.directory / "root") if container else 0

    async def reopen_log(self, container_id: str) -> None:
        supervisor = self._known(container_id).stored.supervisor
        pidfd = open_process(supervisor) if supervisor else None
        if pidfd is not None:
            send_signal(pidfd, signals.SIGHUP)
            os.close(pidfd)

    # -- images -----------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageRecord | None:
        return image_of(reference)

    async def pull(
        self, reference: str, credentials: Sequence[Credentials] = (), progress: Progress | None = None
    ) -> ImageRecord:
        return image_of(reference)

    async def images(self) -> Sequence[ImageRecord]:
        return []

    async def mount_image(self, image_id: str, directory: Path) -> None:
        raise RuntimeFailure("CreateContainerError", "images cannot be volumes where there are no containers")

    async def remove_image(self, reference: str) -> None: ...

    # -- inner workings ---------------------------------------------------------------------------

    def _known(self, container_id: str) -> _Container:
        if container := self._containers.get(container_id):
            return container
        raise RuntimeFailure("RunContainerError", f"there is no container {container_id}")

    def _replace(self, container: _Container, **changes: Any) -> None:
        container.stored = msgspec.structs.replace(container.stored, **changes)
        records.write(container.directory, container.stored)


def _exit_of(directory: Path) -> _Exit | None:
    try:
        return msgspec.json.decode((directory / "exit.json").read_bytes(), type=_Exit)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def _signal_group(process: ProcessIdentity, number: int) -> None:
    """To the whole process group, if the leader is still the process meant."""
    if identify(process.pid) == process:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


async def _gone(identity: ProcessIdentity) -> None:
    pidfd = open_process(identity)
    if pidfd is None:
        return
    try:
        await wait_readable(pidfd)
    finally:
        os.close(pidfd)


async def _line(descriptor: int) -> Mapping[str, Any]:
    """One line of JSON from a pipe; empty if it was closed without."""
    os.set_blocking(descriptor, False)
    received = b""
    while b"\n" not in received:
        await wait_readable(descriptor)
        data = os.read(descriptor, 4096)
        if not data:
            break
        received += data
    try:
        answer: Mapping[str, Any] = msgspec.json.decode(received)
    except msgspec.DecodeError:
        return {}
    return answer
