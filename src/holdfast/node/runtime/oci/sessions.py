"""Programs beside a container's first process (`exec`), and connections to the first process (`attach`)."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import tempfile
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.node.runtime import ExecResult, RuntimeFailure
from holdfast.node.runtime.oci.processes import Child, identify, open_process, send_signal, wait_readable
from holdfast.node.runtime.oci.streams import PacketReader, pipe_writer, reader_of, writer_of

_START_FAILED = 255
"""crun's exit code when the program could not be started; programs may return it too (R57)."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_OUTPUT_LIMIT = 1 << 20
_TERMINAL_DEADLINE_S = 30.0


class ExecSession:
    """One run of `crun exec`. Its directory holds the process description and the pid of the program."""

    def __init__(self, runtime: Sequence[str], container_id: str, process: Mapping[str, Any], parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="x", dir=parent))
        self._pid_file = self.directory / "pid"
        self._command = [*runtime, "exec", "--process", str(self.directory / "process.json")]
        self._command += ["--pid-file", str(self._pid_file)]
        self._container_id = container_id
        (self.directory / "process.json").write_bytes(msgspec.json.encode(process))

    def start(self, *options: str, **streams: Any) -> Child:
        return Child([*self._command, *options, self._container_id], new_session=True, **streams)

    @property
    def started(self) -> bool:
        """Whether the program itself ever ran."""
        return self._pid_file.exists()

    def kill_program(self) -> None:
        """Ends the program, which would outlive its `crun exec` (R58)."""
        with contextlib.suppress(OSError, ValueError):
            identity = identify(int(self._pid_file.read_text()))
            descriptor = open_process(identity) if identity else None
            if descriptor is not None:
                send_signal(descriptor, signal.SIGKILL)
                os.close(descriptor)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


def start_failure_code(words: str) -> int:
    """126 or 127, as shells have it, for a program that could not be started."""
    lowered = words.lower()
    return _NOT_FOUND if "not found" in lowered or "no such file" in lowered else _NOT_EXECUTABLE


async def exec_sync(session: ExecSession, timeout_s: float) -> ExecResult:
    """Runs to the end. Raises TimeoutError after having killed the program, RuntimeFailure if it cannot start."""
    with open(os.memfd_create("output"), "w+b", buffering=0) as output:
        child = session.start(stdout=output, stderr=output)
        try:
            async with asyncio.timeout(timeout_s if timeout_s > 0 else None):
                code = await child.wait()
        except (TimeoutError, asyncio.CancelledError):
            session.kill_program()
            child.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 1.0)
            child.signal(signal.SIGKILL)
            raise
        finally:
            started = session.started
            session.remove()
        text = os.pread(output.fileno(), _OUTPUT_LIMIT, 0)
    if code == _START_FAILED and not started:
        raise RuntimeFailure("ExecFailed", text.decode(errors="replace").strip())
    return ExecResult(code, text)


class ExecProcess:
    """A program started in a container, with pipes."""

    def __init__(self, session: ExecSession, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        self._session = session
        inputs = os.pipe2(os.O_CLOEXEC) if stdin else None
        outputs = os.pipe2(os.O_CLOEXEC) if stdout else None
        errors = os.pipe2(os.O_CLOEXEC)
        given = [ends[index] for ends, index in ((inputs, 0), (outputs, 1), (errors, 1)) if ends]
        try:
            streams: dict[str, Any] = {"stderr": errors[1]}
            if inputs:
                streams["stdin"] = inputs[0]
            if outputs:
                streams["stdout"] = outputs[1]
            self._child = session.start(**streams)
        finally:
            for descriptor in given:
                os.close(descriptor)
        self.stdin = pipe_writer(inputs[1]) if inputs else None
        self.stdout = reader_of(outputs[0]) if outputs else None
        # crun writes there why a program could not be started: read even if nobody asked for it.
        self._errors = reader_of(errors[0])
        self.stderr = self._errors if stderr else None
        self._draining = None if stderr else asyncio.ensure_future(self._errors.read(_OUTPUT_LIMIT))

    async def wait(self) -> int:
        code = await self._child.wait()
        if code == _START_FAILED and not self._session.started:
            words = (await self._draining).decode(errors="replace") if self._draining else ""
            code = start_failure_code(words) if words else _NOT_EXECUTABLE
        self._session.remove()
        return code

    def resize(self, width: int, height: int) -> None:
        return None

    async def kill(self) -> None:
        self._session.kill_program()
        self._child.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._child.wait(), 1.0)
        self._child.signal(signal.SIGKILL)


class TerminalProcess:
    """A program started in a container, on a terminal of its own (R56)."""

    def __init__(self, session: ExecSession, child: Child, terminal: int) -> None:
        self.stderr: asyncio.StreamReader | None = None
        self._session = session
        self._child = child
        self._terminal = terminal
        self._input = os.dup(terminal)
        self.stdout: asyncio.StreamReader | None = reader_of(terminal)
        # Closing the input must not hang up the terminal, which would end the program.
        self.stdin: asyncio.StreamWriter | None = writer_of(
            self._input, lambda data: os.write(self._input, data), lambda: None
        )

    async def wait(self) -> int:
        code = await self._child.wait()
        if code == _START_FAILED and not self._session.started:
            code = _NOT_EXECUTABLE
        self._session.remove()
        if self._input >= 0:
            os.close(self._input)
            self._input = -1
        return code

    def resize(self, width: int, height: int) -> None:
        if self._input >= 0:
            set_terminal_size(self._input, width, height)

    async def kill(self) -> None:
        self._session.kill_program()
        self._child.signal(signal.SIGTERM)


def set_terminal_size(terminal: int, width: int, height: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


async def start_on_terminal(session: ExecSession) -> TerminalProcess:
    """Starts the program; crun hands the terminal over a socket. Raises RuntimeFailure with crun's words."""
    address = session.directory / "tty"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(session.directory, os.O_PATH | os.O_DIRECTORY)
    errors = os.memfd_create("errors")
    try:
        listener.setblocking(False)
        listener.bind(f"/proc/self/fd/{directory}/tty")
        listener.listen(1)
        child = session.start("--tty", "--console-socket", str(address), stderr=errors)
        ended = asyncio.ensure_future(child.wait())
        offered = asyncio.ensure_future(wait_readable(listener.fileno()))
        done, _ = await asyncio.wait(
            {ended, offered}, timeout=_TERMINAL_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
        )
        ended.cancel()
        offered.cancel()
        if offered not in done:
            child.signal(signal.SIGKILL)
            raise RuntimeFailure("ExecFailed", os.pread(errors, _OUTPUT_LIMIT, 0).decode(errors="replace").strip())
        return TerminalProcess(session, child, await _receive_descriptor(listener))
    finally:
        listener.close()
        os.close(directory)
        os.close(errors)


async def _receive_descriptor(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        connection.setblocking(False)
        await wait_readable(connection.fileno())
        size = array.array("i").itemsize
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(size))
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                return int.from_bytes(data[:size], "little")
    raise RuntimeFailure("ExecFailed", "the OCI runtime sent no terminal")


class Attachment:
    """A connection to a container's first process through its supervisor; ends when either side does."""

    def __init__(
        self,
        connection: socket.socket,
        resize: Callable[[int, int], None],
        exit_code: Callable[[], int | None],
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    ) -> None:
        self._connection = connection
        self._resize = resize
        self._exit_code = exit_code
        self.stdout = asyncio.StreamReader() if stdout else None
        self.stderr = asyncio.StreamReader() if stderr else None
        wanted = {2: self.stdout, 3: self.stderr}
        self._packets = PacketReader(connection, {key: reader for key, reader in wanted.items() if reader})
        self.stdin = writer_of(connection.fileno(), self._send, self._end_input) if stdin else None

    def _send(self, data: bytes) -> int:
        return self._connection.send(data[:8192])

    def _end_input(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)

    async def wait(self) -> int:
        """The container's exit code once the connection has ended; 0 if it runs on."""
        await self._packets.wait()
        self._connection.close()
        return self._exit_code() or 0

    def resize(self, width: int, height: int) -> None:
        self._resize(width, height)

    async def kill(self) -> None:
        self._packets.close()
        if self.stdin is not None:
            self.stdin.transport.abort()
        self._connection.close()
