"""The program that stays with a container: keeps its output, its terminal and its exit code without the agent.

`Supervisor` is all that the driver asks of one; conmon is the one in use (R40-R43).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from holdfast.node.runtime import RuntimeFailure
from holdfast.node.runtime.oci.processes import (
    Child,
    ProcessIdentity,
    identify,
    open_process,
    send_signal,
    wait_readable,
)

CREATE_DEADLINE_S = 120.0
RESIZE, REOPEN = 1, 2
GO = b"\n"


@dataclass(frozen=True, slots=True)
class Supervised:
    """A created container, its first process waiting to be started."""

    container: ProcessIdentity
    supervisor: ProcessIdentity | None


@dataclass(frozen=True, slots=True)
class ExitRecord:
    exit_code: int
    finished: datetime


class Supervisor(Protocol):
    def load(self, container_id: str, bundle: Path, *, log_path: str, stdin: bool, stdin_once: bool, tty: bool) -> None:
        """Starts a supervisor that waits for `create`: it loads while the bundle is made. Raises OSError."""

    async def create(self, container_id: str) -> Supervised:
        """The container exists, its program does not run yet. After `load`, once. Raises RuntimeFailure."""

    def unload(self, container_id: str) -> None:
        """Ends the supervisor that waits for a `create` that does not come, if there is one."""

    def connect(self, bundle: Path) -> socket.socket:
        """A non-blocking connection to the first process' streams: SEQPACKET; a packet's first byte is 2 for
        stdout and 3 for stderr; what is sent is stdin. Raises OSError."""

    def resize(self, bundle: Path, width: int, height: int) -> None: ...

    def reopen_log(self, bundle: Path) -> None: ...

    def exit_record(self, container_id: str) -> ExitRecord | None:
        """How it ended; None if that has not been written."""

    def forget(self, container_id: str) -> None:
        """Removes what the supervisor wrote outside the bundle."""

    def leftovers(self, container_id: str) -> Sequence[ProcessIdentity]:
        """Supervisors of that container that run now, whether or not anybody knows of them; another node's with the
        same name are not among them. Reads all of /proc: blocks."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A conmon that waits, with our ends of its pipes."""

    child: Child
    bundle: Path
    answers: int
    go: int

    def close(self) -> None:
        os.close(self.answers)
        os.close(self.go)


class Conmon:
    """conmon, one process per container, in a session of its own so that it survives the agent.

    `runtime` is the command that conmon calls, with its global options.

    Loading conmon takes as long as making a container's bundle, so it does that meanwhile, and then waits for a byte on
    its start pipe. With its agent that pipe ends too: conmon then goes on, finds no bundle or one that the next agent
    takes for half made, and is ended with it.
    """

    def __init__(self, program: str, runtime: Sequence[str], exit_dir: Path) -> None:
        self._program = program
        self._runtime = tuple(runtime)
        self._exit_dir = exit_dir
        self._loaded: dict[str, _Loaded] = {}
        exit_dir.mkdir(parents=True, exist_ok=True)

    def load(self, container_id: str, bundle: Path, *, log_path: str, stdin: bool, stdin_once: bool, tty: bool) -> None:
        self.forget(container_id)
        arguments = self._arguments(container_id, bundle, log_path)
        if stdin:
            arguments += ["-i"] if stdin_once else ["-i", "--leave-stdin-open"]
        if tty:
            arguments.append("-t")
        answers, answering = os.pipe2(os.O_CLOEXEC)
        waiting, go = os.pipe2(os.O_CLOEXEC)
        try:
            child = self._start(arguments, bundle, answering, waiting)
        except OSError:
            os.close(answers)
            os.close(go)
            raise
        finally:
            os.close(answering)
            os.close(waiting)
        os.set_blocking(answers, False)
        self._loaded[container_id] = _Loaded(child, bundle, answers, go)

    async def create(self, container_id: str) -> Supervised:
        loaded = self._loaded.pop(container_id)
        try:
            with contextlib.suppress(BrokenPipeError):
                os.write(loaded.go, GO)
            async with asyncio.timeout(CREATE_DEADLINE_S):
                answer = await _read_line(loaded.answers)
            await loaded.child.wait()
        except TimeoutError:
            raise RuntimeFailure("RunContainerError", "context deadline exceeded") from None
        finally:
            loaded.close()
        return _understand(answer, loaded.bundle)

    def unload(self, container_id: str) -> None:
        loaded = self._loaded.pop(container_id, None)
        if loaded is not None:
            loaded.child.signal(signal.SIGKILL)
            loaded.close()

    def _start(self, arguments: list[str], bundle: Path, answering: int, waiting: int) -> Child:
        with open(bundle / "conmon.err", "wb") as errors:
            environment = {**os.environ, "_OCI_SYNCPIPE": str(answering), "_OCI_STARTPIPE": str(waiting)}
            # conmon leaves a file in its working directory when memory runs out
            return Child(
                arguments,
                stderr=errors,
                env=environment,
                pass_fds=(answering, waiting),
                new_session=True,
                cwd=str(bundle),
            )

    def _arguments(self, container_id: str, bundle: Path, log_path: str) -> list[str]:
        """The command line (R40)."""
        arguments = [self._program, "--api-version", "1", "-c", container_id, "-u", container_id, "-n", container_id]
        arguments += ["-r", self._runtime[0]]
        for argument in self._runtime[1:]:
            arguments += ["--runtime-arg", argument]
        arguments += ["-b", str(bundle), "-p", str(bundle / "pid"), "-P", str(bundle / "conmon.pid")]
        arguments += ["--exit-dir", str(self._exit_dir), "--persist-dir", str(bundle), "--full-attach"]
        return [*arguments, "--no-sync-log", "-l", f"k8s-file:{log_path or '/dev/null'}"]

    def connect(self, bundle: Path) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.setblocking(False)
            # Through the directory's descriptor: a socket's path may have no more than 107 bytes.
            directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{directory}/attach")
            finally:
                os.close(directory)
        except OSError:
            connection.close()
            raise
        return connection

    def resize(self, bundle: Path, width: int, height: int) -> None:
        _control(bundle, f"{RESIZE} {height} {width}\n")

    def reopen_log(self, bundle: Path) -> None:
        _control(bundle, f"{REOPEN} 0 0\n")

    def exit_record(self, container_id: str) -> ExitRecord | None:
        path = self._exit_dir / container_id
        try:
            code = int(path.read_text())
            finished = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, ValueError):
            return None
        return ExitRecord(code, finished)

    def forget(self, container_id: str) -> None:
        (self._exit_dir / container_id).unlink(missing_ok=True)

    def leftovers(self, container_id: str) -> Sequence[ProcessIdentity]:
        ours = {container_id.encode(), os.fsencode(self._exit_dir)}
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"conmon") and ours <= {*words}:
                identity = identify(int(name))
                if identity is not None:
                    found.append(identity)
        return found


def _understand(answer: bytes, bundle: Path) -> Supervised:
    """Of conmon's one line: the container's pid, or a number below one and the runtime's message."""
    try:
        report = json.loads(answer)
        pid, message = int(report["data"]), str(report.get("message", ""))
    except (ValueError, KeyError, TypeError):
        pid, message = -1, (bundle / "conmon.err").read_text(errors="replace")
    container = identify(pid) if pid > 0 else None
    if container is None:
        raise RuntimeFailure("RunContainerError", message.strip() or "the container ended while it was created")
    supervisor = None
    with contextlib.suppress(OSError, ValueError):
        supervisor = identify(int((bundle / "conmon.pid").read_text()))
    return Supervised(container, supervisor)


async def _read_line(descriptor: int) -> bytes:
    """Up to a line feed or the end; the container may hold the other end, so there need be no end."""
    received = b""
    while b"\n" not in received:
        await wait_readable(descriptor)
        chunk = os.read(descriptor, 65536)
        if not chunk:
            break
        received += chunk
    return received.partition(b"\n")[0]


def _control(bundle: Path, line: str) -> None:
    """Raises nothing: a supervisor that is gone has nothing to control."""
    with contextlib.suppress(OSError):
        descriptor = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def kill(identity: ProcessIdentity) -> None:
    """SIGKILL to exactly that process; nothing if it is gone."""
    descriptor = open_process(identity)
    if descriptor is not None:
        send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
