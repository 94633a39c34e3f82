"""From a request to an answer: who is it, may they, what do they want, in which form.

Synchronous for everything that only reads; what writes, or has to wait, comes back as a coroutine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from holdfast.api.errors import (
    ApiError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
)
from holdfast.api.resource import Manifest
from holdfast.wire.messages import Answer, Body, Request, Response, Streaming

from . import bodies, health, responses, routing, views
from .auth import impersonation, issuer
from .auth.authentication import authenticate
from .auth.request_info import attributes
from .auth.reviews import is_review
from .auth.user import User
from .cache import Stored
from .call import Call
from .compression import compressed
from .negotiation import JSON, choose, wants_discovery, wants_pretty
from .options import (
    Query,
    WriteOptions,
    default_manager,
    delete_options,
    first,
    flag,
    list_options,
    of_one,
    parse_query,
    write_options,
)
from .patch.apply import parse_configuration
from .patches import parse_patch
from .responses import Style
from .routing import Route
from .selection import select
from .verbs import delete, reading, scale

if TYPE_CHECKING:
    from .server import ApiServer

log = logging.getLogger(__name__)

T = TypeVar("T")

FUTURE_S = 3.0
"""How long a read waits for a revision that has not come yet (A109)."""

CONNECTING = ("log", "exec", "attach", "portforward")
"""Subresources that reach through to a node's agent, or end at it."""

STARTING = ("pods/exec", "pods/attach", "pods/portforward")

ROOT_PATHS = (
    issuer.CONFIGURATION_PATH,
    "/api",
    "/apis",
    "/healthz",
    "/livez",
    issuer.KEYS_PATH,
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
)


class Streams(Protocol):
    """What answers requests that go through to a pod: `holdfast.apiserver.streams.handle`."""

    def __call__(
        self, request: Request, pod: Manifest, subresource: str, query: Query
    ) -> Answer | Awaitable[Answer]: ...


class Proxy(Protocol):
    """What answers requests for `/proxy`: `holdfast.apiserver.streams.proxying`."""

    def __call__(self, request: Request, route: Route) -> Answer | Awaitable[Answer]: ...


@dataclass(slots=True)
class Asked:
    """A request on its way to its verb."""

    request: Request
    query: Query
    user: User
    route: Route
    call: Call
    style: Style


class Handler:
    """Answers the requests of one API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        style = Style()
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
        user = authenticate(request.headers, request.peer_certificate, server.tokens)
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
        target = routing.parse(request.path)
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
        if path == "/":
            return responses.document(200, {"paths": list(ROOT_PATHS)}, style)
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
        if route.subresource == "proxy":
            return self._proxied(request, route)
        style = Style(choose(request.headers.get("accept", ""), is_watch=verb == "watch"), style.pretty)
        call = Call(user, route.resource, route.namespace, route.name, route.subresource)
        if route.resource.deprecation:
            call.warnings.append(route.resource.deprecation)
        asked = Asked(request, query, user, route, call, style)
        if route.subresource in CONNECTING:
            return self._connect(asked)
        if route.resource.is_measured:
            if self._server.metrics is None:
                raise ServiceUnavailable("the server is currently unable to handle the request")
            measured = self._server.metrics.answer(call, query, style, is_list=verb == "list")
            return self._settled(asked, measured)
        if verb in ("get", "list", "watch"):
            try:
                return self._read(asked, verb)
            except ApiError as error:
                return responses.refusal(error, style, call.warnings)
        return self._shielded(asked, self._write(asked, verb))

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

    # -- reading

    def _read(self, asked: Asked, verb: str) -> Answer | Awaitable[Answer]:
        if verb == "watch":
            return self._watch(asked)
        text = first(asked.query, "resourceVersion")
        wanted = 0
        if text and not first(asked.query, "continue"):
            wanted = reading.wanted_revision(text) if verb == "get" else reading.listed_revision(text)
        act: Callable[[Asked], Answer | Awaitable[Answer]] = self._get if verb == "get" else self._list
        if wanted > self._server.cache.revision:
            return self._later(asked, wanted, act)
        return act(asked)

    async def _later(self, asked: Asked, wanted: int, act: Callable[[Asked], Answer | Awaitable[Answer]]) -> Answer:
        """Waits for a revision that may be under way."""
        cache = self._server.cache
        reached = asyncio.Event()
        stop = cache.on_revision(lambda revision: reached.set() if revision >= wanted else None)
        try:
            async with asyncio.timeout(FUTURE_S):
                await reached.wait()
        except TimeoutError:
            return responses.refusal(reading.too_large(wanted, cache.revision), asked.style)
        finally:
            stop()
        try:
            answer = act(asked)
            return await answer if isinstance(answer, Awaitable) else answer
        except ApiError as error:
            return responses.refusal(error, asked.style)

    def _get(self, asked: Asked) -> Answer:
        if asked.route.subresource == "scale":
            return self._scale(asked, 200, self._server.api.get_scale(asked.call))
        return self._object(asked, 200, self._server.api.get(asked.call))

    def _list(self, asked: Asked) -> Answer | Awaitable[Answer]:
        options = list_options(asked.query, is_watch=False)
        view = self._view(asked, is_list=True)
        steps = self._server.api.listing(asked.call, options)
        try:
            next(steps)
        except StopIteration as done:
            listed: views.Listed = done.value
            if len(listed.items) > view.at_once:
                return self._in_slices(asked, view, listed)
            return responses.encoded(200, b"".join(view.many(listed)), asked.style, asked.call.warnings)
        return self._found_in_slices(asked, view, steps)

    async def _found_in_slices(self, asked: Asked, view: views.View, steps: reading.Steps[views.Listed]) -> Answer:
        return await self._in_slices(asked, view, await turn_by_turn(steps))

    async def _in_slices(self, asked: Asked, view: views.View, listed: views.Listed) -> Answer:
        body = bytearray()
        for piece in view.many(listed):
            body += piece  # no list of pieces: to join them at the end would take as long as all the rest
            await asyncio.sleep(0)
        return responses.encoded(200, body, asked.style, asked.call.warnings)

    def _watch(self, asked: Asked) -> Answer | Awaitable[Answer]:
        options = list_options(asked.query, is_watch=True)
        if asked.route.name:
            options = of_one(options, asked.route.name)
        call, cache = asked.call, self._server.cache
        selection = select(call.resource, call.namespace, options.label_selector, options.field_selector)
        view = self._view(asked, is_list=False)
        wanted = reading.wanted_revision(options.resource_version)
        after: int | None = wanted
        if options.initial_events or (wanted == 0 and options.initial_events is None):
            after = None
        elif wanted == 0:
            after = cache.revision

        def start(body: Body) -> None:
            self._server.hub(call.resource).open(selection, view, options, after, body)

        headers = responses.with_warnings(responses.DYNAMIC, call.warnings)
        answer = Streaming(200, JSON, headers, start)
        if after is not None and after < cache.of(call.resource).oldest:
            return self._recovered(answer)
        return answer

    async def _recovered(self, answer: Answer) -> Answer:
        await self._server.cache.recover()
        return answer

    def _view(self, asked: Asked, *, is_list: bool) -> views.View:
        include = first(asked.query, "includeObject")
        return self._server.view_of(asked.call.resource, asked.style.form, include, is_list=is_list)

    def _object(self, asked: Asked, status: int, stored: Stored) -> Response:
        if asked.style.form.shape:
            body = self._view(asked, is_list=False).one(stored)
        else:
            body = self._server.plain(asked.call.resource).one(stored)
        return responses.encoded(status, body, asked.style, asked.call.warnings)

    def _scale(self, asked: Asked, status: int, manifest: Manifest) -> Response:
        form = asked.style.form
        if form.shape == "Table":
            body = scale.table(manifest, form.version, self._server.world.clock.now())
        else:
            body = msgspec.json.encode(manifest)
        return responses.encoded(status, body, asked.style, asked.call.warnings)

    # -- writing

    async def _shielded(self, asked: Asked, work: Coroutine[Any, Any, Response]) -> Response:
        """A write that has begun is finished, whether or not the client waits for it."""
        return await asyncio.shield(asyncio.ensure_future(self._settled(asked, work)))

    async def _settled(self, asked: Asked, work: Coroutine[Any, Any, Response]) -> Response:
        try:
            return await work
        except ApiError as error:
            return responses.refusal(error, asked.style, asked.call.warnings)
        except Exception as error:  # the edge, as above
            return failed(asked.request, error)

    async def _write(self, asked: Asked, verb: str) -> Response:
        match verb:
            case "create":
                return await (self._create_below(asked) if asked.route.subresource else self._create(asked))
            case "update":
                return await self._update(asked)
            case "patch":
                return await self._patch(asked)
            case "delete":
                return await self._delete(asked)
            case _:
                return await self._delete_collection(asked)

    def _options(self, asked: Asked, kind: str, *, is_apply: bool = False) -> WriteOptions:
        options = asked.call.options = write_options(asked.query, kind, is_apply=is_apply)
        asked.call.manager = options.field_manager or default_manager(asked.request.headers.get("user-agent", ""))
        return options

    def _body(self, asked: Asked, options: WriteOptions) -> Manifest:
        """The object in the body; warnings go to the call. Raises BadRequest, UnsupportedMediaType."""
        manifest, warnings = bodies.decoded(
            asked.call, asked.request.body, asked.request.headers.get("content-type", ""), options
        )
        asked.call.warnings += warnings
        return manifest

    async def _create(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "CreateOptions"))
        if is_review(asked.call.resource):
            answer = self._server.reviewer.review(asked.call, manifest)
            return responses.document(201, answer, asked.style, asked.call.warnings)
        return self._object(asked, 201, await self._server.api.create(asked.call, manifest))

    async def _create_below(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "CreateOptions"))
        asked.call.name = asked.call.name or (manifest.get("metadata") or {}).get("name", "")
        answer = await self._server.api.create_below(asked.call, manifest)
        return responses.document(201, answer, asked.style, asked.call.warnings)

    async def _update(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "UpdateOptions"))
        if asked.route.subresource == "scale":
            return self._scale(asked, 200, await self._server.api.update_scale(asked.call, manifest))
        stored, was_created = await self._server.api.update(asked.call, manifest)
        return self._object(asked, 201 if was_created else 200, stored)

    async def _patch(self, asked: Asked) -> Response:
        media_type = asked.request.headers.get("content-type", "")
        options = self._options(asked, "PatchOptions", is_apply=bodies.is_apply(media_type))
        if bodies.is_apply(media_type):
            return await self._apply(asked, options)
        change = parse_patch(media_type, asked.request.body, options.field_validation)
        if asked.route.subresource == "scale":
            return self._scale(asked, 200, await self._server.api.patch_scale(asked.call, change))
        return self._object(asked, 200, await self._server.api.patch(asked.call, change))

    async def _apply(self, asked: Asked, options: WriteOptions) -> Response:
        config = parse_configuration(asked.call, asked.request.body, options.field_validation)
        stored, was_created = await self._server.api.apply(asked.call, config)
        if asked.route.subresource == "scale":
            return self._scale(asked, 200, scale.of(stored.manifest))
        return self._object(asked, 201 if was_created else 200, stored)

    async def _delete(self, asked: Asked) -> Response:
        options = delete_options(bodies.delete_options(asked.request), asked.query)
        asked.call.warnings += delete.warnings(asked.call.resource, options)
        outcome = await self._server.api.delete(asked.call, options)
        if outcome.is_gone and not asked.call.resource.delete_returns_object and not asked.call.resource.is_graceful:
            status = delete.status_of(asked.call, outcome.stored.manifest)
            return responses.document(200, status, asked.style, asked.call.warnings)
        return self._object(asked, 200, outcome.stored)

    async def _delete_collection(self, asked: Asked) -> Response:
        options = delete_options(bodies.delete_options(asked.request), asked.query)
        chosen = list_options(asked.query, is_watch=False)
        view = self._view(asked, is_list=True)
        found = await self._server.api.delete_collection(asked.call, chosen, options)
        return responses.encoded(200, b"".join(view.many(found)), asked.style, asked.call.warnings)


async def turn_by_turn(steps: reading.Steps[T]) -> T:
    """What comes of them; between them everybody else has a turn."""
    try:
        while True:
            await asyncio.sleep(0)
            next(steps)
    except StopIteration as done:
        result: T = done.value
        return result


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
