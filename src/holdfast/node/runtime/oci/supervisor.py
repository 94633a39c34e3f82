"""conmon as the supervisor of one container: it starts it, keeps its log, serves attach, records how it ended.

It outlives the agent (R40-R43, R50). What is asked of it is small on purpose, so that another supervisor
can take its place: start, resize, reopen the log, an exit record, a socket to attach to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from holdfast.node.runtime import RuntimeFailure
from holdfast.node.runtime.oci.processes import Child, ProcessIdentity, identify, wait_readable

RESIZE, REOPEN = 1, 2
START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Supervised:
    """A created container, its first process waiting to be started."""

    process: ProcessIdentity
    supervisor: ProcessIdentity | None


@dataclass(frozen=True, slots=True)
class Supervision:
    """How one container is to be supervised. `bundle` is its directory."""

    container_id: str
    bundle: Path
    log_path: str
    stdin: bool
    stdin_once: bool
    tty: bool


class Conmon:
    """`runtime` is the command that conmon calls, with its global options."""

    def __init__(self, program: str, runtime: Sequence[str], exits: Path) -> None:
        self._program = program
        self._runtime = runtime
        self._exits = exits
        exits.mkdir(parents=True, exist_ok=True)

    def command(self, wanted: Supervision) -> list[str]:
        """The command line (R40)."""
        bundle, identifier = str(wanted.bundle), wanted.container_id
        arguments = [self._program, "--api-version", "1", "-c", identifier, "-u", identifier, "-n", identifier]
        arguments += ["-r", self._runtime[0]]
        for argument in self._runtime[1:]:
            arguments += ["--runtime-arg", argument]
        arguments += ["-b", bundle, "-p", f"{bundle}/pid", "-P", f"{bundle}/conmon.pid"]
        arguments += ["--exit-dir", str(self._exits), "--persist-dir", bundle, "--full-attach", "--no-sync-log"]
        arguments += ["-l", f"k8s-file:{wanted.log_path or '/dev/null'}"]
        if wanted.stdin:
            arguments += ["-i"] if wanted.stdin_once else ["-i", "--leave-stdin-open"]
        return [*arguments, "-t"] if wanted.tty else arguments

    async def create(self, wanted: Supervision) -> Supervised:
        """Has the container created. Raises RuntimeFailure with what the runtime said."""
        self.forget(wanted.container_id)
        reading, writing = os.pipe()
        try:
            environment = {**os.environ, "_OCI_SYNCPIPE": str(writing)}
            # conmon leaves a file in its working directory when memory runs out
            child = Child(self.command(wanted), env=environment, pass_fds=(writing,), cwd=str(wanted.bundle))
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(START_WITHIN_S):
                answer = await _read_line(reading)
                await child.wait()
        except TimeoutError:
            raise RuntimeFailure("CreateContainerError", "context deadline exceeded") from None
        finally:
            os.close(reading)
        pid, message = _result(answer)
        process = identify(pid) if pid > 0 else None
        if process is None:
            raise RuntimeFailure("CreateContainerError", message or "the container ended while it was created")
        return Supervised(process, _identify_from(wanted.bundle / "conmon.pid"))

    def exit_code(self, container_id: str) -> int | None:
        """How the container ended; None while there is no record."""
        try:
            return int((self._exits / container_id).read_text())
        except (OSError, ValueError):
            return None

    def forget(self, container_id: str) -> None:
        (self._exits / container_id).unlink(missing_ok=True)

    def resize(self, bundle: Path, width: int, height: int) -> None:
        _control(bundle, f"{RESIZE} {height} {width}\n")

    def reopen_log(self, bundle: Path) -> None:
        _control(bundle, f"{REOPEN} 0 0\n")

    @staticmethod
    def attach_socket(bundle: Path) -> str:
        return str(bundle / "attach")


def _control(bundle: Path, line: str) -> None:
    """Raises nothing: a supervisor that is gone has nothing to control."""
    with contextlib.suppress(OSError):
        descriptor = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


async def _read_line(descriptor: int) -> bytes:
    """What comes up to a line feed or the end."""
    os.set_blocking(descriptor, False)
    data = b""
    while not data.endswith(b"\n"):
        await wait_readable(descriptor)
        part = os.read(descriptor, 65536)
        if not part:
            break
        data += part
    return data


def _result(answer: bytes) -> tuple[int, str]:
    """The pid, or a number below one and the runtime's message."""
    try:
        message = msgspec.json.decode(answer)
        return int(message["data"]), str(message.get("message", "")).strip()
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return -1, answer.decode(errors="replace").strip()


def _identify_from(pid_file: Path) -> ProcessIdentity | None:
    try:
        return identify(int(pid_file.read_text()))
    except (OSError, ValueError):
        return None
