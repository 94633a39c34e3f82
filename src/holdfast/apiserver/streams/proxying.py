"""The `/proxy` subresources: requests passed on to a pod, a service's pod or a node's agent, answers streamed back.

What says who the caller is stays here; redirects are passed on, not followed (A157).
Source: Kubernetes, k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go, transport.go.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack
from functools import cache
from urllib.parse import quote

from holdfast.api.errors import ApiError, ServiceUnavailable
from holdfast.apiserver import responses
from holdfast.apiserver.routing import Route
from holdfast.wire.client import ConnectionFailed, HttpClient, HttpResponse, HttpStream
from holdfast.wire.go_words import in_go_words
from holdfast.wire.http import Answer, Body, Headers, Request, Response, Streaming, Upgrade
from holdfast.wire.pumping import streamed
from holdfast.wire.tls import client_context

from . import proxy_targets
from .dialing import NodeDialer
from .links import PageRewriter, Rewriting
from .proxy_targets import Find, Location

CONNECT_WITHIN_S = 30.0
PIECE_BYTES = 64 << 10
"""As much of a page is rewritten in one turn of the loop."""

_OF_A_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
_OURS = frozenset(("authorization", "content-length", "expect", "host", "x-remote-group", "x-remote-uid",
                   "x-remote-user"))  # fmt: skip
"""Headers that are for the API server, or made anew."""
_OURS_BEGIN = ("impersonate-", "x-remote-extra-")
_TOKEN = "base64url.bearer.authorization.k8s.io."
"""Begins a bearer token among the subprotocols of a WebSocket."""
_CORS = frozenset(f"access-control-allow-{what}" for what in ("credentials", "headers", "methods", "origin"))
_PACKED = {"gzip": 31, "deflate": -15}
"""zlib's window bits for the codings that pages are unpacked from."""


class ApiProxy:
    """Answers requests for `/proxy`; the caller has asked who may."""

    def __init__(self, dialer: NodeDialer, find: Find, chance: random.Random) -> None:
        self._dialer = dialer
        self._find = find
        self._chance = chance

    def __call__(self, request: Request, route: Route) -> Answer | Awaitable[Answer]:
        """Raises ApiError for what nobody has to be asked about."""
        location = proxy_targets.locate(route.resource, route.namespace, route.name, self._find, self._chance)
        prefix, tail = split_path(request.path, is_namespaced=route.resource.namespaced)
        if request.upgrade:
            return self._upgrade(request, location, tail)
        if not tail and request.method in ("GET", "HEAD"):
            # Relative links of a page at `/proxy` would lead beside it.
            return Response(301, headers=(("Location", _with_query(f"{request.path}/", request.query)),))
        rewriting = Rewriting(prefix, {location.authority, request.headers.get("host", "")})
        return self._forward(request, location, tail, rewriting)

    def _client(self, request: Request, location: Location, stack: AsyncExitStack) -> HttpClient:
        if location.agent_of:
            return self._dialer.client(location.agent_of)
        context = _unverified() if location.scheme == "https" else None
        port = _port(location.port)
        url = f"{location.scheme}://{_bracketed(location.host)}{f':{port}' if port else ''}"
        host = request.headers.get("host", "")
        client = HttpClient(url, context, host=host, connect_timeout_s=CONNECT_WITHIN_S, dial=self._dialer.to_pods)
        stack.push_async_callback(client.close)
        return client

    async def _forward(self, request: Request, location: Location, tail: str, rewriting: Rewriting) -> Answer:
        target = _target(tail, request.query)
        asked = [*passed_on(request), ("X-Forwarded-Uri", request.path)]
        try:
            async with AsyncExitStack() as stack:
                client = self._client(request, location, stack)
                stream = await stack.enter_async_context(client.stream(request.method, target, asked, request.body))
                return await _answer(request, stream, rewriting, stack)
        except ConnectionFailed as error:
            words = _in_words(error, location)
            return responses.refusal(ServiceUnavailable(f"error trying to reach service: {words}"))
        except _NoPort as error:
            return responses.refusal(ServiceUnavailable(f"error trying to reach service: {error}"))
        except ApiError as error:  # the node has gone meanwhile
            return responses.refusal(error)

    async def _upgrade(self, request: Request, location: Location, tail: str) -> Answer:
        from .joining import upgraded

        asked = [*passed_on(request), ("Connection", "Upgrade"), ("Upgrade", request.headers["upgrade"])]
        try:
            async with AsyncExitStack() as stack:
                client = self._client(request, location, stack)
                target = _target(tail, request.query)
                answer = await upgraded(client, request.method, target, asked, _accepted, None)
        except ConnectionFailed as error:
            return responses.refusal(_Plain(f"error dialing backend: {_in_words(error, location)}"))
        except _NoPort as error:
            return responses.refusal(_Plain(f"error dialing backend: {error}"))
        except ApiError as error:
            return responses.refusal(error)
        if isinstance(answer, Upgrade):
            return answer
        if answer.status < 400:
            return responses.refusal(_Plain(f"invalid upgrade response: status code {answer.status}"))
        return Response(answer.status, answer.body, headers=passed_back(answer.header_lines))


class _Plain(ApiError):
    """An error that upstream passes on without a reason."""

    code, reason = 500, ""


class _NoPort(Exception):
    """What a dialer says of a port that is none."""


# -- requests


def split_path(path: str, *, is_namespaced: bool) -> tuple[str, str]:
    """The path up to and with `/proxy`, and what follows, as the client wrote it: an empty tail differs from `/`."""
    parts = path.split("/")
    length = 8 if is_namespaced else 6
    return "/".join(parts[:length]), "".join(f"/{part}" for part in parts[length:])


def passed_on(request: Request) -> list[tuple[str, str]]:
    """The client's headers as the backend gets them."""
    dropped = _OF_A_HOP | _OURS | _named(request.headers.get("connection", ""))
    headers = [
        (name.title(), value)
        for name, value in request.headers.items()
        if name not in dropped and not name.startswith(_OURS_BEGIN) and name != "x-forwarded-for"
    ]
    headers = [(name, _without_token(value)) if name == "Sec-Websocket-Protocol" else (name, value)
               for name, value in headers]  # fmt: skip
    addresses = [each for each in (request.headers.get("x-forwarded-for", ""), request.peer_address) if each]
    return [*headers, ("X-Forwarded-For", ", ".join(addresses))] if addresses else headers


def _named(connection: str) -> set[str]:
    return {name.strip().lower() for name in connection.split(",")}


def _without_token(offered: str) -> str:
    return ", ".join(each for each in map(str.strip, offered.split(",")) if not each.startswith(_TOKEN))


def _target(tail: str, query: str) -> str:
    encoded = _with_query(tail or "/", query).encode("latin-1")
    return quote(encoded, safe="/:?#[]@!$&'()*+,;=%\"<>\\^`{|}~")


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(text: str) -> int:
    """0 if there is none to name. Raises _NoPort in the dialer's words."""
    if not text:
        return 0
    if text.isascii() and text.isdigit():
        if len(text.lstrip("0")) > 5 or int(text) > 65535:
            raise _NoPort(f"dial tcp: address {text}: invalid port")
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, UnicodeError, ValueError):
        raise _NoPort(f"dial tcp: lookup tcp/{text}: unknown port") from None


def _in_words(error: ConnectionFailed, location: Location) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        if cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return "http: server gave HTTP response to HTTPS client"
        return f"tls: {cause.reason or cause}".lower().replace("_", " ")
    if isinstance(cause, OSError):
        authority = location.authority
        if not location.port:
            authority += ":443" if location.scheme == "https" else ":80"
        return in_go_words(cause, authority)
    return "EOF" if str(error) == "the connection was closed" else str(error)


@cache
def _unverified() -> ssl.SSLContext:
    """Upstream does not check the certificates of pods: nobody gave them names."""
    return client_context(verify=False)


# -- answers


async def _answer(request: Request, stream: HttpStream, rewriting: Rewriting, stack: AsyncExitStack) -> Answer:
    """What goes back; the connection to the backend lasts as long as its body."""
    status, headers = stream.status, passed_back(stream.header_lines)
    if location := stream.headers.get("location", ""):
        headers = [each for each in headers if each[0].lower() != "location"]
        headers.append(("Location", rewriting.link(location)))
    if status in (204, 304):
        return Response(status, headers=headers)
    length = _length(stream.headers)
    if request.method == "HEAD":
        return Streaming(status, "", headers, _nothing, length)
    coding = stream.headers.get("content-encoding", "")
    is_page = stream.headers.get("content-type", "").partition(";")[0].strip() == "text/html"
    if not location and is_page and (not coding or coding in _PACKED):
        headers = [each for each in headers if each[0].lower() != "content-encoding"]
        pieces = _rewritten(stream, PageRewriter(rewriting), coding, stack.pop_all())
        return streamed(status, "", headers, pieces)
    return streamed(status, "", headers, _pieces(stream, stack.pop_all()), length)


def passed_back(headers: Headers) -> list[tuple[str, str]]:
    """The backend's headers as the client gets them; Content-Length is the connection's to write."""
    dropped = _OF_A_HOP | _CORS | {"content-length"}
    dropped |= {each for name, value in headers if name.lower() == "connection" for each in _named(value)}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _accepted(answer: HttpResponse) -> Headers:
    return [("Upgrade", answer.headers.get("upgrade", "")), ("Connection", "Upgrade"),
            *((name, value) for name, value in answer.header_lines if name.lower() not in _OF_A_HOP)]  # fmt: skip


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _nothing(body: Body) -> None:
    """An answer to HEAD has no body to begin."""


async def _pieces(stream: HttpStream, connection: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    async with connection:
        async for piece in stream:
            yield piece


async def _rewritten(
    stream: HttpStream, page: PageRewriter, coding: str, connection: AsyncExitStack
) -> AsyncGenerator[bytes, None]:
    async with connection:
        async for piece in _unpacked(stream, coding):
            if written := page.feed(piece):
                yield written
            await asyncio.sleep(0)
        if written := page.finish():
            yield written


async def _unpacked(stream: HttpStream, coding: str) -> AsyncGenerator[bytes, None]:
    """In pieces of a bounded size, whatever they were packed to."""
    unpacker = zlib.decompressobj(_PACKED[coding]) if coding else None
    async for piece in stream:
        if unpacker is None:
            for begin in range(0, len(piece), PIECE_BYTES):
                yield piece[begin : begin + PIECE_BYTES]
            continue
        while piece:
            yield unpacker.decompress(piece, PIECE_BYTES)
            piece = unpacker.unconsumed_tail
    if unpacker is not None:
        yield unpacker.flush()
        if not unpacker.eof:
            raise ConnectionFailed("the packed page has no end")
