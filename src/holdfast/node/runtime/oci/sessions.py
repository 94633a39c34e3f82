"""Programs beside a container's first process (`exec`), and connections to the first process (`attach`)."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import re
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
_STARTED_POLL_S = 0.003
_STAMP = re.compile(r"^\d{4}-\d\d-\S+: ")
_OUTPUT_LIMIT = 1 << 20
_TERMINAL_DEADLINE_S = 30.0


class ExecSession:
    """One run of `crun exec`. Its directory holds the process description and the pid of the program."""

    def __init__(self, runtime: Sequence[str], container_id: str, process: Mapping[str, Any], parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="x", dir=parent))
        self._pid_file = self.directory / "pid"
        self._log = self.directory / "log"
        self._command = [*runtime, "--log", str(self._log), "exec"]
        self._command += ["--process", str(self.directory / "process.json"), "--pid-file", str(self._pid_file)]
        self._container_id = container_id
        (self.directory / "process.json").write_bytes(msgspec.json.encode(process))

    def start(self, *options: str, **streams: Any) -> Child:
        return Child([*self._command, *options, self._container_id], new_session=True, **streams)

    @property
    def started(self) -> bool:
        """Whether the program itself ever ran."""
        return self._pid_file.exists()

    async def until_started(self, child: Child) -> None:
        """Returns when the program runs or has run. Raises RuntimeFailure in crun's words if it could not start."""
        ended = asyncio.ensure_future(child.wait())
        while not self.started and not ended.done():
            await asyncio.wait({ended}, timeout=_STARTED_POLL_S)
        if not self.started and ended.result() == _START_FAILED:
            raise RuntimeFailure("ExecFailed", self.words())

    def words(self) -> str:
        """What crun said, without its time stamps."""
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return _STAMP.sub("", lines[-1]) if lines else "the program could not be started"

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


def end_all(parent: Path) -> None:
    """At the agent's start: programs that an earlier one began have lost whoever asked for them (R58)."""
    if not parent.is_dir():
        return
    for directory in parent.iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int((directory / "pid").read_text())
            # The pid may belong to somebody else by now: whoever shares our mounts is in no container.
            if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


async def exec_sync(session: ExecSession, timeout_s: float) -> ExecResult:
    """Runs to the end. Raises TimeoutError after having killed the program, RuntimeFailure if it cannot start."""
    with os.fdopen(os.memfd_create("output"), "w+b", buffering=0) as output:
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
        else:
            if code == _START_FAILED and not session.started:
                raise RuntimeFailure("ExecFailed", session.words())
            return ExecResult(code, os.pread(output.fileno(), _OUTPUT_LIMIT, 0))
        finally:
            session.remove()


class ExecProcess:
    """A program started in a container, with pipes."""

    def __init__(self, session: ExecSession, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        self._session = session
        inputs = os.pipe2(os.O_CLOEXEC) if stdin else None
        outputs = os.pipe2(os.O_CLOEXEC) if stdout else None
        errors = os.pipe2(os.O_CLOEXEC) if stderr else None
        given = {"stdin": inputs and inputs[0], "stdout": outputs and outputs[1], "stderr": errors and errors[1]}
        try:
            self._child = session.start(**{name: end for name, end in given.items() if end is not None})
        finally:
            for end in given.values():
                if end is not None:
                    os.close(end)
        self.stdin = pipe_writer(inputs[1]) if inputs else None
        self.stdout = reader_of(outputs[0]) if outputs else None
        self.stderr = reader_of(errors[0]) if errors else None

    async def until_started(self) -> None:
        """Raises RuntimeFailure if the program cannot be started."""
        try:
            await self._session.until_started(self._child)
        except RuntimeFailure:
            if self.stdin is not None:
                self.stdin.transport.abort()
            raise

    async def wait(self) -> int:
        code = await self._child.wait()
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
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(session.directory, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.setblocking(False)
        listener.bind(f"/proc/self/fd/{directory}/tty")
        listener.listen(1)
        # Through our descriptor: a socket's path may have no more than 107 bytes.
        address = f"/proc/{os.getpid()}/fd/{directory}/tty"
        child = session.start("--tty", "--console-socket", address)
        ended = asyncio.ensure_future(child.wait())
        offered = asyncio.ensure_future(wait_readable(listener.fileno()))
        done, _ = await asyncio.wait(
            {ended, offered}, timeout=_TERMINAL_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
        )
        ended.cancel()
        offered.cancel()
        if offered not in done:
            child.signal(signal.SIGKILL)
            raise RuntimeFailure("ExecFailed", session.words())
        process = TerminalProcess(session, child, await _receive_descriptor(listener))
        try:
            await session.until_started(child)
        except RuntimeFailure:
            await process.wait()
            raise
        return process
    finally:
        listener.close()
        os.close(directory)


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
