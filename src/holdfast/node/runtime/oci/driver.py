"""The driver for real containers: crun under conmon, in sandboxes without a process of their own.

Everything it knows is on disk, written before it is relied on, so that the next agent goes on where this
one stopped. Blocking calls (mounts, netlink) run in asyncio's executor.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from holdfast.node.images.references import pinned
from holdfast.node.images.store import ImageInUse
from holdfast.node.runtime import (
    ContainerRecord,
    ContainerResources,
    ContainerSpec,
    Credentials,
    ExecResult,
    ExitListener,
    ImageMissing,
    ImageRecord,
    Process,
    Progress,
    RunsAs,
    RuntimeFailure,
    Sandbox,
    SandboxFailure,
    SandboxSpec,
    Usage,
)
from holdfast.node.runtime.listening import ListeningPorts
from holdfast.node.runtime.oci import records, rootfs, sessions
from holdfast.node.runtime.oci.cgroups import Layout, find_groups
from holdfast.node.runtime.oci.containers import Containers, container_id
from holdfast.node.runtime.oci.dialing import dial
from holdfast.node.runtime.oci.machine import find_machine, shortcomings
from holdfast.node.runtime.oci.pod_sandboxes import Network, Sandboxes
from holdfast.node.runtime.oci.processes import run
from holdfast.node.runtime.oci.records import StoredContainer, StoredSandbox
from holdfast.node.runtime.oci.spec import Surroundings, configuration
from holdfast.node.runtime.oci.supervisor import Conmon
from holdfast.node.runtime.oci.users import resolve_user
from holdfast.node.runtime.process_usage import usage_of
from holdfast.world import World, linux


class Images(Protocol):
    """The local image store; see `holdfast.node.images`."""

    def find(self, reference: str) -> ImageRecord | None: ...

    def hold(self, image_id: str, directory: Path) -> list[str]:
        """The layers' directories, topmost first, none for the image `host`; they stay as long as `directory`."""

    def records(self) -> Sequence[ImageRecord]: ...

    def remove(self, reference: str) -> None:
        """Raises KeyError, ImageInUse."""


class ImagePuller(Protocol):
    """Fetches into the store; see `holdfast.node.images.puller`."""

    async def pull(
        self, reference: str, credentials: Sequence[Credentials], progress: Progress | None
    ) -> ImageRecord: ...


class OciRuntime:
    """`run_dir` holds what runs (kept short: sockets live below it), `host_dir` what `host` containers share.

    `group` names the control groups of this node. They are in root's own tree, or `below` the group that is the user's,
    or nowhere if that is empty. `hidden` are directories that `host` containers must not see.
    """

    name = "crun"

    def __init__(
        self,
        run_dir: Path,
        images: Images,
        puller: ImagePuller,
        network: Network,
        world: World,
        *,
        group: str,
        below: str | None = None,
        host_dir: Path,
        hidden: Sequence[Path] = (),
    ) -> None:
        self.version = ""
        self.has_recursive_read_only = linux.is_at_least(5, 12)
        self._run_dir = run_dir
        self._images = images
        self._puller = puller
        self._network = network
        self._world = world
        self._group = group
        self._below = below
        self._host = rootfs.HostSystem(host_dir, hidden)
        self._pod_locks: dict[str, asyncio.Lock] = {}
        self._listening: dict[str, ListeningPorts] = {}
        self._boot_id = records.boot_id()
        self._listeners: list[ExitListener] = []

    # -- opening

    async def open(self) -> None:
        crun, conmon = _program("crun"), _program("conmon")
        await asyncio.to_thread(self._run_dir.mkdir, parents=True, exist_ok=True)
        self._groups = find_groups(self._group, self._below)
        self._machine = find_machine(self._groups)
        self._crun = [crun, "--root", str(self._run_dir / "crun")]
        if self._groups.layout is Layout.NONE:
            self._crun.append("--cgroup-manager=disabled")
        self._conmon = Conmon(conmon, self._crun, self._run_dir / "exits")
        self._sandboxes = Sandboxes(self._run_dir / "p", self._network, self._groups, self._world.clock)
        self._containers = Containers(self._run_dir / "c", self._crun, self._conmon, self._groups, self._world.clock)
        self._containers.on_exit(self._tell)
        self.version = (await run([crun, "--version"])).text.partition("\n")[0].rpartition(" ")[2]
        sessions.end_all(self._run_dir / "x")
        await self._recover()

    async def _recover(self) -> None:
        """Takes over what runs, finds how the rest ended, clears away the half-made (R46)."""
        await self._sandboxes.read()
        await self._containers.recover()
        await self._sandboxes.reconnect()

    async def close(self) -> None:
        await self._containers.close()
        for listening in self._listening.values():
            listening.close()
        self._listening.clear()

    # -- what there is

    def sandboxes(self) -> Sequence[Sandbox]:
        return [sandbox for uid in self._sandboxes.uids() if (sandbox := self._sandboxes.sandbox(uid))]

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """One of `sandboxes`, without looking at all the others."""
        return self._sandboxes.sandbox(pod_uid)

    def listening_ports(self, pod_uid: str) -> frozenset[int] | None:
        """Which TCP ports of the pod are open (R152); None where that cannot be told."""
        stored = self._sandboxes.get(pod_uid)
        if stored is None or stored.spec.host_network:
            return None
        try:
            if pod_uid not in self._listening:
                self._listening[pod_uid] = ListeningPorts(self._sandboxes.place(pod_uid).network_namespace)
            return self._listening[pod_uid].ports()
        except OSError:
            return None

    def shortcomings(self, spec: ContainerSpec) -> list[str]:
        return [*spec.unmet, *shortcomings(spec, self._machine)]

    def containers(self, pod_uid: str = "") -> Sequence[ContainerRecord]:
        return [stored.as_record() for stored in self._containers.all(pod_uid)]

    def on_exit(self, listener: ExitListener) -> None:
        self._listeners.append(listener)

    def _tell(self, record: ContainerRecord) -> None:
        for listener in self._listeners:
            listener(record)

    # -- sandboxes

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        self._prepare_move()
        async with self._lock(spec.pod_uid):
            known = self._sandboxes.sandbox(spec.pod_uid)
            if known is not None and known.ready:
                return known
            await self._end_sandbox(spec.pod_uid)
            return await self._sandboxes.create(spec)

    def _prepare_move(self) -> None:
        """Of a container's first process. Waits for nothing."""
        asyncio.get_running_loop().run_in_executor(None, self._groups.prepare_move)

    async def _end_sandbox(self, pod_uid: str) -> None:
        """Kills what still runs in it, takes down network and namespaces; the containers' records stay."""
        for container in self._containers.all(pod_uid):
            await self._containers.stop(container.id, 0)
        if listening := self._listening.pop(pod_uid, None):
            listening.close()
        await self._sandboxes.take_down(pod_uid)

    async def update_sandbox(self, pod_uid: str, resources: ContainerResources) -> None:
        async with self._lock(pod_uid):
            await self._sandboxes.update(pod_uid, resources)

    async def remove_sandbox(self, pod_uid: str) -> None:
        async with self._lock(pod_uid):
            await asyncio.gather(*(self._containers.remove(stored.id) for stored in self._containers.all(pod_uid)))
            await self._end_sandbox(pod_uid)
            self._sandboxes.forget(pod_uid)
        self._pod_locks.pop(pod_uid, None)

    def _lock(self, pod_uid: str) -> asyncio.Lock:
        return self._pod_locks.setdefault(pod_uid, asyncio.Lock())

    # -- containers

    async def create_container(self, spec: ContainerSpec) -> ContainerRecord:
        identifier = container_id(spec.pod_uid, spec.name, spec.attempt)
        async with self._lock(spec.pod_uid):
            if known := self._containers.get(identifier):
                return known.as_record()
            self._prepare_move()
            sandbox = self._sandboxes.get(spec.pod_uid)
            if sandbox is None:
                raise RuntimeFailure("CreateContainerError", f"sandbox of pod {spec.pod_uid} not found")
            image = self._images.find(spec.image)
            if image is None:
                raise ImageMissing("ErrImageNeverPull", f'Container image "{spec.image}" is not present')
            try:
                await self._containers.make_room(identifier, spec)
                stored = await asyncio.to_thread(self._bundle, identifier, spec, image, sandbox)
            except (OSError, RuntimeFailure) as error:
                await self._containers.clear(identifier)
                if isinstance(error, RuntimeFailure):
                    raise
                raise RuntimeFailure("CreateContainerError", str(error)) from error
            self._containers.keep(stored)
            return stored.as_record()

    def _bundle(
        self, identifier: str, spec: ContainerSpec, image: ImageRecord, sandbox: StoredSandbox
    ) -> StoredContainer:
        """Root filesystem and configuration. Blocks."""
        directory = self._containers.directory(identifier)
        layers = self._images.hold(image.id, directory)
        root = rootfs.mount_layers(directory, layers) if layers else self._host.make_root(directory)
        passwd, group = (rootfs.read_account_file(root, name) for name in ("passwd", "group"))
        identity = resolve_user(spec.user, image.user, passwd, group)
        place = self._sandboxes.place(spec.pod_uid)
        around = Surroundings(
            namespaces=place.namespaces(sandbox, self._machine.has_cgroups),
            hostname=sandbox.spec.hostname,
            shm="" if sandbox.spec.host_ipc else place.shm,
            root=root.path,
            root_mounts=root.mounts,
            cgroup=self._groups.path(spec.pod_uid, identifier),
            host_network=sandbox.spec.host_network,
        )
        if spec.process_namespace_of:
            around = dataclasses.replace(around, namespaces={**around.namespaces, **self._processes_of(spec)})
        config = configuration(spec, image, identity, around, self._machine)
        (directory / "config.json").write_bytes(msgspec.json.encode(config))
        return StoredContainer(
            id=identifier,
            spec=spec,
            image_id=image.id,
            image_reference=pinned(spec.image, image.digests),
            created=self._world.clock.now(),
            boot_id=self._boot_id,
            stop_signal=image.stop_signal,
            cgroup=around.cgroup,
            has_mounted_root=root.is_mounted,
            runs_as=RunsAs(identity.uid, identity.gid, identity.supplementary_gids),
        )

    def _processes_of(self, spec: ContainerSpec) -> dict[str, str]:
        """The process namespace of another container. Raises RuntimeFailure if that does not run."""
        process = self._containers.running(spec.process_namespace_of).process
        if process is None:
            raise RuntimeFailure("CreateContainerError", f"container {spec.process_namespace_of} has no process")
        return {"pid": f"/proc/{process.pid}/ns/pid"}

    async def start_container(self, container_id: str) -> ContainerRecord:
        pod_uid = self._containers.known(container_id).spec.pod_uid
        try:
            return (await self._containers.start(container_id, partial(self._sandboxes.connect, pod_uid))).as_record()
        except SandboxFailure:
            await self.remove_sandbox(pod_uid)
            raise

    async def update_container(self, container_id: str, resources: ContainerResources) -> None:
        await self._containers.update(container_id, resources)

    async def stop_container(self, container_id: str, grace_period_s: float, signal: str = "") -> None:
        await self._containers.stop(container_id, grace_period_s, signal)

    async def remove_container(self, container_id: str) -> None:
        await self._containers.remove(container_id)

    # -- programs

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Process:
        session = self._session(container_id, command, tty)
        try:
            if tty:
                return await sessions.start_on_terminal(session)
            process = sessions.ExecProcess(session, stdin=stdin, stdout=stdout, stderr=stderr)
            await process.until_started()
        except (OSError, RuntimeFailure):
            session.remove()
            raise
        return process

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        return await sessions.exec_sync(self._session(container_id, command, False), timeout_s)

    def _session(self, container_id: str, command: Sequence[str], tty: bool) -> sessions.ExecSession:
        process = self._process(container_id, command, tty)
        return sessions.ExecSession(self._crun, container_id, process, self._run_dir / "x")

    def _process(self, container_id: str, command: Sequence[str], tty: bool) -> dict[str, Any]:
        """The container's own process with another command: same user, rights, environment (R55)."""
        self._containers.running(container_id)
        config = msgspec.json.decode((self._containers.directory(container_id) / "config.json").read_bytes())
        process: dict[str, Any] = {**config["process"], "args": list(command), "terminal": tty}
        if tty and not any(text.startswith("TERM=") for text in process["env"]):
            process["env"] = [*process["env"], "TERM=xterm"]
        return process

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Process:
        self._containers.running(container_id)
        directory = self._containers.directory(container_id)
        try:
            connection = self._conmon.connect(directory)
        except (FileNotFoundError, ConnectionRefusedError) as error:  # its supervisor has gone, too lately to be known
            raise RuntimeFailure("", "container is in CONTAINER_EXITED state") from error
        except OSError as error:
            raise RuntimeFailure("", f"cannot attach: {error}") from error

        def resize(width: int, height: int) -> None:
            self._conmon.resize(directory, width, height)

        def exit_code() -> int | None:
            stored = self._containers.get(container_id)
            return None if stored is None else stored.exit_code

        return sessions.Attachment(
            connection, resize, exit_code, stdin=stdin, stdout=stdout or tty, stderr=stderr and not tty
        )

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sandbox = self._sandboxes.get(pod_uid)
        if sandbox is None:
            raise RuntimeFailure("", "the pod has no sandbox")
        own = not sandbox.spec.host_network
        return await dial(self._sandboxes.place(pod_uid).network_namespace if own else "", port)

    async def usage(self, container_id: str) -> Usage | None:
        stored = self._containers.get(container_id)
        if stored is None:
            return None
        if "memory" not in self._machine.controllers:
            return usage_of(stored.process, self._world.clock.now())
        reading = self._groups.read(stored.cgroup)
        if reading is None:
            return None
        return Usage(
            self._world.clock.now(),
            reading.cpu_usage_ns or 0,
            reading.memory_working_set_bytes or 0,
            reading.memory_rss_bytes or 0,
            reading.memory_usage_bytes or 0,
            self._groups.oom_kills(stored.cgroup),
        )

    async def written_bytes(self, container_id: str) -> int:
        return await asyncio.to_thread(rootfs.written_bytes, self._containers.directory(container_id))

    async def reopen_log(self, container_id: str) -> None:
        self._containers.running(container_id)
        self._conmon.reopen_log(self._containers.directory(container_id))

    # -- images

    async def image(self, reference: str) -> ImageRecord | None:
        return self._images.find(reference)

    async def pull(
        self, reference: str, credentials: Sequence[Credentials] = (), progress: Progress | None = None
    ) -> ImageRecord:
        return await self._puller.pull(reference, credentials, progress)

    async def images(self) -> Sequence[ImageRecord]:
        return self._images.records()

    async def mount_image(self, image_id: str, directory: Path) -> None:
        try:
            await asyncio.to_thread(self._mount_image, image_id, directory)
        except OSError as error:
            raise RuntimeFailure("CreateContainerError", str(error)) from error

    def _mount_image(self, image_id: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        layers = self._images.hold(image_id, directory)
        if not layers:
            raise RuntimeFailure("CreateContainerError", "the image `host` is this machine: it cannot be a volume")
        rootfs.mount_contents(directory, layers, directory.with_name("empty"))

    async def remove_image(self, reference: str) -> None:
        try:
            await asyncio.to_thread(self._images.remove, reference)
        except (KeyError, ImageInUse) as error:
            raise RuntimeFailure("", f"image {reference} is not present or in use") from error

    async def remove_all(self) -> None:
        """Ends and removes everything of this node: what `holdfast down` does last."""
        for pod_uid in {*self._sandboxes.uids(), *(stored.spec.pod_uid for stored in self._containers.all())}:
            await self.remove_sandbox(pod_uid)
        self._groups.remove_all()
        self._host.remove()
        shutil.rmtree(self._run_dir / "crun", ignore_errors=True)


def _program(name: str) -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeFailure("", f"{name} is not installed: apt-get install {name}")
    return found
