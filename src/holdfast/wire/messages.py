"""What a connection hands to a handler and what a handler hands back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Headers = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """One request, complete with its body."""

    method: str
    path: str
    """As sent: percent-decoding is the router's."""
    query: str
    """As sent, without the question mark."""
    headers: dict[str, str]
    """Lower-case names; the values of a repeated name are joined by ", "."""
    body: bytes = b""
    peer_certificate: dict[str, Any] | None = None
    """`ssl.SSLSocket.getpeercert()` of a client certificate that the TLS context has verified."""
    peer_der: bytes | None = None
    peer_address: str = ""
    """The client's IP address; empty on a unix socket."""
    upgrade: str = ""
    """`websocket` or `spdy/3.1` when the client asks to leave HTTP for that; only then may `Upgrade` be answered."""
    http10: bool = False
    keep_alive: bool = True

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(slots=True)
class Response:
    """A complete answer. Content-Length and Connection are the connection's to add."""

    status: int
    body: bytes | bytearray = b""
    content_type: str = ""
    headers: Headers = ()


@dataclass(slots=True)
class Streaming:
    """An answer that is made while it is sent: `start` is called once the head is under way and keeps the `Body`.

    A client that asked for a WebSocket gets it as messages, one for each chunk.
    """

    status: int
    content_type: str
    headers: Headers
    start: Callable[[Body], None]
    length: int | None = None
    """In bytes, where it is known after all: then the body is not chunked, and has to have this length."""


@dataclass(slots=True)
class Upgrade:
    """101 with these headers; then the connection belongs to the protocol that `start` returns.

    `start` gets the transport and the bytes already received behind the head. Neither `connection_made`
    nor, for those bytes, `data_received` is called on the protocol.
    """

    headers: Headers
    start: Callable[[asyncio.Transport, bytes], asyncio.Protocol]


Answer = Response | Streaming | Upgrade
Handler = Callable[[Request], Answer | Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use up. Sizes in bytes, times in seconds of the event loop."""

    body_bytes: int = 3 << 20
    head_bytes: int = 1 << 20
    headers: int = 256
    head_s: float = 20.0
    """From the first byte of a request to the end of its head."""
    body_s: float = 120.0
    idle_s: float = 300.0
    """Between requests. A stream has no such limit (A10)."""
    idle_connections: int = 500
    """So many may wait for a request; when there are more, those that have waited longest go. Go's servers keep all."""
    stalled_s: float = 120.0
    """Without progress in sending a complete response. A stream has no such limit."""
    buffer_bytes: int = 256 << 10
    """High-water mark of what waits in the transport."""
    backlog_bytes: int = 64 << 10
    """What may wait unparsed behind a request under way before reading stops."""
    handshake_s: float = 20.0


DEFAULT_LIMITS = Limits()


def chunk(data: bytes) -> bytes:
    """`data`, which must not be empty, framed as one chunk of the chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunks(framed: bytes) -> Iterator[bytes]:
    """What is inside each of the chunks that `framed` consists of."""
    at = 0
    while at < len(framed):
        end = framed.index(b"\r\n", at)
        size = int(framed[at:end], 16)
        yield framed[end + 2 : end + 2 + size]
        at = end + size + 4


def unchunk(framed: bytes) -> bytes:
    """What is inside the chunks that `framed` consists of, joined."""
    return b"".join(chunks(framed))


def _nothing() -> None: ...


@dataclass(slots=True, eq=False)
class Body:
    """The writing end of a streamed answer. After `end`, `abort` or the client's leaving, writes go nowhere."""

    transport: asyncio.Transport
    framed: bool
    """False for HTTP/1.0 clients: the body ends with the connection."""
    finished: Callable[[], None]
    head: bytes = b""
    """Waits for the first write, so that both leave together."""
    paused: bool = False
    """The client reads more slowly than is written: stop, and go on in `on_resume`."""
    closed: bool = False
    _resume: Callable[[], None] = field(default=_nothing)
    _close: Callable[[], None] = field(default=_nothing)

    def write(self, data: bytes) -> None:
        if data:
            self._send(chunk(data) if self.framed else data)

    def write_raw(self, framed: bytes) -> None:
        """Sends what `chunk` made, or several of those joined; the same bytes may go to any number of clients."""
        self._send(framed if self.framed else unchunk(framed))

    def end(self) -> None:
        """The answer is complete; the connection may serve the next request."""
        if self.closed:
            return
        if self.framed:
            self._send(b"0\r\n\r\n")
        else:
            self.flush()
        self.closed = True
        self.finished()

    def abort(self) -> None:
        """Drops the connection, so that the client cannot take what it has for complete."""
        if not self.closed:
            self.closed = True
            self.transport.abort()

    def on_resume(self, callback: Callable[[], None]) -> None:
        """`callback` runs each time writing may go on after `paused`."""
        self._resume = callback

    def on_close(self, callback: Callable[[], None]) -> None:
        """`callback` runs once if the client leaves, or the server closes, before `end` or `abort`."""
        self._close = callback

    def flush(self) -> None:
        """Sends the head if it still waits."""
        if self.head:
            self._send(b"")

    def _send(self, data: bytes) -> None:
        if self.closed or self.transport.is_closing():
            return  # uvloop raises when written to between a failure and connection_lost
        if self.head:
            data, self.head = self.head + data, b""
        self.transport.write(data)

    def pause(self) -> None:
        """The connection's: the transport's buffer is full."""
        self.paused = True

    def resume(self) -> None:
        """The connection's: the transport's buffer has room again."""
        self.paused = False
        if not self.closed:
            self._resume()

    def lost(self) -> None:
        """The connection's: the client has gone."""
        if not self.closed:
            self.closed = True
            self._close()
