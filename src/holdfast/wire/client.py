"""An HTTP/1.1 client: kept-alive connections to one server, streamed answers, upgrades."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext
from typing import Self, cast
from urllib.parse import SplitResult, urlsplit

import httptools

from .proxies import credentials_header, open_tunnel

Headers = Sequence[tuple[str, str]]
Start = Callable[[asyncio.Transport, bytes], asyncio.Protocol]
Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Gives a connection to host and port, made elsewhere than in this process' own network. Raises OSError."""

IDLE_S = 60.0
"""Kept-alive connections older than this are not used again: the server may be about to close them."""
MOST_IDLE = 32
HIGH_WATER_BYTES = 256 << 10
"""Reading from the socket stops while this much of a streamed body waits."""
_REPEATABLE = frozenset({"GET", "HEAD"})


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


class _Stale(ConnectionFailed):
    """A kept-alive connection had ended before it answered anything."""


class HttpStream:
    """An answer whose body is read as it comes: iterate over it."""

    def __init__(self, connection: _ClientConnection) -> None:
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers
        self.header_lines = connection.header_lines

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """What has arrived since the last call, at least one byte. Raises ConnectionFailed if the end is missing."""
        if data := await self._connection.read():
            return data
        raise StopAsyncIteration

    async def read_all(self) -> bytes:
        return b"".join([data async for data in self])


class HttpClient:
    """Requests to the server at `url` (only scheme, host and port count), on up to as many connections as are busy.

    `server_hostname` is the name that the server's certificate must carry, if it is not the host of `url`;
    `host` is what the Host header says instead of it. `proxy` is the URL of an HTTP proxy to go through; `dial` makes
    the connections, where that is not simply done.
    Every method raises ConnectionFailed, and nothing else of the network's. `timeout` is in seconds and
    runs to the end of the answer, for streams and upgrades to the end of its head.
    """

    def __init__(
        self,
        url: str,
        ssl_context: SSLContext | None = None,
        *,
        unix_socket: str = "",
        server_hostname: str = "",
        host: str = "",
        headers: Headers = (),
        connect_timeout_s: float = 10.0,
        proxy: str = "",
        dial: Dial | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._tls = ssl_context
        if parts.scheme == "https" and ssl_context is None:
            raise ValueError("https needs an SSL context")
        if parts.scheme != "https":
            self._tls = None
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._tls else 80)
        self._unix_socket = unix_socket
        self._dial = dial
        self._server_hostname = (server_hostname or self._host) if self._tls else None
        self._proxy = urlsplit(proxy) if proxy else None
        authority = host or parts.netloc.rpartition("@")[2] or "localhost"
        self._before_target = ""
        if self._proxy is not None and self._tls is None:  # it is asked for the whole URL
            self._before_target = f"http://{authority}"
            headers = (*headers, *credentials_header(self._proxy))
        self._fixed = _lines((("Host", authority), *headers))
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[_ClientConnection] = []
        self._open: set[_ClientConnection] = set()
        self._is_cut = False
        self._keeps_idle = True

    def cut(self) -> None:
        """As if the network were gone: connections break, and there are no new ones until `mend`."""
        self._is_cut = True
        for connection in [*self._open]:
            connection.abort()

    def mend(self) -> None:
        self._is_cut = False

    def show(self, certificate: str, key: str) -> None:
        """Shows the server another certificate (PEM files), with the next request. Raises OSError."""
        if self._tls is not None:
            self._tls.load_cert_chain(certificate, key)
            self.retire()

    def retire(self) -> None:
        """No connection that is there takes a new request: what is idle ends now, the rest with what is under way."""
        for connection in self._open:
            connection.is_retired = True
        while self._idle:
            self._idle.pop().abort()

    async def request(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes = b"",
        timeout: float | None = None,
        *,
        may_repeat: bool = False,
    ) -> HttpResponse:
        """The whole answer. A GET or HEAD that meets an outworn connection is repeated once on a new one.

        So is another method if it `may_repeat`, being asked twice doing no harm.
        """
        async with _deadline(timeout):
            connection = await self._send(method, target, headers, body, may_repeat=may_repeat)
            try:
                parts = []
                while data := await connection.read():
                    parts.append(data)
            except BaseException:
                connection.abort()
                raise
        response = connection.response(b"".join(parts))
        self._give_back(connection)
        return response

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, headers: Headers = (), body: bytes = b"", timeout: float | None = None
    ) -> AsyncIterator[HttpStream]:
        """The answer as soon as its head is there."""
        async with _deadline(timeout):
            connection = await self._send(method, target, headers, body)
        try:
            yield HttpStream(connection)
        finally:
            if connection.is_complete:
                self._give_back(connection)
            else:
                connection.abort()

    async def upgrade(
        self, method: str, target: str, headers: Headers, start: Start, timeout: float | None = None
    ) -> HttpResponse:
        """Asks to leave HTTP; `headers` name the protocol.

        After a 101 the transport's protocol is what `start` returned, given the transport and the bytes
        behind the head, for which `data_received` is not called. Any other status comes with its body and
        `start` was not called.
        """
        async with _deadline(timeout):
            connection = await self._connect()
            connection.start = start
            try:
                await connection.send(method, self._head(method, target, headers, b""))
                parts = []
                while connection.status != 101 and (data := await connection.read()):
                    parts.append(data)
            except BaseException:
                connection.abort()
                raise
        self._open.discard(connection)
        if connection.status != 101:
            connection.abort()
        return connection.response(b"".join(parts))

    async def close(self) -> None:
        """Drops every connection; requests under way fail."""
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    def drop_idle(self) -> None:
        """Nobody asks again: what is not in use ends now, the rest with its request."""
        self._keeps_idle = False
        while self._idle:
            self._idle.pop().abort()

    async def _send(
        self, method: str, target: str, headers: Headers, body: bytes, *, may_repeat: bool = False
    ) -> _ClientConnection:
        """A connection on which the head of the answer has arrived."""
        head = self._head(method, target, headers, body)
        connection = self._take() or await self._connect()
        while True:
            try:
                await connection.send(method, head + body)
                return connection
            except _Stale:
                if method not in _REPEATABLE and not may_repeat:
                    raise
                connection = await self._connect()
            except BaseException:
                connection.abort()
                raise

    def _head(self, method: str, target: str, headers: Headers, body: bytes) -> bytes:
        length = b"Content-Length: %d\r\n" % len(body) if body or method not in ("GET", "HEAD") else b""
        return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (
            method.encode(),
            (self._before_target + target).encode(),
            self._fixed,
            _lines(headers),
            length,
        )

    def _take(self) -> _ClientConnection | None:
        """The connection used last, if it is still good."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost and now - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: _ClientConnection) -> None:
        may_stay = self._keeps_idle and not connection.is_retired
        if connection.is_reusable and len(self._idle) < MOST_IDLE and may_stay:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    async def _connect(self) -> _ClientConnection:
        if self._is_cut:
            raise NotConnected(f"connecting to {self._address}: cut off")
        loop = asyncio.get_running_loop()

        def protocol() -> _ClientConnection:
            return _ClientConnection(self._open)

        hostname = self._server_hostname
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self._unix_socket:
                    _, connection = await loop.create_unix_connection(
                        protocol, self._unix_socket, ssl=self._tls, server_hostname=hostname
                    )
                elif self._dial is not None:
                    connected = await self._dial(self._host, self._port)
                    _, connection = await loop.create_connection(
                        protocol, sock=connected, ssl=self._tls, server_hostname=hostname
                    )
                elif self._proxy is None:
                    _, connection = await loop.create_connection(
                        protocol, self._host, self._port, ssl=self._tls, server_hostname=hostname
                    )
                elif self._tls is None:
                    _, connection = await loop.create_connection(
                        protocol, self._proxy.hostname or "", self._proxy.port or 80
                    )
                else:
                    connection = await self._through_tunnel(self._proxy, self._tls)
        except TimeoutError as error:
            raise NotConnected(f"connecting to {self._address}: timed out") from error
        except OSError as error:  # includes ssl.SSLError
            raise NotConnected(f"connecting to {self._address}: {error}") from error
        return connection

    async def _through_tunnel(self, proxy: SplitResult, tls: SSLContext) -> _ClientConnection:
        host = f"[{self._host}]" if ":" in self._host else self._host
        transport = await open_tunnel(proxy, f"{host}:{self._port}")
        connection = _ClientConnection(self._open)
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, connection, tls, server_hostname=self._server_hostname
            )
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise ConnectionResetError("the connection was closed")
        connection.connection_made(secured)
        return connection

    @property
    def _address(self) -> str:
        return self._unix_socket or f"{self._host}:{self._port}"


class _ClientConnection(asyncio.Protocol):
    """One request at a time; the answer's body is taken with `read`."""

    def __init__(self, open_connections: set[_ClientConnection]) -> None:
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
        error = (_Stale if self._uses > 1 and not self.status else ConnectionFailed)(text)
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


@asynccontextmanager
async def _deadline(seconds: float | None) -> AsyncIterator[None]:
    if seconds is None:
        yield
        return
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ConnectionFailed(f"no answer within {seconds:g} s") from error


def _lines(headers: Headers) -> bytes:
    for name, value in headers:
        if "\n" in value or "\r" in value or "\n" in name:
            raise ValueError(f"line break in header {name!r}")
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
