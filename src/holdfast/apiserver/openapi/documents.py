"""The documents under `/openapi`, and the answers that carry them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import msgspec

from holdfast import __version__
from holdfast.api import registry
from holdfast.api.kinds import BUILT_IN, Kinds
from holdfast.api.resource import Resource
from holdfast.api.schema.definitions import MINOR, fingerprint
from holdfast.apiserver.compression import FROM_BYTES, LEVEL, accepts_gzip
from holdfast.wire.messages import Request, Response

from . import dialects
from .operations import STATUS, TEXT, Operation, operations
from .protobuf import swagger
from .schemas import Dialect, published

JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_V2_ASKED = (
    "com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "com.github.proto-openapi.spec.v2.v1.0+protobuf",
)

_INFO = {"title": "Kubernetes", "version": f"v{MINOR}.0"}
_YEAR_S = 365 * 24 * 3600


def handle(request: Request, kinds: Kinds = BUILT_IN) -> Response | None:
    """The answer to a GET below `/openapi/`; None if there is no such document."""
    path = request.path.rstrip("/")
    if path == "/openapi/v2":
        return _tagged(request, *_v2_wanted(request))
    if path == "/openapi/v3":
        return _tagged(request, v3_index(), JSON)
    parts = path.removeprefix("/openapi/v3/").split("/")
    group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("/".join(parts[1:-1]), parts[-1])
    if (
        parts[0] not in ("api", "apis")
        or not registry.in_group_version(group, version)
        or path != _path(group, version)
    ):
        return None
    return _v3_answer(request, group, version)


def v3_index() -> bytes:
    """`/openapi/v3`: where each group-version's document is, under a name that changes with it (A29)."""
    return msgspec.json.encode(
        {
            "paths": {
                _path(group, version).removeprefix("/openapi/v3/"): {"serverRelativeURL": _url(group, version)}
                for group, versions in registry.groups().items()
                for version in versions
            }
        }
    )


@cache
def v3_document(group: str, version: str) -> bytes:
    """The OpenAPI 3.0 document of one group-version (A30-A33)."""
    served = list(operations(registry.in_group_version(group, version)))
    return msgspec.json.encode(
        {
            "openapi": "3.0.0",
            "info": _INFO,
            "paths": dialects.v3_paths(served),
            "components": {
                "parameters": dialects.v3_parameters(served),
                "schemas": published(_names(served), Dialect.V3),
            },
        }
    )


@cache
def v3_hash(group: str, version: str) -> str:
    """Upper-case hex that changes with the document, told without making it."""
    sources = [
        __version__,
        fingerprint(),
        *(_source(resource) for resource in registry.in_group_version(group, version)),
    ]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest().upper()


@cache
def v2_json() -> bytes:
    """The Swagger 2 document of all that is served (A34)."""
    return msgspec.json.encode(_v2_document())


@cache
def v2_protobuf() -> bytes:
    """The same for kubectl up to 1.28 (A35, A36)."""
    return swagger(_v2_document())


def _v2_document() -> dict[str, Any]:
    served = list(operations((*registry.RESOURCES, *registry.MEASURED)))
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": dialects.v2_paths(served),
        "parameters": dialects.v2_parameters(served),
        "definitions": published(_names(served), Dialect.V2),
    }


def _names(served: Sequence[Operation]) -> list[str]:
    """The definitions that are sent or answered; a Status can be the answer to everything."""
    names = {STATUS, *(operation.body for operation in served), *(operation.answer for operation in served)}
    return sorted(names - {"", TEXT})


def _source(resource: Resource) -> str:
    subresources = [(sub.name, sub.verbs, sub.kind, sub.group, sub.version) for sub in resource.subresources]
    return repr((resource.kind, resource.plural, resource.namespaced, resource.verbs, subresources))


def _path(group: str, version: str) -> str:
    return f"/openapi/v3/apis/{group}/{version}" if group else f"/openapi/v3/api/{version}"


def _url(group: str, version: str) -> str:
    return f"{_path(group, version)}?hash={v3_hash(group, version)}"


def _v2_wanted(request: Request) -> tuple[bytes, str]:
    accepted = request.headers.get("accept", "")
    if any(name in accepted for name in _PROTOBUF_V2_ASKED):
        return v2_protobuf(), PROTOBUF_V2
    return v2_json(), JSON


def _v3_answer(request: Request, group: str, version: str) -> Response:
    """For ever with the right hash, elsewhere with a wrong one, for now without (A30)."""
    asked, right = parse_qs(request.query).get("hash", [""])[0], v3_hash(group, version)
    if not asked:
        return _tagged(request, v3_document(group, version), JSON)
    if asked != right:
        return Response(301, headers=(("Location", _url(group, version)),))
    lasting = (("Cache-Control", f"public, immutable, max-age={_YEAR_S}"),)
    return _tagged(request, v3_document(group, version), JSON, lasting, f'"{right}"')


def _tagged(
    request: Request,
    body: bytes,
    content_type: str,
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-cache, private"),),
    tag: str = "",
) -> Response:
    tag = tag or _tag(body)
    headers = (*headers, ("Etag", tag), ("Vary", "Accept-Encoding"), ("Vary", "Accept"))
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, headers=headers)
    if len(body) > FROM_BYTES and accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(200, _compressed(body), content_type, (*headers, ("Content-Encoding", "gzip")))
    return Response(200, body, content_type, headers)


@cache
def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest().upper()}"'


@cache
def _compressed(body: bytes) -> bytes:
    """Few documents, each asked for often, so they are kept."""
    return gzip.compress(body, compresslevel=LEVEL, mtime=0)
