"""Programs started beside a plain process: its environment, its directory, a process group of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import sys
from collections.abc import Mapping, Sequence

from . import ExecResult, RuntimeFailure
from .oci.processes import Child
from .oci.sessions import set_terminal_size
from .oci.streams import pipe_writer, reader_of, writer_of

OUTPUT_LIMIT = 1 << 20
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes stdin the controlling terminal of the session it is started in."""


async def exec_sync(
    command: Sequence[str], environment: Mapping[str, str], directory: str, timeout_s: float
) -> ExecResult:
    """Runs to the end. Raises TimeoutError after having killed the whole group (N239), RuntimeFailure."""
    with open(os.memfd_create("output"), "w+b", buffering=0) as output:
        try:
            child = Child(command, stdout=output, stderr=output, env=environment, cwd=directory, new_session=True)
        except OSError as error:
            raise RuntimeFailure("ExecFailed", f'exec: "{command[0]}": {error.strerror}') from error
        try:
            async with asyncio.timeout(timeout_s if timeout_s > 0 else None):
                code = await child.wait()
        except (TimeoutError, asyncio.CancelledError):
            _kill_group(child)
            await child.wait()
            raise
        return ExecResult(code, os.pread(output.fileno(), OUTPUT_LIMIT, 0))


def _kill_group(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


class HostProcess:
    """Implements `Process`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: str,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
    ) -> None:
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._terminal = -1
        try:
            if tty:
                self._start_on_terminal(command, {"TERM": "xterm", **environment}, directory)
            else:
                self._start(command, environment, directory, stdin, stdout, stderr)
        except OSError as error:
            raise RuntimeFailure("ExecFailed", f'exec: "{command[0]}": {error.strerror}') from error

    def _start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: str,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    ) -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        inputs = os.pipe2(os.O_CLOEXEC) if stdin else (null, -1)
        outputs = os.pipe2(os.O_CLOEXEC) if stdout else (-1, null)
        errors = os.pipe2(os.O_CLOEXEC) if stderr else (-1, null)
        ours = [end for end in (inputs[1], outputs[0], errors[0]) if end >= 0]
        try:
            self._child = Child(
                command,
                stdin=inputs[0],
                stdout=outputs[1],
                stderr=errors[1],
                env=environment,
                cwd=directory,
                new_session=True,
            )
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in {inputs[0], outputs[1], errors[1], null}:
                os.close(descriptor)
        self.stdin = pipe_writer(inputs[1]) if stdin else None
        self.stdout = reader_of(outputs[0]) if stdout else None
        self.stderr = reader_of(errors[0]) if stderr else None

    def _start_on_terminal(self, command: Sequence[str], environment: Mapping[str, str], directory: str) -> None:
        ours, theirs = pty.openpty()
        wrapped = [sys.executable, "-I", "-S", "-E", "-c", ON_TERMINAL, *command]
        try:
            self._child = Child(
                wrapped, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=directory, new_session=True
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._terminal = os.dup(ours)
        self.stdout = reader_of(ours)
        # Closing the input must not hang up the terminal, which would end the program.
        self.stdin = writer_of(self._terminal, lambda data: os.write(self._terminal, data), lambda: None)

    async def wait(self) -> int:
        code = await self._child.wait()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        return code

    def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            set_terminal_size(self._terminal, width, height)

    async def kill(self) -> None:
        _kill_group(self._child)
