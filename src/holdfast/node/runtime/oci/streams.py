"""asyncio streams over any descriptor: pipes, terminals, and a supervisor's attach socket.

asyncio's own pipe transports report a terminal's hang-up (EIO) as a failure, and know nothing of packets;
these end the stream instead, and behave the same on asyncio's loop and on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

CHUNK = 65536
_LIMIT = 1 << 18


class _Source(asyncio.ReadTransport):
    """Reads one descriptor as long as its readers keep up. `deliver` gets each chunk, b"" at the end."""

    def __init__(self, descriptor: int, read: Callable[[], bytes], deliver: Callable[[bytes], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._read = read
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._closed = self._reading = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._closed and not self._reading:
            self._loop.add_reader(self._descriptor, self._on_readable)
            self._reading = True

    def pause_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._descriptor)
            self._reading = False

    def close(self) -> None:
        if not self._closed:
            self.pause_reading()
            self._closed = True

    def _on_readable(self) -> None:
        try:
            chunk = self._read()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            chunk = b""  # a terminal whose last user is gone says EIO, a socket ECONNRESET
        if not chunk:
            self.close()
        self._deliver(chunk)


def reader_of(descriptor: int) -> asyncio.StreamReader:
    """A stream of what comes out of `descriptor`, which is closed at its end."""
    os.set_blocking(descriptor, False)
    reader = asyncio.StreamReader(limit=_LIMIT)

    def deliver(chunk: bytes) -> None:
        if chunk:
            reader.feed_data(chunk)
        else:
            reader.feed_eof()
            os.close(descriptor)

    reader.set_transport(_Source(descriptor, lambda: os.read(descriptor, CHUNK), deliver))
    return reader


class PacketReader:
    """Splits a supervisor's packets into one stream each; the first byte of a packet names its stream."""

    def __init__(self, connection: socket.socket, wanted: Mapping[int, asyncio.StreamReader]) -> None:
        self._wanted = wanted
        self._ended = asyncio.get_running_loop().create_future()
        self._source = _Source(connection.fileno(), lambda: connection.recv(CHUNK), self._deliver)
        for reader in wanted.values():
            reader.set_transport(self._source)

    def _deliver(self, packet: bytes) -> None:
        if packet:
            reader = self._wanted.get(packet[0])
            if reader is not None and len(packet) > 1:
                reader.feed_data(packet[1:])
            return
        self.close()

    def close(self) -> None:
        self._source.close()
        for reader in self._wanted.values():
            reader.feed_eof()
        if not self._ended.done():
            self._ended.set_result(None)

    async def wait(self) -> None:
        """Returns when the other side has ended the connection."""
        await asyncio.shield(self._ended)


class _Sink(asyncio.WriteTransport):
    """Writes to a descriptor without blocking; keeps what does not fit."""

    def __init__(
        self, descriptor: int, write: Callable[[bytes], int], finish: Callable[[], None], protocol: asyncio.Protocol
    ) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._write = write
        self._finish = finish
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._closing = self._finished = self._waiting = self._paused = False

    def write(self, data: Any) -> None:
        if self._closing:
            return
        self._buffer += data
        if not self._waiting:
            self._flush()
        if len(self._buffer) > _LIMIT and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _flush(self) -> None:
        try:
            while self._buffer:
                del self._buffer[: self._write(bytes(self._buffer[:CHUNK]))]
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                self._wait()
                return
            self._buffer.clear()  # nobody reads any more: the program has closed its input or ended
            self._closing = True
        self._stop_waiting()
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()
        if self._closing:
            self._end()

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._descriptor, self._flush)

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._loop.remove_writer(self._descriptor)

    def _end(self) -> None:
        if not self._finished:
            self._finished = True
            with contextlib.suppress(OSError):
                self._finish()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def close(self) -> None:
        self._closing = True
        if not self._buffer:
            self._stop_waiting()
            self._end()

    def abort(self) -> None:
        self._buffer.clear()
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)


def writer_of(descriptor: int, write: Callable[[bytes], int], finish: Callable[[], None]) -> asyncio.StreamWriter:
    """A stream into `descriptor`; `finish` is called once, when all is written and the stream was closed."""
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport = _Sink(descriptor, write, finish, protocol)
    protocol.connection_made(transport)
    return asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())


def pipe_writer(descriptor: int) -> asyncio.StreamWriter:
    """A stream into a pipe that closes it at the end."""
    os.set_blocking(descriptor, False)
    return writer_of(descriptor, lambda data: os.write(descriptor, data), lambda: os.close(descriptor))
