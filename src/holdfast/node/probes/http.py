"""The HTTP probe: one request on one connection, the status line read, the connection dropped (N114, R151)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urljoin, urlsplit

from holdfast.wire.go_words import in_go_words

from . import Answer, Result

if TYPE_CHECKING:
    import ssl

USER_AGENT = "kube-probe/1.36"
MOST_REDIRECTS = 10
LONGEST_HEAD = 64 << 10


@dataclass(frozen=True, slots=True)
class Request:
    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def encoded(self) -> bytes:
        given = {name.lower() for name, _ in self.headers}
        lines = [f"GET {self.path} HTTP/1.1"]
        if "host" not in given:
            lines.append(f"Host: {self.authority}")
        if "user-agent" not in given:
            lines.append(f"User-Agent: {USER_AGENT}")
        if "accept" not in given:
            lines.append("Accept: */*")
        lines += [f"{name}: {value}" for name, value in self.headers if value or name.lower() != "accept"]
        lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]


async def get(request: Request, timeout_s: float) -> Answer:
    """The probe's verdict on one GET, redirects on the same host followed."""
    asked = request
    try:
        async with asyncio.timeout(timeout_s):
            for _ in range(MOST_REDIRECTS):
                response = await fetch(asked)
                target = response.headers.get("location")
                if response.status not in (301, 302, 303, 307, 308) or not target:
                    return _judge(response)
                following = redirected(asked, target)
                if following is None:
                    return Answer(Result.WARNING, f"Probe terminated redirects, Response body: {target}")
                asked = following
            return Answer(Result.WARNING, "Probe terminated redirects, Response body: stopped after 10 redirects")
    except TimeoutError:
        return Answer(
            Result.FAILURE,
            f'Get "{asked.url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        )
    except OSError as error:
        return Answer(Result.FAILURE, f'Get "{asked.url}": {in_go_words(error, asked.authority)}')
    except ValueError as error:
        return Answer(Result.FAILURE, f'Get "{asked.url}": {error}')


def _judge(response: Response) -> Answer:
    if 200 <= response.status < 400:
        return Answer(Result.SUCCESS)
    return Answer(Result.FAILURE, f"HTTP probe failed with statuscode: {response.status}")


def redirected(request: Request, location: str) -> Request | None:
    """Where to go on; None if the redirect leads to another host (N114)."""
    parts = urlsplit(urljoin(request.url, location))
    if parts.scheme not in ("http", "https") or (parts.hostname or "") != request.host:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Request(parts.scheme, request.host, port, path, request.headers)


async def fetch(request: Request) -> Response:
    """The head of the answer. Raises OSError, ValueError for what is not HTTP."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        lambda: _Exchange(request.encoded(), loop.create_future()),
        request.host,
        request.port,
        ssl=_unverified() if request.scheme == "https" else None,
    )
    try:
        return await protocol.response
    finally:
        protocol.drop()


class _Exchange(asyncio.Protocol):
    """Sends the request, reads as far as the end of the head."""

    def __init__(self, request: bytes, response: asyncio.Future[Response]) -> None:
        self.response = response
        self._request = request
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.response.done():
            return
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end >= 0 or len(self._received) > LONGEST_HEAD:
            try:
                self.response.set_result(parse_head(bytes(self._received[:end] if end >= 0 else self._received)))
            except ValueError as error:
                self.response.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.response.done():
            return
        if self._received:
            try:
                self.response.set_result(parse_head(bytes(self._received)))
            except ValueError as error:
                self.response.set_exception(error)
        else:
            self.response.set_exception(exc or ConnectionResetError("EOF"))

    def drop(self) -> None:
        """Nothing stays open behind a probe (N240)."""
        if self._transport is not None:
            self._transport.abort()
        if self.response.done() and not self.response.cancelled():
            self.response.exception()


def parse_head(head: bytes) -> Response:
    """Status and headers (names in lower case). Raises ValueError in Go's words."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise ValueError(f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{first[:100]}"')
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return Response(int(words[1]), headers)


@cache
def _unverified() -> ssl.SSLContext:
    """One context for all probes: certificates are not checked."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
