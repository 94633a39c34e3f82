"""The driver for real containers: crun under conmon, in sandboxes without a process of their own.

Everything it knows is on disk, written before it is relied on, so that the next agent goes on where this
one stopped. Blocking calls (mounts, netlink) run in asyncio's executor.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from holdfast.node.runtime import (
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExitListener,
    ImageMissing,
    ImageRecord,
    Process,
    RuntimeFailure,
    Sandbox,
    SandboxSpec,
    Usage,
)
from holdfast.node.runtime.listening import ListeningPorts
from holdfast.node.runtime.oci import records, rootfs, sandboxes, sessions
from holdfast.node.runtime.oci.cgroups import Groups, Layout, find_layout
from holdfast.node.runtime.oci.dialing import dial
from holdfast.node.runtime.oci.machine import find_machine
from holdfast.node.runtime.oci.processes import (
    Completed,
    ProcessIdentity,
    exit_code_through,
    open_process,
    run,
    send_signal,
    wait_readable,
)
from holdfast.node.runtime.oci.records import StoredContainer, StoredSandbox
from holdfast.node.runtime.oci.spec import Surroundings, configuration
from holdfast.node.runtime.oci.supervisor import Conmon, Supervision
from holdfast.node.runtime.oci.users import resolve_user
from holdfast.world import World

log = logging.getLogger(__name__)

EXIT_RECORD_WITHIN_S = 2.0
"""How long after its process a container's exit record may take."""
KILLED, UNKNOWN_EXIT = 137, 137


class Network(Protocol):
    """Gives pods addresses; see `holdfast.network.pods.network`."""

    async def attach(self, pod_uid: str, netns_path: str) -> str: ...

    async def detach(self, pod_uid: str) -> None: ...

    async def recover(self, live: Sequence[str]) -> None: ...


class Images(Protocol):
    """The local image store; see `holdfast.node.images`."""

    def find(self, reference: str) -> ImageRecord | None: ...

    def layers(self, image_id: str) -> list[str]:
        """Directories, topmost first; none for the image `host`."""

    def records(self) -> Sequence[ImageRecord]: ...

    def remove(self, reference: str) -> None: ...


@dataclass(slots=True)
class _Container:
    """A run of a container, with what is only known in this process."""

    stored: StoredContainer
    directory: Path
    pidfd: int = -1
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    watching: asyncio.Task[None] | None = None


def container_id(pod_uid: str, name: str, attempt: int) -> str:
    """The same for the same run, so that a retry meets its own remains (R20)."""
    return hashlib.sha256(f"{pod_uid}/{name}/{attempt}".encode()).hexdigest()[:32]


class OciRuntime:
    """`run_dir` holds what runs (kept short: sockets live below it), `host_dir` what `host` containers share.

    `group` names the control groups of this node; `hidden` are directories that `host` containers must not see.
    """

    name = "crun"

    def __init__(
        self,
        run_dir: Path,
        images: Images,
        network: Network,
        world: World,
        *,
        group: str,
        host_dir: Path,
        hidden: Sequence[Path] = (),
    ) -> None:
        self.version = ""
        self._images = images
        self._network = network
        self._world = world
        self._group = group
        self._pods = run_dir / "p"
        self._bundles = run_dir / "c"
        self._run_dir = run_dir
        self._host = rootfs.HostSystem(host_dir, hidden)
        self._sandboxes: dict[str, StoredSandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._listeners: list[ExitListener] = []
        self._gate = asyncio.Semaphore(2 * (os.cpu_count() or 1))
        self._pod_locks: dict[str, asyncio.Lock] = {}
        self._listening: dict[str, ListeningPorts] = {}

    # -- opening

    async def open(self) -> None:
        for directory in (self._pods, self._bundles):
            directory.mkdir(parents=True, exist_ok=True)
        layout = find_layout(f"{self._group}-probe")
        self._groups = Groups(self._group, layout)
        self._machine = find_machine(layout)
        self._crun = [_program("crun"), "--root", str(self._run_dir / "crun")]
        if layout is Layout.NONE:
            self._crun.append("--cgroup-manager=disabled")
        self._conmon = Conmon(_program("conmon"), self._crun, self._run_dir / "exits")
        shutil.rmtree(self._run_dir / "x", ignore_errors=True)
        self.version = (await run([self._crun[0], "--version"])).text.partition("\n")[0].rpartition(" ")[2]
        await self._recover()

    async def _recover(self) -> None:
        """Takes over what runs, finds how the rest ended, clears away the half-made (R46)."""
        boot = records.boot_id()
        for directory, sandbox in records.read_all(self._pods, StoredSandbox):
            if sandbox is None or sandbox.boot_id != boot:
                await self._clear_sandbox(directory)
            else:
                self._sandboxes[sandbox.spec.pod_uid] = sandbox
        await self._network.recover(list(self._sandboxes))
        for directory, container in records.read_all(self._bundles, StoredContainer):
            if container is None:
                await self._clear_container(directory)
            else:
                await self._take_over(_Container(container, directory), container.boot_id == boot)

    async def _take_over(self, container: _Container, same_boot: bool) -> None:
        stored = container.stored
        if stored.state is ContainerState.CREATED:
            await self._clear_container(container.directory)
            return
        self._containers[stored.id] = container
        if stored.state is ContainerState.EXITED:
            container.ended.set_result(stored.exit_code or 0)
            return
        if same_boot and stored.process is not None and (pidfd := open_process(stored.process)) is not None:
            self._watch(container, pidfd)
        else:
            self._record_end(container, self._conmon.exit_code(stored.id) if same_boot else None)

    async def close(self) -> None:
        watching = [c.watching for c in self._containers.values() if c.watching is not None]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for listening in self._listening.values():
            listening.close()
        self._listening.clear()
        for container in self._containers.values():
            if container.pidfd >= 0:
                os.close(container.pidfd)
                container.pidfd = -1

    # -- what there is

    def sandboxes(self) -> Sequence[Sandbox]:
        return [
            stored.as_sandbox(sandboxes.is_whole(self._pods / stored.spec.pod_uid, stored.spec))
            for stored in self._sandboxes.values()
        ]

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """One of `sandboxes`, without looking at all the others."""
        stored = self._sandboxes.get(pod_uid)
        return stored.as_sandbox(sandboxes.is_whole(self._pods / pod_uid, stored.spec)) if stored else None

    def listening_ports(self, pod_uid: str) -> frozenset[int] | None:
        """Which TCP ports of the pod are open (R152); None where that cannot be told."""
        stored = self._sandboxes.get(pod_uid)
        if stored is None or stored.spec.host_network:
            return None
        try:
            if pod_uid not in self._listening:
                self._listening[pod_uid] = ListeningPorts(str(sandboxes.pin(self._pods / pod_uid, "network")))
            return self._listening[pod_uid].ports()
        except OSError:
            return None

    def shortcomings(self, spec: ContainerSpec) -> list[str]:
        return []

    def containers(self, pod_uid: str = "") -> Sequence[ContainerRecord]:
        found = [c.stored for c in self._containers.values() if not pod_uid or c.stored.spec.pod_uid == pod_uid]
        return [stored.as_record() for stored in sorted(found, key=lambda stored: stored.created)]

    def on_exit(self, listener: ExitListener) -> None:
        self._listeners.append(listener)

    # -- sandboxes

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        async with self._lock(spec.pod_uid):
            directory = self._pods / spec.pod_uid
            stored = self._sandboxes.get(spec.pod_uid)
            if stored is not None and sandboxes.is_whole(directory, spec):
                return stored.as_sandbox(True)
            attempt = 0 if stored is None else stored.attempt + 1
            try:
                await self._clear_sandbox(directory)
                await asyncio.to_thread(sandboxes.make, directory, spec)
                ips = await self._address(spec, directory)
            except OSError as error:
                await self._clear_sandbox(directory)
                raise RuntimeFailure("CreatePodSandboxError", str(error)) from error
            stored = StoredSandbox(spec, attempt, ips, self._world.clock.now(), records.boot_id())
            records.write(directory, stored)
            self._sandboxes[spec.pod_uid] = stored
            return stored.as_sandbox(True)

    async def _address(self, spec: SandboxSpec, directory: Path) -> tuple[str, ...]:
        if spec.host_network:
            return ()
        return (await self._network.attach(spec.pod_uid, str(sandboxes.pin(directory, "network"))),)

    async def remove_sandbox(self, pod_uid: str) -> None:
        async with self._lock(pod_uid):
            for container in [c for c in self._containers.values() if c.stored.spec.pod_uid == pod_uid]:
                await self.stop_container(container.stored.id, 0)
                await self.remove_container(container.stored.id)
            await self._clear_sandbox(self._pods / pod_uid)
            self._groups.remove_pod(pod_uid)
            self._sandboxes.pop(pod_uid, None)
        self._pod_locks.pop(pod_uid, None)

    async def _clear_sandbox(self, directory: Path) -> None:
        if listening := self._listening.pop(directory.name, None):
            listening.close()
        await self._network.detach(directory.name)
        await asyncio.to_thread(sandboxes.remove, directory, rootfs.remove_tree)

    def _lock(self, pod_uid: str) -> asyncio.Lock:
        return self._pod_locks.setdefault(pod_uid, asyncio.Lock())

    # -- containers

    async def create_container(self, spec: ContainerSpec) -> ContainerRecord:
        identifier = container_id(spec.pod_uid, spec.name, spec.attempt)
        if known := self._containers.get(identifier):
            return known.stored.as_record()
        sandbox = self._sandboxes.get(spec.pod_uid)
        if sandbox is None:
            raise RuntimeFailure("CreateContainerError", f"sandbox of pod {spec.pod_uid} not found")
        image = self._images.find(spec.image)
        if image is None:
            raise ImageMissing("ErrImageNeverPull", f'Container image "{spec.image}" is not present')
        directory = self._bundles / identifier
        await self._clear_container(directory)
        directory.mkdir()
        try:
            stored = await self._bundle(identifier, directory, spec, image, sandbox)
        except OSError as error:
            await self._clear_container(directory)
            raise RuntimeFailure("CreateContainerError", str(error)) from error
        except RuntimeFailure:
            await self._clear_container(directory)
            raise
        self._containers[identifier] = _Container(stored, directory)
        return stored.as_record()

    async def _bundle(
        self, identifier: str, directory: Path, spec: ContainerSpec, image: ImageRecord, sandbox: StoredSandbox
    ) -> StoredContainer:
        """Root filesystem, configuration, record."""
        layers = self._images.layers(image.id)
        root = await asyncio.to_thread(
            rootfs.mount_layers if layers else lambda place, _: self._host.make_root(place), directory, layers
        )
        passwd, group = (rootfs.read_account_file(root, name) for name in ("passwd", "group"))
        identity = resolve_user(spec.user, image.user, passwd, group)
        around = self._surroundings(identifier, sandbox, root)
        config = configuration(spec, image, identity, around, self._machine)
        (directory / "config.json").write_bytes(msgspec.json.encode(config))
        stored = StoredContainer(
            id=identifier,
            spec=spec,
            image_id=image.id,
            created=self._world.clock.now(),
            boot_id=records.boot_id(),
            stop_signal=image.stop_signal,
            cgroup=around.cgroup,
            has_mounted_root=root.is_mounted,
        )
        records.write(directory, stored)
        return stored

    def _surroundings(self, identifier: str, sandbox: StoredSandbox, root: rootfs.Root) -> Surroundings:
        spec = sandbox.spec
        directory = self._pods / spec.pod_uid
        namespaces = {kind: str(sandboxes.pin(directory, kind)) for kind in sandboxes.own_namespaces(spec)}
        namespaces["mount"] = ""
        if not spec.host_pid:
            namespaces["pid"] = ""
        if self._machine.has_cgroups:
            namespaces["cgroup"] = ""
        return Surroundings(
            namespaces=namespaces,
            hostname=spec.hostname,
            shm="" if spec.host_ipc else str(directory / "shm"),
            root=root.path,
            root_mounts=root.mounts,
            cgroup=self._groups.path(spec.pod_uid, identifier),
            host_network=spec.host_network,
        )

    async def start_container(self, container_id: str) -> ContainerRecord:
        container = self._known(container_id)
        if container.stored.state is not ContainerState.CREATED:
            return container.stored.as_record()
        async with self._gate:
            await self._start(container)
        return container.stored.as_record()

    async def _start(self, container: _Container) -> None:
        stored, spec = container.stored, container.stored.spec
        supervision = Supervision(stored.id, container.directory, spec.log_path, spec.stdin, spec.stdin_once, spec.tty)
        try:
            supervised = await self._conmon.create(supervision)
            started = await self._call("start", stored.id)
            if started.exit_code:
                raise RuntimeFailure("RunContainerError", _words(started.text))
        except RuntimeFailure as failure:
            await self._call("delete", "--force", stored.id)
            reason = "RunContainerError" if failure.reason == "RunContainerError" else "CreateContainerError"
            raise RuntimeFailure(reason, _words(failure.message)) from failure
        self._replace(
            container,
            process=supervised.process,
            supervisor=supervised.supervisor,
            started=self._world.clock.now(),
        )
        pidfd = open_process(supervised.process)
        if pidfd is None:
            self._record_end(container, await self._exit_code(stored.id, None))
        else:
            self._watch(container, pidfd)

    def _watch(self, container: _Container, pidfd: int) -> None:
        container.pidfd = pidfd
        container.watching = asyncio.create_task(self._until_ended(container))

    async def _until_ended(self, container: _Container) -> None:
        await wait_readable(container.pidfd)
        code = await self._exit_code(container.stored.id, container.pidfd)
        os.close(container.pidfd)
        container.pidfd = -1
        self._record_end(container, code)

    async def _exit_code(self, identifier: str, pidfd: int | None) -> int | None:
        """From the supervisor's record; if that does not come, from the kernel; None if nobody knows."""
        waited_s, pause_s = 0.0, 0.002
        while (code := self._conmon.exit_code(identifier)) is None and waited_s < EXIT_RECORD_WITHIN_S:
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(0.1, pause_s * 2)
            supervisor = self._containers[identifier].stored.supervisor
            if supervisor is not None and not _is_alive(supervisor):
                code = self._conmon.exit_code(identifier)
                break
        if code is None and pidfd is not None:
            code = exit_code_through(pidfd)
        return code

    def _record_end(self, container: _Container, code: int | None) -> None:
        """Reason as the status shows it (R48, R62); whoever listens is told."""
        stored = container.stored
        reason, message = "Completed" if code == 0 else "Error", ""
        if code is None:
            reason, message = "ContainerStatusUnknown", "The container could not be located when the pod was terminated"
        elif code == KILLED and self._groups.oom_kills(stored.cgroup):
            reason = "OOMKilled"
        code = UNKNOWN_EXIT if code is None else code
        self._replace(container, finished=self._world.clock.now(), exit_code=code, reason=reason, message=message)
        if not container.ended.done():
            container.ended.set_result(code)
        for listener in self._listeners:
            listener(container.stored.as_record())

    async def stop_container(self, container_id: str, grace_period_s: float, signal: str = "") -> None:
        container = self._containers.get(container_id)
        if container is None or container.pidfd < 0:
            return
        if grace_period_s > 0:
            send_signal(container.pidfd, signal_number(signal or container.stored.stop_signal))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_period_s):
                    await asyncio.shield(container.ended)
        while not container.ended.done():
            if container.pidfd >= 0:
                send_signal(container.pidfd, 9)
            await asyncio.wait({container.ended}, timeout=5)

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.get(container_id)
        if container is None:
            return
        await self.stop_container(container_id, 0)
        await self._clear_container(container.directory)
        del self._containers[container_id]

    async def _clear_container(self, directory: Path) -> None:
        """Whatever there is of a run, complete or not."""
        if not directory.exists():
            return
        if (self._run_dir / "crun" / directory.name).exists():
            await self._call("delete", "--force", directory.name)
        self._conmon.forget(directory.name)
        await asyncio.to_thread(rootfs.take_down, directory)

    # -- programs

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Process:
        session = self._session(container_id, command, tty)
        if not tty:
            return sessions.ExecProcess(session, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            return await sessions.start_on_terminal(session)
        except (OSError, RuntimeFailure):
            session.remove()
            raise

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        return await sessions.exec_sync(self._session(container_id, command, False), timeout_s)

    def _session(self, container_id: str, command: Sequence[str], tty: bool) -> sessions.ExecSession:
        process = self._process(container_id, command, tty)
        return sessions.ExecSession(self._crun, container_id, process, self._run_dir / "x")

    def _process(self, container_id: str, command: Sequence[str], tty: bool) -> dict[str, Any]:
        """The container's own process with another command: same user, rights, environment (R55)."""
        container = self._running(container_id)
        config = msgspec.json.decode((container.directory / "config.json").read_bytes())
        process: dict[str, Any] = {**config["process"], "args": list(command), "terminal": tty}
        if tty and not any(text.startswith("TERM=") for text in process["env"]):
            process["env"] = [*process["env"], "TERM=xterm"]
        return process

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Process:
        container = self._running(container_id)
        directory = container.directory

        def resize(width: int, height: int) -> None:
            self._conmon.resize(directory, width, height)

        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.setblocking(False)
            connection.connect(self._conmon.attach_socket(directory))
        except OSError as error:
            connection.close()
            raise RuntimeFailure("", f"cannot attach: {error}") from error

        def exit_code() -> int | None:
            return container.stored.exit_code

        return sessions.Attachment(
            connection, resize, exit_code, stdin=stdin, stdout=stdout or tty, stderr=stderr and not tty
        )

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sandbox = self._sandboxes.get(pod_uid)
        if sandbox is None:
            raise RuntimeFailure("", "the pod has no sandbox")
        own = not sandbox.spec.host_network
        return await dial(str(sandboxes.pin(self._pods / pod_uid, "network")) if own else "", port)

    async def usage(self, container_id: str) -> Usage | None:
        container = self._containers.get(container_id)
        reading = None if container is None else self._groups.read(container.stored.cgroup)
        if reading is None:
            return None
        return Usage(
            self._world.clock.now(),
            reading.cpu_usage_ns or 0,
            reading.memory_working_set_bytes or 0,
            reading.memory_rss_bytes or 0,
        )

    async def reopen_log(self, container_id: str) -> None:
        self._conmon.reopen_log(self._known(container_id).directory)

    # -- images

    async def image(self, reference: str) -> ImageRecord | None:
        return self._images.find(reference)

    async def pull(self, reference: str, progress: Callable[[str], Awaitable[None]] | None = None) -> ImageRecord:
        if found := self._images.find(reference):
            return found
        raise ImageMissing(
            "ErrImagePull",
            f'failed to pull image "{reference}": no registry is configured; '
            f"load it from an archive with: holdfast image load FILE",
        )

    async def images(self) -> Sequence[ImageRecord]:
        return self._images.records()

    async def remove_image(self, reference: str) -> None:
        self._images.remove(reference)

    async def remove_all(self) -> None:
        """Ends and removes everything of this node: what `holdfast down` does last."""
        for pod_uid in {*self._sandboxes, *(c.stored.spec.pod_uid for c in self._containers.values())}:
            await self.remove_sandbox(pod_uid)
        self._groups.remove_all()
        self._host.remove()
        shutil.rmtree(self._run_dir / "crun", ignore_errors=True)

    # -- small things

    def _known(self, container_id: str) -> _Container:
        container = self._containers.get(container_id)
        if container is None:
            raise RuntimeFailure("", f"container {container_id} not found")
        return container

    def _running(self, container_id: str) -> _Container:
        container = self._known(container_id)
        if container.stored.state is not ContainerState.RUNNING:
            raise RuntimeFailure("", f"container {container_id} is not running")
        return container

    def _replace(self, container: _Container, **changes: Any) -> None:
        container.stored = msgspec.structs.replace(container.stored, **changes)
        records.write(container.directory, container.stored)

    async def _call(self, *arguments: str) -> Completed:
        return await run([*self._crun, *arguments])


def signal_number(name: str) -> int:
    """Of `SIGTERM`, `TERM`, `SIGRTMIN+3` or a number; SIGTERM if it is none of these."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit():
        return int(text)
    base, _, offset = text.partition("+")
    try:
        return signal.Signals[f"SIG{base}"].value + int(offset or 0)
    except (KeyError, ValueError):
        return signal.SIGTERM


def _is_alive(identity: ProcessIdentity) -> bool:
    pidfd = open_process(identity)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def _program(name: str) -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeFailure("", f"{name} is not installed: apt-get install {name}")
    return found


def _words(text: str) -> str:
    """The runtime's message without its time stamp: the last line says what went wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "unknown error"
