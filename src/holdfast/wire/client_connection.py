"""One connection of the HTTP/1.1 client: a request at a time, its answer's head, and the body as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

Headers = Sequence[tuple[str, str]]
Start = Callable[[asyncio.Transport, bytes], asyncio.Protocol]

HIGH_WATER_BYTES = 256 << 10
"""Reading from the socket stops while this much of a streamed body waits."""


class ConnectionFailed(Exception):
    """No answer, or not a whole one: refused, broken, timed out, or not HTTP. The request may have taken effect."""


class NotConnected(ConnectionFailed):
    """Nobody was there to ask: the request has had no effect."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: dict[str, str]
    """Lower-case names; the values of a repeated name are joined by ", "."""
    body: bytes = b""
    header_lines: Headers = ()
    """The same headers one by one, as they were written: what is passed on must not join them."""


class Stale(ConnectionFailed):
    """A kept-alive connection had ended before it answered anything."""


class ClientConnection(asyncio.Protocol):
    """One request at a time; the answer's body is taken with `read`."""

    def __init__(self, open_connections: set[ClientConnection]) -> None:
        self._open = open_connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._error: ConnectionFailed | None = None
        self._parser: httptools.HttpResponseParser
        self._method = ""
        self._uses = 0
        self._has_head = False
        self._ends_with_connection = False
        self.start: Start | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.header_lines: list[tuple[str, str]] = []
        self.is_complete = False
        self.is_reusable = False
        self.is_lost = False
        self.is_retired = False
        self.idle_since = 0.0

    async def send(self, method: str, data: bytes) -> None:
        """Sends a request and waits for the head of its answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._uses += 1
        self._has_head = self.is_complete = self.is_reusable = False
        self.status = 0
        if self.is_lost or self._transport.is_closing():
            raise self._broken()
        self._transport.write(data)
        while not self._has_head:
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body; none at its end."""
        while not self._chunks and not self.is_complete:
            await self._wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting_bytes = 0
        if self._paused and not self.is_lost:
            self._paused = False
            self._transport.resume_reading()
        return data

    def response(self, body: bytes) -> HttpResponse:
        return HttpResponse(self.status, self.headers, body, self.header_lines)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abort(self) -> None:
        if not self.is_lost:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        if self.is_complete or not self._uses:
            self.is_reusable = False
            self._fail("unexpected data")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(f"malformed answer: {error}")
        self._wake()

    def _switch(self, rest: bytes) -> None:
        if self.start is None or self.status != 101:
            self._fail("unexpected switch of protocols")
        else:
            self._open.discard(self)
            self._transport.set_protocol(self.start(self._transport, rest))

    def _fail(self, text: str) -> None:
        self._error = ConnectionFailed(text)
        self.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.is_reusable = False
        self._open.discard(self)
        if self._has_head and self._ends_with_connection and exc is None and self._error is None:
            self.is_complete = True
        elif self._error is None:
            self._error = self._broken(exc)
        self._wake()

    def _broken(self, cause: Exception | None = None) -> ConnectionFailed:
        text = f"the connection was closed: {cause}" if cause else "the connection was closed"
        error = (Stale if self._uses > 1 and not self.status else ConnectionFailed)(text)
        error.__cause__ = cause
        return error

    # httptools

    def on_message_begin(self) -> None:
        self.headers = {}
        self.header_lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer
        shown, text = name.decode("latin-1"), value.decode("latin-1").strip()
        self.header_lines.append((shown, text))
        key = shown.lower()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            return
        self.status = status
        self._has_head = True
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        self._ends_with_connection = not framed and status not in (204, 304)
        if self._method == "HEAD":
            # llhttp does not know that no body follows, so this connection is not used again.
            self.is_complete = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._has_head and self._method != "HEAD":
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive() and self.status != 101
