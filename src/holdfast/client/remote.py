"""The client for an API server elsewhere: HTTPS, JSON, one connection per call in flight and per watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from holdfast import __version__
from holdfast.api import errors
from holdfast.api.errors import ApiError, FieldError
from holdfast.api.resource import Manifest, Resource
from holdfast.wire.client import ConnectionFailed, HttpClient, HttpStream

from . import ObjectList, PatchType, Unreachable, WatchEvent
from .kubeconfig import Connection

REQUEST_TIMEOUT_S = 60.0
SILENCE_S = 300.0
"""A watch from which not even a bookmark came for so long is taken for dead; bookmarks come every minute (A111)."""
FIELD_MANAGER = "holdfast"

_BY_REASON: Mapping[str, type[ApiError]] = {
    error.reason: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, ApiError) and error is not ApiError
}
_BY_CODE: Mapping[int, type[ApiError]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    409: errors.Conflict,
    410: errors.Expired,
    413: errors.RequestEntityTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.Invalid,
    429: errors.TooManyRequests,
    500: errors.InternalError,
    502: errors.ServiceUnavailable,
    503: errors.ServiceUnavailable,
    504: errors.Timeout,
}


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    continue_token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[dict[str, Any]] | None = None


class _Frame(msgspec.Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: dict[str, Any]


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_list = msgspec.json.Decoder(_List).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode


class RemoteClient:
    """See `Client`. A reply that is not understood counts as none: Unreachable."""

    def __init__(self, connection: Connection, manager: str = FIELD_MANAGER) -> None:
        """`manager` is to whom the fields belong that it writes."""
        self._manager = manager
        headers = [("Accept", "application/json"), ("User-Agent", f"{manager}/{__version__}")]
        if connection.token:
            headers.append(("Authorization", f"Bearer {connection.token}"))
        self._http = HttpClient(connection.server, connection.ssl_context(), headers=headers)

    async def close(self) -> None:
        await self._http.close()

    def cut(self) -> None:
        """As if the network were gone: what is under way breaks, and nothing gets through until `mend`."""
        self._http.cut()

    def mend(self) -> None:
        self._http.mend()

    def show(self, certificate: str, key: str) -> None:
        """Another certificate (PEM files), with the next call or watch; what is under way goes on. Raises OSError."""
        self._http.show(certificate, key)

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Manifest:
        return await self._object("GET", _path(resource, namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            limit=str(limit or ""),
            **{"continue": continue_token},
        )
        body = await self._request("GET", _path(resource, namespace) + query)
        try:
            page = _decode_list(body)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the answer is not a list: {error}") from error
        items = page.items or []
        for item in items:
            item["kind"] = resource.kind
            item["apiVersion"] = resource.api_version
        return ObjectList(items, page.metadata.resource_version, page.metadata.continue_token)

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        namespace = namespace or manifest["metadata"].get("namespace", "")
        return await self._object("POST", _path(resource, namespace, name, subresource), manifest)

    async def update(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        metadata = manifest["metadata"]
        path = _path(resource, metadata.get("namespace", ""), metadata["name"], subresource)
        return await self._object("PUT", path, manifest)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Manifest:
        query = _query(fieldManager=self._manager, force="true") if type is PatchType.APPLY else ""
        path = _path(resource, namespace, name, subresource) + query
        return await self._object("PATCH", path, patch, content_type=type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> Manifest:
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            options["preconditions"] = preconditions
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if propagation:
            options["propagationPolicy"] = propagation
        return await self._object("DELETE", _path(resource, namespace, name), options)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        query = _query(
            watch="1",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        try:
            target = _path(resource, namespace) + query
            async with self._http.stream("GET", target, timeout=REQUEST_TIMEOUT_S) as stream:
                if stream.status != 200:
                    raise error_of(stream.status, await stream.read_all())
                async for line in _lines(stream):
                    yield _event(line)
        except ConnectionFailed as error:
            raise Unreachable(str(error)) from error

    async def _object(
        self, method: str, target: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Manifest:
        answer = await self._request(method, target, body, content_type)
        try:
            return _decode_object(answer)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the answer is not an object: {error}") from error

    async def _request(
        self, method: str, target: str, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        headers = [("Content-Type", content_type)] if body is not None else []
        encoded = msgspec.json.encode(body) if body is not None else b""
        try:
            response = await self._http.request(method, target, headers, encoded, timeout=REQUEST_TIMEOUT_S)
        except ConnectionFailed as error:
            raise Unreachable(str(error)) from error
        if response.status >= 300:
            raise error_of(response.status, response.body)
        return response.body


def error_of(code: int, body: bytes) -> ApiError:
    """The refusal a `Status` stands for; of another body, what the code says."""
    try:
        status = _decode_object(body)
    except msgspec.MsgspecError:
        status = {}
    if status.get("kind") != "Status":
        text = body.decode(errors="replace").strip() or f"the server answered with status {code}"
        return _BY_CODE.get(code, ApiError)(text)
    return error_of_status(status)


def error_of_status(status: Manifest) -> ApiError:
    """By its reason; by its code where the reason is unknown or missing."""
    details = status.get("details") or {}
    kind = _BY_REASON.get(status.get("reason", "")) or _BY_CODE.get(status.get("code", 0), ApiError)
    return kind(
        status.get("message", ""),
        name=details.get("name", ""),
        group=details.get("group", ""),
        kind=details.get("kind", ""),
        uid=details.get("uid", ""),
        causes=tuple(
            FieldError(cause.get("field", ""), cause.get("reason", ""), cause.get("message", ""))
            for cause in details.get("causes") or ()
        ),
        retry_after_s=details.get("retryAfterSeconds", 0),
        extra=status.get("metadata") or {},
    )


def _event(line: bytes) -> WatchEvent:
    try:
        frame = _decode_frame(line)
    except msgspec.MsgspecError as error:
        raise Unreachable(f"the watch sent what is not an event: {error}") from error
    if frame.type == "ERROR":
        raise error_of_status(frame.object)
    return WatchEvent(frame.type, frame.object)


async def _lines(stream: HttpStream) -> AsyncIterator[bytes]:
    """The stream cut at line ends; frames may come in any pieces."""
    pieces: list[bytes] = []
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                data = await anext(stream, None)
        except TimeoutError as error:
            raise Unreachable(f"the watch was silent for {SILENCE_S:.0f} s") from error
        if data is None:
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join([*pieces, line])
            pieces.clear()
            if whole:
                yield whole
        if rest:
            pieces.append(rest)


def _path(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    return quote(resource.path(namespace, name, subresource), safe="/:")


def _query(**parameters: str) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else ""
