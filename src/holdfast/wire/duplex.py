"""Both directions of a connection that has left HTTP, with back-pressure in both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

MOST_BUFFERED_BYTES = 64 << 10
"""Reading from the socket stops while more than this waits to be taken."""


class ByteStream(Protocol):
    """Bytes in order, both ways."""

    async def read(self) -> bytes:
        """What has arrived, at least one byte; none once the other side has ended or broken the connection."""

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more. Raises ConnectionError once the connection has ended."""

    def write_now(self, data: bytes) -> None:
        """For what must not wait; goes nowhere once the connection has ended."""

    def on_end(self, callback: Callable[[], None]) -> None:
        """`callback` runs once when the connection has ended, though what it brought may not have been read yet."""

    def close(self) -> None:
        """Sends what was written, then ends the connection."""

    def abort(self) -> None:
        """Drops the connection and what was not sent."""


class Duplex(asyncio.Protocol):
    """A `ByteStream` over a transport: the protocol to return from `Upgrade.start`."""

    def __init__(self, transport: asyncio.Transport, received: bytes = b"") -> None:
        self._transport = transport
        self._received = bytearray(received)
        self._paused = False
        self._is_full = False
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()

    @classmethod
    def over(cls, transport: asyncio.Transport) -> Self:
        """Takes a transport over from another protocol."""
        duplex = cls(transport)
        transport.set_protocol(duplex)
        return duplex

    async def read(self) -> bytes:
        while not self._received:
            if self._ended:
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._received)
        self._received.clear()
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._is_closed:
            raise ConnectionResetError("the connection was closed")
        self._transport.write(data)
        while self._is_full:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            try:
                await waiter
            finally:
                self._writers.remove(waiter)
            if self._ended:
                raise ConnectionResetError("the connection was closed")

    def write_now(self, data: bytes) -> None:
        if not self._is_closed:
            self._transport.write(data)

    def on_end(self, callback: Callable[[], None]) -> None:
        self._at_end.append(callback)
        if self._ended:
            self._loop.call_soon(callback)

    @property
    def _is_closed(self) -> bool:
        return self._ended or self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        if not self._ended:  # asyncio's transports cannot be aborted once they are closed
            self._transport.abort()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MOST_BUFFERED_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake_reader()
        self._is_full = False
        self._wake_writers()
        for callback in self._at_end:
            callback()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake_writers()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writers(self) -> None:
        for waiter in self._writers:
            if not waiter.done():
                waiter.set_result(None)


class Splice(asyncio.Protocol):
    """One end of two connections joined: what comes in here goes out there. Made in pairs by `splice`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._other: asyncio.Transport

    def join(self, other: Splice) -> None:
        self._other = other._transport

    def data_received(self, data: bytes) -> None:
        if not self._other.is_closing():
            self._other.write(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # close, not abort: what this side sent last has to reach the other.
        self._other.close()


def splice(first: asyncio.Transport, second: asyncio.Transport) -> tuple[Splice, Splice]:
    """Copies bytes both ways, as fast as the slower side takes them, until either side ends; then ends the other.

    Returns the protocol for each transport, for the caller to set.
    """
    one, two = Splice(first), Splice(second)
    one.join(two)
    two.join(one)
    return one, two
