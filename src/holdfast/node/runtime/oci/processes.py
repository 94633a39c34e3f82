"""Processes of this machine, told apart for good: pid and start time; waited for through pidfds.

No thread and no signal handler per child: a pidfd is readable once its process has ended, so any event
loop can wait for any process, its own child or not (R47).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_WAIT_STATUS_OFFSET = 60


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that no other can be mistaken for: pids are reused, start times of one pid are not."""

    pid: int
    start_time: int
    """Field 22 of /proc/<pid>/stat: clock ticks after boot."""


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of the process that has `pid` now; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessIdentity(pid, int(fields[19]))


def open_process(identity: ProcessIdentity) -> int | None:
    """A pidfd of the process, None if it is gone. A zombie still counts as there."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if identify(identity.pid) != identity:
        os.close(descriptor)
        return None
    return descriptor


def send_signal(descriptor: int, number: int) -> bool:
    """Whether the process behind the pidfd was there to get the signal."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    return True


def exit_code_of(wait_status: int) -> int:
    """As containers report it: 128 + signal number for a violent end."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def exit_code_through(descriptor: int) -> int | None:
    """The exit code of an ended and reaped process, whoever reaped it; None before Linux 6.15 (R48)."""
    buffer = array.array("B", bytes(64))
    buffer[0] = _PIDFD_INFO_EXIT
    try:
        fcntl.ioctl(descriptor, _PIDFD_GET_INFO, buffer, True)
    except OSError:
        return None
    if not buffer[0] & _PIDFD_INFO_EXIT:
        return None
    return exit_code_of(int.from_bytes(buffer[_WAIT_STATUS_OFFSET : _WAIT_STATUS_OFFSET + 4], "little"))


async def wait_readable(descriptor: int) -> None:
    """Returns when `descriptor` is readable; of a pidfd: when its process has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def on_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, on_ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


class Child:
    """A program started by us, waited for on the event loop without a thread or a child watcher."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.DEVNULL,
        stderr: int | IO[bytes] | None = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        new_session: bool = False,
        cwd: str | None = None,
    ) -> None:
        self.popen = subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            pass_fds=pass_fds,
            start_new_session=new_session,
            cwd=cwd,
        )
        self.pid = self.popen.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._exit_code: int | None = None
        self._waiting: asyncio.Future[int] | None = None

    async def wait(self) -> int:
        """The exit code, 128 + signal if killed. May be awaited by several tasks."""
        if self._exit_code is not None:
            return self._exit_code
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._reap())
        return await asyncio.shield(self._waiting)

    async def _reap(self) -> int:
        await wait_readable(self._pidfd)
        code = self.popen.wait()
        self._exit_code = code if code >= 0 else 128 - code
        os.close(self._pidfd)
        return self._exit_code

    def signal(self, number: int) -> None:
        """Nothing if it has ended already."""
        if self._exit_code is None:
            with contextlib.suppress(ProcessLookupError, OSError):
                signal.pidfd_send_signal(self._pidfd, number)


@dataclass(frozen=True, slots=True)
class Completed:
    exit_code: int
    output: bytes
    """stdout and stderr together."""

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace").strip()


async def run(arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> Completed:
    """Runs a short helper program to its end; if the waiting is cancelled the program is killed."""
    with os.fdopen(os.memfd_create("output"), "w+b", buffering=0) as output:
        child = Child(arguments, stdout=output, stderr=output, env=env)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            child.signal(signal.SIGKILL)
            await child.wait()
            raise
        output.seek(0)
        return Completed(code, output.read())
