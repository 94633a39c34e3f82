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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from holdfast.world import World

from . import (
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExitListener,
    ImageRecord,
    Mount,
    Process,
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
from .process_usage import tree_usage

SUPERVISOR = Path(__file__).with_name("process_supervisor.py")
KILLED = 137
LOST = "The container could not be located when the pod was terminated"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
        missing = []
        if any(_is_missing(mount) for mount in spec.mounts):
            missing.append("volumes are found below $HOLDFAST_ROOT and the working directory, not at their mountPath")
        if spec.resources.memory_limit_bytes or spec.resources.cpu_quota_us:
            missing.append("resource limits are not enforced")
        if spec.read_only_root or spec.privileged or spec.add_capabilities or spec.drop_capabilities:
            missing.append("its securityContext applies only as far as the user")
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
        image = _image(spec.image)
        try:
            _make_root(directory / "root", spec.mounts)
            run = _run(spec, image, sandbox, directory / "root")
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
        _unlink_mounts(container.directory / "root", container.stored.spec.mounts)
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
        process = container.stored.process if container else None
        if process is None or identify(process.pid) != process:
            return None
        used = tree_usage(process.pid)
        return Usage(self._world.clock.now(), *used) if used else None

    async def reopen_log(self, container_id: str) -> None:
        supervisor = self._known(container_id).stored.supervisor
        pidfd = open_process(supervisor) if supervisor else None
        if pidfd is not None:
            send_signal(pidfd, signals.SIGHUP)
            os.close(pidfd)

    # -- images -----------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageRecord | None:
        return _image(reference)

    async def pull(self, reference: str, progress: Callable[[str], Awaitable[None]] | None = None) -> ImageRecord:
        return _image(reference)

    async def images(self) -> Sequence[ImageRecord]:
        return []

    async def remove_image(self, reference: str) -> None: ...

    # -- inner workings ---------------------------------------------------------------------------

    def _known(self, container_id: str) -> _Container:
        if container := self._containers.get(container_id):
            return container
        raise RuntimeFailure("RunContainerError", f"there is no container {container_id}")

    def _replace(self, container: _Container, **changes: Any) -> None:
        container.stored = msgspec.structs.replace(container.stored, **changes)
        records.write(container.directory, container.stored)


def _image(reference: str) -> ImageRecord:
    """Every reference is accepted; a program of this machine that is called like it is its entry point."""
    digest = hashlib.sha256(reference.encode()).hexdigest()
    program = shutil.which(reference.rpartition("/")[2].partition("@")[0].partition(":")[0], path=PATH)
    return ImageRecord(
        id=f"sha256:{digest}",
        references=(reference,),
        digests=(),
        size_bytes=0,
        entrypoint=(program,) if program else (),
    )


def _run(spec: ContainerSpec, image: ImageRecord, sandbox: StoredSandbox, root: Path) -> dict[str, Any]:
    """What the supervisor is told. Raises RuntimeFailure."""
    own = {"HOLDFAST_ROOT": str(root), "HOLDFAST_POD_IP": sandbox.ips[0] if sandbox.ips else "127.0.0.1"}

    def expanded(text: str) -> str:
        for name, value in own.items():
            text = text.replace(f"$({name})", value)
        return text

    arguments = [*spec.command, *spec.args] if spec.command else [*image.entrypoint, *spec.args]
    if not arguments or (not spec.command and not image.entrypoint):
        raise RuntimeFailure(
            "CreateContainerError",
            f"no command specified: the process runtime runs programs of this machine, and none is called like image "
            f'"{spec.image}"',
        )
    environment = {"PATH": PATH, "HOME": str(root), "HOSTNAME": sandbox.spec.hostname}
    environment |= {name: expanded(value) for name, value in spec.env.items()} | own
    directory = root / spec.working_dir.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    return {
        "arguments": [expanded(word) for word in arguments],
        "environment": environment,
        "directory": str(directory),
        "log": spec.log_path,
        **_user(spec),
    }


def _user(spec: ContainerSpec) -> dict[str, Any]:
    wanted = spec.user
    if os.geteuid() != 0:
        if wanted.uid not in (None, os.geteuid()):
            raise RuntimeFailure(
                "CreateContainerError", f"only root may run processes as user {wanted.uid}; this is user {os.geteuid()}"
            )
        return {"uid": None, "gid": None, "groups": None}
    groups = list(wanted.supplementary_gids) if wanted.supplementary_gids or wanted.uid is not None else None
    gid = wanted.gid if wanted.gid is not None else (0 if wanted.uid is not None else None)
    return {"uid": wanted.uid, "gid": gid, "groups": groups}


def _is_missing(mount: Mount) -> bool:
    """/etc/hosts, the account's token and the like are in every pod: programs go on without them."""
    return not mount.container_path.startswith(("/etc/", "/dev/", "/var/run/secrets/kubernetes.io/"))


def _make_root(root: Path, mounts: Sequence[Mount]) -> None:
    """The working directory, with a link to each volume where its mountPath would be below it."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    for mount in sorted(mounts, key=lambda mount: mount.container_path):
        link = root / mount.container_path.lstrip("/")
        if link == root or any(parent.is_symlink() for parent in link.parents):
            continue  # a mount inside another is reached through that one, if at all
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(mount.host_path)


def _unlink_mounts(root: Path, mounts: Sequence[Mount]) -> None:
    """Before anything is removed recursively: no way leads into a volume (N201)."""
    for mount in mounts:
        link = root / mount.container_path.lstrip("/")
        if link.is_symlink():
            link.unlink()


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
