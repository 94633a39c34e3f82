"""An HTTP/1.1 client: kept-alive connections to one server, streamed answers, upgrades."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Self
from urllib.parse import urlsplit

from .client_connection import ClientConnection, ConnectionFailed, Headers, HttpResponse, NotConnected, Stale, Start
from .connecting import Destination, Dial
from .proxies import credentials_header

__all__ = ["ConnectionFailed", "Dial", "Headers", "HttpClient", "HttpResponse", "HttpStream", "NotConnected"]

IDLE_S = 60.0
"""Kept-alive connections older than this are not used again: the server may be about to close them."""
MOST_IDLE = 32
_REPEATABLE = frozenset({"GET", "HEAD"})


class HttpStream:
    """An answer whose body is read as it comes: iterate over it."""

    def __init__(self, connection: ClientConnection) -> None:
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
        if parts.scheme == "https" and ssl_context is None:
            raise ValueError("https needs an SSL context")
        self._tls = ssl_context if parts.scheme == "https" else None
        name = parts.hostname or "localhost"
        self._destination = Destination(
            name,
            parts.port or (443 if self._tls else 80),
            self._tls,
            (server_hostname or name) if self._tls else None,
            unix_socket,
            dial,
            urlsplit(proxy) if proxy else None,
        )
        authority = host or parts.netloc.rpartition("@")[2] or "localhost"
        self._before_target = ""
        if self._destination.proxy is not None and self._tls is None:  # it is asked for the whole URL
            self._before_target = f"http://{authority}"
            headers = (*headers, *credentials_header(self._destination.proxy))
        self._fixed = _lines((("Host", authority), *headers))
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
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
    ) -> ClientConnection:
        """A connection on which the head of the answer has arrived."""
        head = self._head(method, target, headers, body)
        connection = self._take() or await self._connect()
        while True:
            try:
                await connection.send(method, head + body)
                return connection
            except Stale:
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

    def _take(self) -> ClientConnection | None:
        """The connection used last, if it is still good."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost and now - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: ClientConnection) -> None:
        may_stay = self._keeps_idle and not connection.is_retired
        if connection.is_reusable and len(self._idle) < MOST_IDLE and may_stay:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    async def _connect(self) -> ClientConnection:
        if self._is_cut:
            raise NotConnected(f"connecting to {self._destination}: cut off")
        return await self._destination.connect(lambda: ClientConnection(self._open), self._connect_timeout_s)


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
