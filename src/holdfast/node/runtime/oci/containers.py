"""Containers from bundle to exit record: every step can be repeated, and is found again after `kill -9`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from holdfast.node.runtime import (
    ContainerResources,
    ContainerSpec,
    ContainerState,
    ExitListener,
    RuntimeFailure,
    SandboxFailure,
)
from holdfast.node.runtime.oci import records, rootfs
from holdfast.node.runtime.oci.beginning import begin
from holdfast.node.runtime.oci.cgroups import Groups, said_by_kernel
from holdfast.node.runtime.oci.ending import wait_for_end
from holdfast.node.runtime.oci.processes import open_process, run, send_signal
from holdfast.node.runtime.oci.records import StoredContainer
from holdfast.node.runtime.oci.supervisor import Supervisor, kill
from holdfast.world import Clock

log = logging.getLogger(__name__)

WRITE_AGAIN_S = 0.5
START_ERROR = 128
_KILLED = 137
_LOST_IN_REBOOT = 255

STARTS_PER_CORE = 2
"""More starts at a time add latency and no throughput (R3)."""


Connect = Callable[[], Awaitable[None]]
"""Gives the pod its link, if it has none yet. Raises SandboxFailure."""


def container_id(pod_uid: str, name: str, attempt: int) -> str:
    """The same for the same run: a repeated request meets its own container, never another (R20)."""
    return hashlib.sha256(f"{pod_uid}/{name}/{attempt}".encode()).hexdigest()[:32]


def signal_number(name: str) -> int:
    """`SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`; SIGTERM for what is no signal here."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit():
        return int(text)
    base, _, offset = text.partition("+")
    try:
        return int(signal.Signals[f"SIG{base}"]) + int(offset or 0)
    except (KeyError, ValueError):
        return int(signal.SIGTERM)


class Containers:
    """All containers of one node. `directory` has one directory per container: record, bundle, private top.

    `runtime` is crun with its global options; its state is at the path after `--root`.
    """

    def __init__(
        self, directory: Path, runtime: Sequence[str], supervisor: Supervisor, groups: Groups, clock: Clock
    ) -> None:
        self._top = directory
        self._runtime = tuple(runtime)
        self._supervisor = supervisor
        self._groups = groups
        self._clock = clock
        self._boot_id = records.boot_id()
        self._gate = asyncio.Semaphore(STARTS_PER_CORE * (os.cpu_count() or 1))
        self._stored: dict[str, StoredContainer] = {}
        self._exits: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._signalled: set[str] = set()
        self._leaving: set[str] = set()
        self._listeners: list[ExitListener] = []

    def on_exit(self, listener: ExitListener) -> None:
        self._listeners.append(listener)

    def all(self, pod_uid: str = "") -> list[StoredContainer]:
        """Oldest first."""
        chosen = [stored for stored in self._stored.values() if not pod_uid or stored.spec.pod_uid == pod_uid]
        return sorted(chosen, key=lambda stored: stored.created)

    def get(self, identifier: str) -> StoredContainer | None:
        return self._stored.get(identifier)

    def known(self, identifier: str) -> StoredContainer:
        """Raises RuntimeFailure if there is none."""
        stored = self._stored.get(identifier)
        if stored is None:
            raise RuntimeFailure("", f"container {identifier} not found")
        return stored

    def running(self, identifier: str) -> StoredContainer:
        """Raises RuntimeFailure if there is none, or if it does not run."""
        stored = self.known(identifier)
        if stored.state is not ContainerState.RUNNING:
            raise RuntimeFailure("", f"container {identifier} is not running")
        return stored

    def directory(self, identifier: str) -> Path:
        return self._top / identifier

    def keep(self, stored: StoredContainer) -> None:
        """Writes the record and remembers it."""
        records.write(self.directory(stored.id), stored)
        self._stored[stored.id] = stored

    # Coming back

    async def recover(self) -> None:
        """Finds what earlier agents left: adopts what runs, clears what is half made (R46, R47)."""
        self._top.mkdir(parents=True, exist_ok=True)
        for directory, stored in list(records.read_all(self._top, StoredContainer)):
            if stored is None:
                await self.clear(directory.name)
                continue
            self._stored[stored.id] = stored
            await self._recover_one(stored)

    async def _recover_one(self, stored: StoredContainer) -> None:
        if stored.state is ContainerState.EXITED:
            self._spawn(stored.id, self._tidy(stored))
        elif stored.boot_id != self._boot_id:
            if stored.state is ContainerState.RUNNING:
                self._note_exit(stored, _LOST_IN_REBOOT, "Unknown", "the machine was restarted", self._clock.now())
            else:
                await self.clear(stored.id)
        elif stored.state is ContainerState.RUNNING or await self._runs(stored):
            started = stored.started or self._clock.now()
            self.keep(msgspec.structs.replace(stored, started=started))
            self._watch(stored.id)
            if not _is_there(stored):
                await self._exits[stored.id].wait()
        else:
            await self.clear(stored.id)

    async def _runs(self, stored: StoredContainer) -> bool:
        """Whether the program was started, although the record had no time to say so."""
        if stored.process is None:
            return False
        state = await run([*self._runtime, "state", stored.id])
        try:
            return bool(msgspec.json.decode(state.output)["status"] == "running")
        except (msgspec.DecodeError, KeyError, TypeError):
            return False

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    # Starting

    async def make_room(self, identifier: str, spec: ContainerSpec) -> None:
        """The container's directory, with nothing of an earlier attempt in it, and its supervisor, which loads.

        Raises OSError.
        """
        if self._has_traces(identifier):
            await self.clear(identifier)
        directory = self.directory(identifier)
        directory.mkdir()
        if spec.log_path:
            Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
        self._supervisor.load(
            identifier, directory, log_path=spec.log_path, stdin=spec.stdin, stdin_once=spec.stdin_once, tty=spec.tty
        )

    def _has_traces(self, identifier: str) -> bool:
        return self.directory(identifier).exists()

    async def start(self, identifier: str, connect: Connect) -> StoredContainer:
        """Its program does not run before its pod is connected, which takes no longer than what comes before.

        Raises RuntimeFailure; the container then counts as ended, with StartError as its reason. SandboxFailure is not
        the container's: nothing is noted.
        """
        stored = self.known(identifier)
        if stored.state is not ContainerState.CREATED:
            return stored
        async with self._gate:
            try:
                stored = await self._create_and_start(stored, connect)
            except SandboxFailure:
                raise
            except RuntimeFailure as failure:
                await self._abandon(identifier)
                self._note_exit(stored, START_ERROR, "StartError", failure.message, self._clock.now())
                raise
        self._watch(identifier)
        return stored

    async def _create_and_start(self, stored: StoredContainer, connect: Connect) -> StoredContainer:
        connecting = asyncio.ensure_future(connect())
        try:
            supervised = await self._supervisor.create(stored.id)
        except RuntimeFailure:
            await asyncio.wait({connecting})
            raise
        stored = msgspec.structs.replace(stored, process=supervised.container, supervisor=supervised.supervisor)
        self.keep(stored)
        await connecting
        await begin(self._runtime, self._known_by_runtime(stored.id), stored.id, stored.process)
        stored = msgspec.structs.replace(stored, started=self._clock.now())
        self.keep(stored)
        return stored

    async def update(self, identifier: str, resources: ContainerResources) -> None:
        """Raises RuntimeFailure. Without control groups there is nothing to change but the record."""
        stored = self.running(identifier)
        try:
            self._groups.limit(stored.cgroup, resources)
        except OSError as error:
            raise RuntimeFailure("", said_by_kernel(error)) from error
        spec = dataclasses.replace(stored.spec, resources=resources)
        self.keep(msgspec.structs.replace(self.known(identifier), spec=spec))

    # Ending

    async def stop(self, identifier: str, grace_period_s: float, signal_name: str = "") -> None:
        """A second call with a shorter grace ends the wait of the first; the signal is sent only once."""
        stored = self._stored.get(identifier)
        if stored is None or stored.state is not ContainerState.RUNNING or stored.process is None:
            return
        ended = self._exits.setdefault(identifier, asyncio.Event())
        process = open_process(stored.process)
        if process is None:
            await ended.wait()
            return
        try:
            if grace_period_s > 0 and identifier not in self._signalled:
                self._signalled.add(identifier)
                send_signal(process, signal_number(signal_name or stored.stop_signal or "SIGTERM"))
            try:
                async with asyncio.timeout(max(0.0, grace_period_s)):
                    await ended.wait()
            except TimeoutError:
                send_signal(process, signal.SIGKILL)
                await ended.wait()
        finally:
            os.close(process)

    async def remove(self, identifier: str) -> None:
        """Kills it if need be; nothing of it is left but its log."""
        if identifier not in self._stored:
            return
        await self.stop(identifier, 0)
        self._leaving.add(identifier)
        task = self._tasks.get(identifier)
        if task is not None:
            await asyncio.wait({task})
        await self.clear(identifier)

    async def clear(self, identifier: str) -> None:
        """Removes every trace of a container, however far it got."""
        await self._abandon(identifier)
        await asyncio.to_thread(rootfs.take_down, self.directory(identifier))
        self._stored.pop(identifier, None)
        self._exits.pop(identifier, None)
        self._signalled.discard(identifier)
        self._leaving.discard(identifier)

    async def _abandon(self, identifier: str) -> None:
        """Ends what a start has begun: supervisor first, so that it cannot create what is being removed."""
        stored = self._stored.get(identifier)
        self._supervisor.unload(identifier)
        if stored is None or stored.finished is None:
            for supervisor in await asyncio.to_thread(self._supervisor.leftovers, identifier):
                kill(supervisor)
        await self._delete(identifier)
        self._supervisor.forget(identifier)

    async def _delete(self, identifier: str) -> None:
        if self._known_by_runtime(identifier).exists():
            await run([*self._runtime, "delete", "--force", identifier])

    def _known_by_runtime(self, identifier: str) -> Path:
        """The runtime keeps one directory per container under its `--root`: to look there spares a process."""
        return Path(self._runtime[self._runtime.index("--root") + 1], identifier)

    # Watching

    def _watch(self, identifier: str) -> None:
        self._exits.setdefault(identifier, asyncio.Event())
        self._spawn(identifier, self._follow(self._stored[identifier]))

    def _spawn(self, identifier: str, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[identifier] = task
        task.add_done_callback(lambda done: self._finished(identifier, done))

    def _finished(self, identifier: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(identifier) is task:
            del self._tasks[identifier]
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"watching container {identifier} failed", "exception": task.exception(), "task": task}
            )

    async def _follow(self, stored: StoredContainer) -> None:
        """Waits for the end of a running container, writes it down, tells it, and tidies up.

        Before it is written down nothing goes by which an agent that comes later finds it out as this one did.
        """
        end, message = await wait_for_end(stored, self._supervisor, self._clock)
        if end is None:
            code, reason, finished = _KILLED, "ContainerStatusUnknown", self._clock.now()
        else:
            code, reason, finished = end.exit_code, self._reason(stored, end.exit_code), end.finished
        is_written = self._note_exit(stored, code, reason, message, finished)
        while not is_written and stored.id not in self._leaving:
            await asyncio.sleep(WRITE_AGAIN_S)
            is_written = self._write_down(stored.id)
        await self._tidy(self._stored[stored.id])

    def _write_down(self, identifier: str) -> bool:
        """Whether what is known is on disk now: a full one must not keep a container from ending."""
        try:
            records.write(self.directory(identifier), self._stored[identifier])
        except OSError:
            return False
        return True

    def _reason(self, stored: StoredContainer, exit_code: int) -> str:
        """OOMKilled if any of its processes was, whatever the first one made of that (N45, N144)."""
        if self._groups.oom_kills(stored.cgroup) > 0:
            return "OOMKilled"
        return "Completed" if exit_code == 0 else "Error"

    def _note_exit(
        self, stored: StoredContainer, exit_code: int, reason: str, message: str, finished: datetime
    ) -> bool:
        """Whether it could be written down."""
        current = self._stored.get(stored.id, stored)
        self._stored[stored.id] = msgspec.structs.replace(
            current, exit_code=exit_code, reason=reason, message=message, finished=finished
        )
        if not (is_written := self._write_down(stored.id)):
            log.warning("end not written down yet container=%s", stored.id)
        was_running = stored.started is not None
        self._exits.setdefault(stored.id, asyncio.Event()).set()
        if was_running:
            for listener in self._listeners:
                listener(self._stored[stored.id].as_record())
        return is_written

    async def _tidy(self, stored: StoredContainer) -> None:
        """After the exit: the runtime's book-keeping and the root mount go, record and private top stay (R2)."""
        await self._delete(stored.id)
        self._supervisor.forget(stored.id)
        if stored.has_mounted_root:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(rootfs.unmount_root, self.directory(stored.id))


def _is_there(stored: StoredContainer) -> bool:
    """Whether the first process has not ended yet; one that nobody has reaped counts as there."""
    descriptor = open_process(stored.process) if stored.process else None
    if descriptor is None:
        return False
    os.close(descriptor)
    return True
