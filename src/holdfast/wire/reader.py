"""From bytes to requests: the server's side of HTTP/1.1 without any I/O, over llhttp.

llhttp is strict about what makes smuggling possible: both framings at once, repeated lengths, a
transfer coding that does not end in chunked, white space around names, bare line feeds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import httptools

from .messages import Limits, Request

UPGRADES = frozenset({"websocket", "spdy/3.1"})


class Phase(Enum):
    """What the next byte belongs to."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no more requests are read from this connection."""

    status: int
    text: str
    too_large: Request | None = None
    """The request, without its body, if that was too large."""


class _Refused(Exception):
    """Stops the parser from inside a callback."""


class RequestReader:
    """Feed it bytes; take requests from `ready`, in order; then look at `refusal`.

    A request to upgrade stops it: bytes behind go to `rest`, until `go_on` says that HTTP continues.
    """

    def __init__(self, limits: Limits) -> None:
        self.ready: deque[Request] = deque()
        self.phase = Phase.IDLE
        self.refusal: Refusal | None = None
        self.upgrading = False
        self.rest = b""
        self.wants_continue = False
        """The client waits for `100 Continue` before it sends the body."""
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._muted = False
        self._ignored_upgrade = False
        self._has_seen = False
        self._head_bytes = 0
        self._unseen_bytes = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._request = _NO_REQUEST
        self._body: bytes | bytearray = b""
        self._body_bytes = 0

    def feed(self, data: bytes) -> None:
        """Takes in `data`; results are in the attributes."""
        if self.upgrading:
            self.rest += data
            return
        self._has_seen = False
        rest = data
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError as error:
            if self.refusal is None:
                self.refusal = _refusal_of(error)
            return
        if self.phase is not Phase.IDLE and not self._has_seen:
            # A name or value that is still under way, or a chunk's extension, is with the parser, out of our sight.
            self._unseen_bytes += len(data)
            if self._head_bytes + self._unseen_bytes > self._limits.head_bytes:
                self.refusal = _HEAD_TOO_LARGE

    def _parse(self, data: bytes) -> bytes:
        """What of `data` is still to be parsed. Raises HttpParserError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._leave_http(data[upgrade.args[0] :])
        return b""

    def go_on(self) -> None:
        """The upgrade was not granted: what follows is HTTP."""
        rest, self.rest, self.upgrading = self.rest, b"", False
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self.feed(rest)

    def _leave_http(self, rest: bytes) -> bytes:
        """llhttp stops at any Upgrade header (curl offers h2c) and at CONNECT; only ours are meant.

        Returns what is HTTP all the same. Raises HttpParserError.
        """
        if not self._ignored_upgrade:
            self.rest = rest
            return b""
        self._ignored_upgrade = False
        self._parser = httptools.HttpRequestParser(self)
        if framing := _framing(self._request):
            self.phase = Phase.BODY
            self._muted = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing)
            self._muted = False
        else:
            self._complete()
        return rest

    def on_message_begin(self) -> None:
        if self._muted:
            return
        if self.refusal is not None:
            raise _Refused
        self._has_seen = True
        self.phase = Phase.HEAD
        self._url = b""
        self._headers = {}
        self._header_count = self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        if self._muted:
            return
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._muted:
            return
        self._count_head(len(name) + len(value) + 4)
        if self.phase is Phase.BODY:
            return  # a trailer: nobody asks for those
        self._header_count += 1
        if self._header_count > self._limits.headers:
            self._refuse(431, "too many header fields")
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        known = self._headers.get(key)
        if known is None:
            self._headers[key] = text
        elif key == "host":
            self._refuse(400, "too many Host headers")
        else:
            self._headers[key] = f"{known}; {text}" if key == "cookie" else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        if self._muted:
            return
        parser, headers = self._parser, self._headers
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(505, "unsupported protocol version")
        if version == "1.1" and "host" not in headers:
            self._refuse(400, "missing required Host header")
        path, query = _split(self._url.decode("latin-1"))
        self._request = request = Request(
            method=parser.get_method().decode("latin-1"),
            path=path,
            query=query,
            headers=headers,
            http10=version == "1.0",
            keep_alive=parser.should_keep_alive(),
        )
        self.phase = Phase.BODY
        length = int(headers.get("content-length") or 0)
        if length > self._limits.body_bytes:
            self._refuse_body()
        if "expect" in headers and not request.http10:
            self._expect(headers["expect"], bool(length) or "transfer-encoding" in headers)
        if parser.should_upgrade():
            self._on_upgrade(request)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._refuse_body()
        self.wants_continue = False
        self._has_seen = True
        self._unseen_bytes = 0
        if not self._body:
            self._body = body
            return
        if not isinstance(self._body, bytearray):
            self._body = bytearray(self._body)
        self._body += body

    def on_message_complete(self) -> None:
        if not self._ignored_upgrade:
            self._complete()

    def _complete(self) -> None:
        if self._body:
            self._request.body = bytes(self._body)
            self._body = b""
        self.wants_continue = False
        self.ready.append(self._request)
        self._request = _NO_REQUEST
        self.phase = Phase.IDLE

    def _on_upgrade(self, request: Request) -> None:
        protocol = request.headers.get("upgrade", "").lower()
        if protocol not in UPGRADES or request.http10:
            self._ignored_upgrade = True
        elif _framing(request):
            self._refuse(400, "a request to upgrade must not have a body")
        else:
            request.upgrade = protocol
            self.upgrading = True

    def _expect(self, expectation: str, has_body: bool) -> None:
        if expectation.lower() != "100-continue":
            self._refuse(417, "unknown expectation")
        self.wants_continue = has_body

    def _count_head(self, size: int) -> None:
        self._unseen_bytes = 0
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            self.refusal = _HEAD_TOO_LARGE
            raise _Refused

    def _refuse(self, status: int, text: str) -> None:
        self.refusal = Refusal(status, text)
        raise _Refused

    def _refuse_body(self) -> None:
        self._body = b""
        self.refusal = Refusal(413, "request entity too large", self._request)
        raise _Refused


_NO_REQUEST = Request("", "", "", {})
_HEAD_TOO_LARGE = Refusal(431, "request header fields too large")


def _framing(request: Request) -> bytes:
    """The head lines that say how the request's body ends; empty if it has none."""
    if coding := request.headers.get("transfer-encoding"):
        return b"Transfer-Encoding: %b\r\n\r\n" % coding.encode("latin-1")
    length = int(request.headers.get("content-length") or 0)
    return b"Content-Length: %d\r\n\r\n" % length if length else b""


def _split(target: str) -> tuple[str, str]:
    """Path and query of a request target in any of its forms."""
    if not target.startswith("/"):
        scheme, found, rest = target.partition("://")
        if found and scheme.isalpha():
            slash, question = rest.find("/"), rest.find("?")
            if slash >= 0 and (question < 0 or slash < question):
                target = rest[slash:]
            else:
                target = "/" + (rest[question:] if question >= 0 else "")
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def _refusal_of(error: httptools.HttpParserError) -> Refusal:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refusal(400, "unknown method")
    text = str(error)
    if text.startswith("Invalid HTTP version"):
        return Refusal(505, "unsupported protocol version")
    return Refusal(400, text or "malformed request")
