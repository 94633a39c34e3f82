"""Requests for one repository to one endpoint: authorized, redirected, their failures named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ssl import SSLContext
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from holdfast import __version__
from holdfast.wire.client import ConnectionFailed, Headers, HttpClient, HttpResponse, HttpStream, NotConnected
from holdfast.wire.go_words import in_go_words
from holdfast.wire.proxies import DEFAULT_PORTS, proxy_for
from holdfast.wire.tls import client_context

from .authorization import Authorization, status_words
from .failures import Broken, Denied, NotFound, PullFailed, Unreachable
from .settings import Endpoint

HEAD_WITHIN_S = 60.0
CONNECT_WITHIN_S = 10.0
MOST_REDIRECTS = 8
MOST_ERROR_BYTES = 1 << 20
LONGEST_RETRY_AFTER_S = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Session:
    """An endpoint's connections. `repository` is the name there. A context manager."""

    def __init__(self, endpoint: Endpoint, repository: str) -> None:
        self.endpoint = endpoint
        self.repository = f"{endpoint.path}{repository}"
        self._base = f"{endpoint.url}/v2/{self.repository}/"
        self._clients: dict[str, HttpClient] = {}
        self._tls: SSLContext | None = None
        is_secure = endpoint.url.startswith("https:") and endpoint.is_verified
        self._authorization = Authorization(
            self.repository, endpoint.credentials, self._ask_for_token, is_secure=is_secure
        )
        self._authorizing = asyncio.Lock()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, headers: Headers = (), handled: frozenset[int] = frozenset()
    ) -> AsyncIterator[HttpStream]:
        """The answer to a GET or HEAD of `path` below the repository: of success, or of a status among `handled`.

        Raises PullFailed, also where the answer's body breaks off.
        """
        url = self._base + path
        async with AsyncExitStack() as stack:
            try:
                answer = await self._authorized(stack, method, url, headers)
            except ConnectionFailed as error:
                raise _failure(error, f'failed to do request: {method.title()} "{url}"', url) from error
            if answer.status >= 300 and answer.status not in handled:
                raise await _refusal(answer, method, url)
            try:
                yield answer
            except ConnectionFailed as error:
                raise _failure(error, f'{method.title()} "{url}"', url) from error

    async def _authorized(self, stack: AsyncExitStack, method: str, url: str, headers: Headers) -> HttpStream:
        """The answer, after what it takes to be let in: a challenge, and once more if a token has become too old."""
        for _ in range(3):
            mine = self._authorization.headers
            answer, is_own = await self._followed(stack, method, url, headers, mine)
            if answer.status != 401 or not is_own:
                break
            async with self._authorizing:
                if not await self._authorization.answer(answer.headers.get("www-authenticate", ""), mine):
                    break
        return answer

    async def _followed(
        self, stack: AsyncExitStack, method: str, url: str, headers: Headers, mine: Headers
    ) -> tuple[HttpStream, bool]:
        """The answer behind all redirects, and whether the endpoint itself gave it: only it learns who we are."""
        for _ in range(MOST_REDIRECTS):
            origin = _origin(url)
            is_own = origin == _origin(self.endpoint.url)
            stream = self._client(origin).stream(
                method, _target(url), (*headers, *(mine if is_own else ())), timeout=HEAD_WITHIN_S
            )
            answer = await stack.enter_async_context(stream)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer, is_own
            url = urljoin(url, answer.headers["location"])
            if urlsplit(url).scheme not in ("https", urlsplit(origin).scheme):
                raise Denied(f"the registry redirects to {_origin(url)}, which is less safe than {origin}")
        raise PullFailed(f"stopped after {MOST_REDIRECTS} redirects")

    async def _ask_for_token(self, url: str, headers: Headers) -> HttpResponse:
        try:
            return await self._client(_origin(url)).request("GET", _target(url), headers, timeout=HEAD_WITHIN_S)
        except ConnectionFailed as error:
            raise _failure(error, f'failed to authorize: failed to fetch token: Get "{url}"', url) from error

    def _client(self, origin: str) -> HttpClient:
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = HttpClient(
                origin,
                self._context() if origin.startswith("https:") else None,
                headers=(("User-Agent", f"holdfast/{__version__}"),),
                connect_timeout_s=CONNECT_WITHIN_S,
                proxy=proxy_for(origin, os.environ),
            )
        return client

    def _context(self) -> SSLContext:
        if self._tls is None:
            self._tls = client_context(verify=self.endpoint.is_verified)
            if self.endpoint.ca:
                try:
                    self._tls.load_verify_locations(self.endpoint.ca)
                except OSError as error:
                    raise PullFailed(f"{self.endpoint.ca}: {error.strerror or error}") from error
        return self._tls


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{host}" + ("" if port == DEFAULT_PORTS.get(parts.scheme) else f":{port}")


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _failure(error: ConnectionFailed, what: str, url: str) -> PullFailed:
    """What befell a request for `url`, as Go's client tells it."""
    parts = urlsplit(url)
    authority = f"{parts.hostname}:{parts.port or DEFAULT_PORTS.get(parts.scheme, 0)}"
    cause = error.__cause__
    words = in_go_words(cause, authority) if isinstance(cause, OSError) else str(error)
    if words == "the connection was closed":
        words = "unexpected EOF"
    return (Unreachable if isinstance(error, NotConnected) else Broken)(f"{what}: {words}")


async def _refusal(answer: HttpStream, method: str, url: str) -> PullFailed:
    told = "" if method == "HEAD" else await _told(answer)
    message = f"unexpected status from {method} request to {url}: {status_words(answer.status)}{told}"
    if answer.status == 404:
        return NotFound(message)
    if answer.status in (401, 403):
        return Denied(message)
    if answer.status == 429 or answer.status >= 500:
        return Broken(message, _retry_after_s(answer))
    return PullFailed(message)


async def _told(answer: HttpStream) -> str:
    """The registry's own words, if it has some: `: DENIED: requested access is denied`."""
    body = b""
    try:
        async with asyncio.timeout(HEAD_WITHIN_S):
            async for data in answer:
                body += data
                if len(body) > MOST_ERROR_BYTES:
                    return ""
        first: Any = msgspec.json.decode(body)["errors"][0]
        words = ": ".join(str(first[member]) for member in ("code", "message") if first.get(member))
    except (ConnectionFailed, TimeoutError, msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return ""
    return f": {words[:300]}" if words else ""


def _retry_after_s(answer: HttpStream) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isdigit() else 0.0
