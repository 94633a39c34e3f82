"""Programs inside running containers: exec with and without a terminal, attach, connections to a port (R55-R60)."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import tempfile
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.node.runtime import ExecResult, RuntimeFailure
from holdfast.node.runtime.oci.processes import Child, wait_readable
from holdfast.world import linux

LARGEST_MESSAGE = 32768
LARGEST_OUTPUT = 16384
"""Bytes of a probe's output that are kept; probes print little, and what they print ends up in an event."""
REAPED_WITHIN_S = 2.0
STDOUT, STDERR = 2, 3
"""First byte of each packet of an attach socket (R42)."""


async def reader_of(descriptor: int) -> asyncio.StreamReader:
    """What comes out of a pipe or terminal, which the reader closes at its end. The end of a terminal is an error."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: _TerminalTolerant(reader), os.fdopen(descriptor, "rb", 0))
    return reader


class _TerminalTolerant(asyncio.StreamReaderProtocol):
    """Takes EIO for the end: that is how the master of a terminal ends."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None if isinstance(exc, OSError) else exc)


async def writer_to(descriptor: int) -> asyncio.StreamWriter:
    """Writes into a pipe or terminal; closing it closes the descriptor."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(descriptor, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


class ExecProcess:
    """One `crun exec`. See `holdfast.node.runtime.Process`."""

    def __init__(self, child: Child, pid_file: Path, log: Path, terminal: int = -1) -> None:
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._child = child
        self._pid_file = pid_file
        self._log = log
        self._terminal = terminal

    async def wait(self) -> int:
        """Raises RuntimeFailure if the program could not be started."""
        code = await self._child.wait()
        try:
            if not self._pid_file.exists():
                raise RuntimeFailure("", _said(self._log))
            return code
        finally:
            if self._terminal >= 0:
                os.close(self._terminal)
                self._terminal = -1

    def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def kill(self) -> None:
        """The client alone would leave the program running (R58); the program alone lets the client end by itself."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REAPED_WITHIN_S):
                    await self._child.wait()
        self._child.signal(signal.SIGTERM)
        await self._child.wait()


class Programs:
    """`runtime` is crun with its global options; `directory` holds the files of programs under way."""

    def __init__(self, runtime: Sequence[str], directory: Path) -> None:
        self._runtime = list(runtime)
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def exec(
        self, container_id: str, process: dict[str, Any], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> ExecProcess:
        """`process` is the OCI process to run; with `tty` its output is one stream."""
        files = Path(tempfile.mkdtemp(dir=self._directory))
        arguments = self._prepare(files, process)
        if tty:
            return await self._exec_on_terminal(
                files, [*arguments, "--console-socket", str(files / "tty")], container_id
            )
        pipes = [os.pipe() if wanted else None for wanted in (stdin, stdout, stderr)]
        theirs = [pipe[0 if number == 0 else 1] if pipe else -3 for number, pipe in enumerate(pipes)]
        try:
            child = Child([*arguments, container_id], stdin=theirs[0], stdout=theirs[1], stderr=theirs[2])
        finally:
            for descriptor in theirs:
                if descriptor >= 0:
                    os.close(descriptor)
        result = ExecProcess(child, files / "pid", files / "log")
        if pipes[0]:
            result.stdin = await writer_to(pipes[0][1])
        if pipes[1]:
            result.stdout = await reader_of(pipes[1][0])
        if pipes[2]:
            result.stderr = await reader_of(pipes[2][0])
        return result

    def _prepare(self, files: Path, process: dict[str, Any]) -> list[str]:
        (files / "process.json").write_bytes(msgspec.json.encode(process))
        return [
            *self._runtime,
            f"--log={files / 'log'}",
            "exec",
            "--process",
            str(files / "process.json"),
            "--pid-file",
            str(files / "pid"),
        ]

    async def _exec_on_terminal(self, files: Path, arguments: list[str], container_id: str) -> ExecProcess:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.setblocking(False)
            listener.bind(str(files / "tty"))
            listener.listen(1)
            child = Child([*arguments, container_id])
            accepting = asyncio.ensure_future(_accept_terminal(listener))
            ended = asyncio.ensure_future(child.wait())
            await asyncio.wait({accepting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                accepting.cancel()
                raise RuntimeFailure("", _said(files / "log"))
            ended.cancel()
            terminal = await accepting
        result = ExecProcess(child, files / "pid", files / "log", terminal)
        result.stdout = await reader_of(os.dup(terminal))
        result.stdin = await writer_to(os.dup(terminal))
        return result

    async def run(self, container_id: str, process: dict[str, Any], timeout_s: float) -> ExecResult:
        """To the program's end, output and all. Raises TimeoutError after having killed it, RuntimeFailure."""
        files = Path(tempfile.mkdtemp(dir=self._directory))
        arguments = self._prepare(files, process)
        output = os.memfd_create("output")
        try:
            child = Child([*arguments, container_id], stdout=output, stderr=output)
            running = ExecProcess(child, files / "pid", files / "log")
            async with asyncio.timeout(timeout_s):
                code = await running.wait()
            return ExecResult(code, os.pread(output, LARGEST_OUTPUT, 0))
        except (TimeoutError, asyncio.CancelledError):
            await running.kill()
            raise
        finally:
            os.close(output)
            self.forget(files)

    def forget(self, files: Path) -> None:
        for path in files.iterdir():
            path.unlink(missing_ok=True)
        files.rmdir()

    def forget_all(self) -> None:
        """At the agent's start: whatever an earlier one was running there is over."""
        for files in self._directory.iterdir():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((files / "pid").read_text()), signal.SIGKILL)
            self.forget(files)


def _said(log: Path) -> str:
    """The runtime's own words, without time stamp and program name."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return lines[-1].partition(": ")[2] or lines[-1] if lines else "the program could not be started"


async def _accept_terminal(listener: socket.socket) -> int:
    """The master of the terminal, handed over through the socket (R56)."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    with connection:
        await wait_readable(connection.fileno())
        descriptors = array.array("i")
        _, ancillary, _, _ = connection.recvmsg(256, socket.CMSG_LEN(descriptors.itemsize))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: descriptors.itemsize])
    os.set_blocking(descriptors[0], False)
    return descriptors[0]


async def _pipe() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """What is written into the one comes out of the other, within bounds."""
    reading, writing = os.pipe()
    return await reader_of(reading), await writer_to(writing)


class Attached:
    """A connection to a container's own streams through its supervisor. See `holdfast.node.runtime.Process`."""

    def __init__(self, connection: socket.socket, resize: Any, ended: asyncio.Future[int]) -> None:
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._connection = connection
        self._resize = resize
        self._ended = ended
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> None:
        sinks: dict[int, asyncio.StreamWriter] = {}
        if stdout or tty:
            self.stdout, sinks[STDOUT] = await _pipe()
        if stderr and not tty:
            self.stderr, sinks[STDERR] = await _pipe()
        self._tasks.append(asyncio.create_task(self._receive(sinks)))
        if stdin:
            source, self.stdin = await _pipe()
            self._tasks.append(asyncio.create_task(self._send(source)))

    async def wait(self) -> int:
        """The container's exit code, once it has ended."""
        return await asyncio.shield(self._ended)

    def resize(self, width: int, height: int) -> None:
        self._resize(width, height)

    async def kill(self) -> None:
        """Ends the connection, not the container."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connection.close()

    async def _receive(self, sinks: dict[int, asyncio.StreamWriter]) -> None:
        """Waits for slow readers: what a container prints must not pile up here."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while packet := await loop.sock_recv(self._connection, LARGEST_MESSAGE + 1):
                if sink := sinks.get(packet[0]):
                    sink.write(packet[1:])
                    await sink.drain()
        for sink in sinks.values():
            sink.close()

    async def _send(self, source: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await source.read(LARGEST_MESSAGE):
                await loop.sock_sendall(self._connection, data)
            self._connection.shutdown(socket.SHUT_WR)


async def attach(path: str, resize: Any, ended: asyncio.Future[int]) -> Attached:
    """Connects to the supervisor's socket. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return Attached(connection, resize, ended)


async def dial(netns: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a port on the loopback of a network namespace; of this machine's, if `netns` is empty."""

    def make() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    connection = linux.in_network_namespace(netns, make) if netns else make()
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
