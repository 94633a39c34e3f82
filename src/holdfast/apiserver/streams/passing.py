"""Passes requests for a pod's streams to its node's agent, and the answers back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack

from holdfast.api.errors import ApiError, BadRequest, InternalError, NotFound
from holdfast.api.resource import Manifest
from holdfast.apiserver import responses
from holdfast.apiserver.options import Query
from holdfast.wire.client import ConnectionFailed, HttpClient, HttpResponse, HttpStream
from holdfast.wire.http import Answer, Headers, Request, Response, Upgrade
from holdfast.wire.pumping import streamed
from holdfast.world import Clock

from . import targets
from .dialing import NodeDialer
from .joining import upgraded

HEAD_WITHIN_S = 30.0
"""How long an agent may take to answer."""
_ASKED = ("upgrade", "connection", "x-stream-protocol-version")
_ANSWERED = (
    "upgrade",
    "connection",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "x-stream-protocol-version",
)


class PodStreams:
    """Answers `log`, `exec`, `attach` and `portforward` of pods; the caller has found the pod and asked who may."""

    def __init__(self, dialer: NodeDialer, clock: Clock) -> None:
        self._dialer = dialer
        self._clock = clock

    def __call__(self, request: Request, pod: Manifest, subresource: str, query: Query) -> Answer | Awaitable[Answer]:
        """Raises ApiError for what needs no agent to be refused."""
        if subresource not in ("log", "exec", "attach", "portforward"):
            raise NotFound("the server could not find the requested resource")
        target = targets.target(pod, subresource, query, self._clock.now())
        if not target:
            return Response(204)
        client = self._dialer.client(targets.node_of(pod))
        if subresource == "log" and request.upgrade != "websocket":
            return _passed(_log(client, target))
        if not request.upgrade:
            raise BadRequest("Upgrade request required")
        return _passed(_upgrade(client, target, request))

    async def close(self) -> None:
        await self._dialer.close()


async def _passed(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except ConnectionFailed as error:
        return responses.refusal(InternalError(f"error dialing backend: {error}"))
    except ApiError as error:
        return responses.refusal(error)


async def _log(client: HttpClient, target: str) -> Answer:
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(client.stream("GET", target, timeout=HEAD_WITHIN_S))
        if stream.status != 200:
            return Response(stream.status, await stream.read_all(), stream.headers.get("content-type", ""))
        return streamed(200, "text/plain", responses.DYNAMIC, _pieces(stream, stack.pop_all()))
    raise AssertionError


async def _pieces(stream: HttpStream, connection: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    async with connection:
        async for piece in stream:
            yield piece


async def _upgrade(client: HttpClient, target: str, request: Request) -> Answer:
    asked = [
        (name, value)
        for name, value in request.headers.items()
        if name in _ASKED or (name.startswith("sec-websocket-") and name != "sec-websocket-extensions")
    ]
    answer = await upgraded(client, request.method, target, asked, _accepted, HEAD_WITHIN_S)
    if isinstance(answer, Upgrade):
        return answer
    return _refused(answer.status, answer.headers, answer.body)


def _accepted(answer: HttpResponse) -> Headers:
    return [(name.title(), answer.headers[name]) for name in _ANSWERED if name in answer.headers]


def _refused(status: int, headers: dict[str, str], body: bytes) -> Response:
    accepted = headers.get("x-accepted-stream-protocol-versions", "")
    passed = [("X-Accepted-Stream-Protocol-Versions", version) for version in accepted.split(", ") if version]
    return Response(status, body, headers.get("content-type", ""), passed)
