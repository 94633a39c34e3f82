"""From a request to an answer: who is it, may they, what do they want, in which form.

Synchronous for everything that only reads; what writes, or has to wait, comes back as a coroutine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from holdfast.api.errors import (
    ApiError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
)
from holdfast.api.resource import Manifest
from holdfast.wire.messages import Answer, Request, Response
from holdfast.wire.prometheus import CONTENT_TYPE

from . import connections, health, page, responses, routing
from .asked import Asked, Forms
from .auth import impersonation, issuer
from .auth.authentication import authenticate
from .auth.request_info import attributes
from .auth.user import User
from .call import Call
from .compression import compressed
from .conversion_webhooks import is_converting
from .negotiation import JSON, choose, wants_discovery, wants_pretty
from .options import Query, first, flag, parse_query
from .reads import Reads
from .responses import Style
from .routing import Route
from .writes import Writes

if TYPE_CHECKING:
    from .server import ApiServer

log = logging.getLogger(__name__)

CONNECTING = ("log", "exec", "attach", "portforward")
"""Subresources that reach through to a node's agent, or end at it."""

STARTING = ("pods/exec", "pods/attach", "pods/portforward")

OTHER_PATHS = (
    issuer.CONFIGURATION_PATH,
    "/metrics",
    issuer.KEYS_PATH,
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/version",
)
"""Neither of discovery nor of health."""


_A = TypeVar("_A", bound=Answer)


class Streams(Protocol):
    """What answers requests that go through to a pod: `holdfast.apiserver.streams.handle`."""

    def __call__(
        self, request: Request, pod: Manifest, subresource: str, query: Query
    ) -> Answer | Awaitable[Answer]: ...


class Proxy(Protocol):
    """What answers requests for `/proxy`: `holdfast.apiserver.streams.proxying`."""

    def __call__(self, request: Request, route: Route) -> Answer | Awaitable[Answer]: ...


class Handler:
    """Answers the requests of one API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        forms = Forms(server)
        self._reads, self._writes = Reads(server, forms), Writes(server, forms)

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        style = Style()
        if page.is_ours(request.path):
            return page.answer(request.method, request.path) or responses.not_found_page()
        try:
            query = parse_query(request.query)
            pretty = first(query, "pretty") if "pretty" in query else None
            style = Style(pretty=wants_pretty(request.query, pretty, request.headers.get("user-agent", "")))
            user = self._admit(request, query)
            return compressed(request, self._answer(request, query, user, style))
        except ApiError as error:
            return responses.refusal(error, style)
        except Exception as error:  # the edge: one request must not take the server down
            return failed(request, error)

    def _admit(self, request: Request, query: Query) -> User:
        """The user, if they may. Raises Unauthorized, Forbidden."""
        server = self._server
        user = authenticate(request.headers, request.peer_certificate, server.tokens, server.world.clock.now())
        asked = attributes(request.method, request.path, query)
        questions = [asked]
        if asked.full_resource in STARTING and asked.verb == "get":
            questions.append(replace(asked, verb="create"))  # whatever the method, a program starts (A164)
        wanted = impersonation.wanted(request.headers)
        acting = wanted.user if wanted else user
        for question in questions:
            if wanted:
                impersonation.check(server.authorizer, user, wanted, question)
            server.authorizer.check(acting, question)
        return acting

    # -- paths

    def _answer(self, request: Request, query: Query, user: User, style: Style) -> Answer | Awaitable[Answer]:
        target = routing.parse(request.path, self._server.kinds)
        if isinstance(target, Route):
            return self._on_resource(request, query, user, style, target)
        if isinstance(target, routing.Discovery):
            return self._discover(request, target, style)
        if isinstance(target, routing.Missing):
            return self._missing(target.is_status)
        return self._outside(request, query, style)

    def _missing(self, is_status: bool) -> Response:
        if not is_status:
            return responses.not_found_page()
        raise NotFound("the server could not find the requested resource", has_details=True)

    def _discover(self, request: Request, target: routing.Discovery, style: Style) -> Answer:
        if request.method != "GET":
            raise not_allowed()
        discovery, accept = self._server.discovery, request.headers.get("accept", "")
        if not target.group and not target.version and (form := wants_discovery(accept)):
            body, tag = discovery.aggregated(is_legacy=target.is_legacy, version=form)
            return _tagged(request, body, f"{JSON};g=apidiscovery.k8s.io;v={form};as=APIGroupDiscoveryList", tag)
        style = Style(choose(accept), style.pretty)
        if target.version:
            return responses.encoded(200, discovery.resources(target.group, target.version), style)
        if target.group:
            return responses.encoded(200, discovery.group(target.group), style)
        return responses.encoded(200, discovery.versions if target.is_legacy else discovery.group_list, style)

    def _outside(self, request: Request, query: Query, style: Style) -> Answer:
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            return responses.not_found_page()
        if path == "/version":
            return responses.document(200, health.version(), style)
        if path == "/metrics":
            return Response(200, self._server.tally.text(self._server.cache).encode(), CONTENT_TYPE)
        if path == "/":
            paths = (*OTHER_PATHS, *self._server.discovery.paths, *health.paths(self._server.checks))
            return responses.document(200, {"paths": sorted(paths)}, style)
        if path.startswith("/openapi/"):
            return self._server.openapi(request) or responses.not_found_page()
        if found := issuer.handle(path, self._server.config.address, self._server.tokens.accounts.key):
            return found
        endpoint, _, only = path[1:].partition("/")
        if endpoint in health.NAMES:
            report = health.report(
                endpoint, self._server.checks, only=only, excluded=query.get("exclude", ()), verbose="verbose" in query
            )
            return responses.text(*report) if report else responses.not_found_page()
        return responses.not_found_page()

    # -- resources

    def _on_resource(
        self, request: Request, query: Query, user: User, style: Style, route: Route
    ) -> Answer | Awaitable[Answer]:
        verb = routing.verb_of(request.method, route, flag(query, "watch"))
        if not verb:
            raise not_allowed()
        tally = self._server.tally
        try:
            answer = self._on_verb(request, query, user, style, route, verb)
        except ApiError as error:
            tally.count(route, verb, error.code)
            raise
        return tally.counted(route, verb, answer)

    def _on_verb(
        self, request: Request, query: Query, user: User, style: Style, route: Route, verb: str
    ) -> Answer | Awaitable[Answer]:
        if route.subresource == "proxy" and not self._is_reviewed(route):
            return self._proxied(request, route)
        if route.subresource != "proxy":
            style = Style(choose(request.headers.get("accept", ""), is_watch=verb == "watch"), style.pretty)
        call = Call(user, route.resource, route.namespace, route.name, route.subresource)
        if route.resource.deprecation:
            call.warnings.append(route.resource.deprecation)
        asked = Asked(request, query, user, route, call, style)
        if route.subresource in CONNECTING or route.subresource == "proxy":
            return self._reviewed(asked) if self._is_reviewed(route) else self._connect(asked)
        if route.resource.is_measured:
            if self._server.metrics is None:
                raise ServiceUnavailable("the server is currently unable to handle the request")
            measured = self._server.metrics.answer(call, query, style, is_list=verb == "list")
            return self._settled(asked, measured)
        if verb in ("get", "list", "watch"):
            if is_converting(route.resource):
                return self._settled(asked, self._found_out(asked, verb))
            try:
                return self._reads.answer(asked, verb)
            except ApiError as error:
                return responses.refusal(error, style, call.warnings)
        return self._shielded(asked, self._writes.answer(asked, verb))

    async def _found_out(self, asked: Asked, verb: str) -> Answer:
        """To get, list or watch what a webhook has to convert first."""
        since = first(asked.query, "resourceVersion") if verb == "watch" else ""
        is_of_all = verb != "get"
        since_revision = int(since) if since.isdecimal() else None
        await self._server.api.find_out(asked.call, is_of_all=is_of_all, since=since_revision)
        answer = self._reads.answer(asked, verb)
        return await answer if isinstance(answer, Awaitable) else answer

    def _is_reviewed(self, route: Route) -> bool:
        """Others have a say in the connection."""
        return route.subresource in connections.REVIEWED and self._server.api.dynamic.is_active

    async def _reviewed(self, asked: Asked) -> Answer:
        """The connection, if nobody who is asked objects (A247)."""
        from .admission.dynamic.attempt import connecting

        call, route = asked.call, asked.route
        try:
            await self._server.api.dynamic.review(connecting(call, connections.options_of(call, route, asked.query)))
            is_proxy = route.subresource == "proxy"
            answer = self._proxied(asked.request, route) if is_proxy else self._connect(asked)
            return await answer if isinstance(answer, Awaitable) else answer
        except ApiError as error:
            return responses.refusal(error, asked.style, call.warnings)

    def _connect(self, asked: Asked) -> Answer | Awaitable[Answer]:
        pod = self._server.api.get(asked.call).manifest
        if self._server.streams is None:
            raise NotFound("the server could not find the requested resource", has_details=True)
        return self._server.streams(asked.request, pod, asked.route.subresource, asked.query)

    def _proxied(self, request: Request, route: Route) -> Answer | Awaitable[Answer]:
        """What the backend makes of the request is its own: nothing of it is read here."""
        if self._server.proxy is None:
            raise NotFound("the server could not find the requested resource", has_details=True)
        return self._server.proxy(request, route)

    # -- what waits

    async def _shielded(self, asked: Asked, work: Coroutine[Any, Any, Response]) -> Response:
        """A write that has begun is finished, whether or not the client waits for it."""
        return await asyncio.shield(asyncio.ensure_future(self._settled(asked, work)))

    async def _settled(self, asked: Asked, work: Coroutine[Any, Any, _A]) -> _A | Response:
        try:
            return await work
        except ApiError as error:
            return responses.refusal(error, asked.style, asked.call.warnings)
        except Exception as error:  # the edge, as above
            return failed(asked.request, error)


def not_allowed() -> MethodNotAllowed:
    return MethodNotAllowed("the server does not allow this method on the requested resource", has_details=True)


def too_large(request: Request) -> Response:
    """The answer to a body over the limit (A14)."""
    return responses.refusal(RequestEntityTooLarge("Request entity too large: limit is 3145728"))


def failed(request: Request, error: Exception) -> Response:
    """The answer to a request that broke something in here (A61)."""
    log.error("request failed: %s %s", request.method, request.path, exc_info=error)
    return responses.refusal(InternalError(f"Internal error occurred: {type(error).__name__}: {error}"))


def _tagged(request: Request, body: bytes, content_type: str, tag: str) -> Response:
    headers = (("ETag", tag), ("Vary", "Accept"), ("Cache-Control", "public"))
    if request.headers.get("if-none-match") == tag:
        return Response(304, b"", "", headers)
    return Response(200, body, content_type, headers)
