"""The documents under `/openapi`, and the answers that carry them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

import msgspec

from holdfast import __version__
from holdfast.api import registry
from holdfast.api.kinds import BUILT_IN, Kinds
from holdfast.api.resource import Resource
from holdfast.api.schema.definitions import MINOR, fingerprint
from holdfast.apiserver.compression import FROM_BYTES, LEVEL, accepts_gzip
from holdfast.wire.messages import Request, Response

from . import dialects
from .dialect import Dialect
from .operations import STATUS, TEXT, Operation, operations
from .protobuf import swagger
from .schemas import published

JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_V2_ASKED = (
    "com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "com.github.proto-openapi.spec.v2.v1.0+protobuf",
)

_INFO = {"title": "Kubernetes", "version": f"v{MINOR}.0"}
_YEAR_S = 365 * 24 * 3600


class Document(bytes):
    """What is answered, with what is told of it; asked for often, so that is kept as long as it is."""

    @cached_property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self).hexdigest().upper()}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self, compresslevel=LEVEL, mtime=0)


def handle(request: Request, kinds: Kinds = BUILT_IN) -> Response | None:
    """The answer to a GET below `/openapi/`; None if there is no such document."""
    path = request.path.rstrip("/")
    if path == "/openapi/v2":
        return _tagged(request, *_v2_wanted(request, kinds))
    if path == "/openapi/v3":
        return _tagged(request, v3_index(kinds), JSON)
    parts = path.removeprefix("/openapi/v3/").split("/")
    group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("/".join(parts[1:-1]), parts[-1])
    if parts[0] not in ("api", "apis") or not kinds.in_group_version(group, version) or path != _path(group, version):
        return None
    return _v3_answer(request, group, version, kinds)


def v3_index(kinds: Kinds = BUILT_IN) -> Document:
    """`/openapi/v3`: where each group-version's document is, under a name that changes with it (A29)."""
    return _kept(kinds, ("v3",), lambda: _v3_index(kinds))


def _v3_index(kinds: Kinds) -> bytes:
    return msgspec.json.encode(
        {
            "paths": {
                _path(group, version).removeprefix("/openapi/v3/"): {"serverRelativeURL": _url(group, version, kinds)}
                for group, versions in kinds.groups().items()
                for version in versions
            }
        }
    )


def v3_document(group: str, version: str, kinds: Kinds = BUILT_IN) -> Document:
    """The OpenAPI 3.0 document of one group-version (A30-A33)."""
    resources = kinds.in_group_version(group, version)
    return _kept(_if_custom(kinds, resources), ("v3", group, version), lambda: _v3_document(resources))


def _v3_document(resources: Sequence[Resource]) -> bytes:
    served = list(operations(resources))
    return msgspec.json.encode(
        {
            "openapi": "3.0.0",
            "info": _INFO,
            "paths": dialects.v3_paths(served),
            "components": {
                "parameters": dialects.v3_parameters(served),
                "schemas": published(_names(served), Dialect.V3, resources),
            },
        }
    )


def v3_hash(group: str, version: str, kinds: Kinds = BUILT_IN) -> str:
    """Upper-case hex that changes with the document, told without making it."""
    resources = kinds.in_group_version(group, version)
    return _kept(_if_custom(kinds, resources), ("hash", group, version), lambda: _v3_hash(resources)).decode()


def _v3_hash(resources: Sequence[Resource]) -> bytes:
    sources = [__version__, fingerprint(), *(_source(resource) for resource in resources)]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest().upper().encode()


def v2_json(kinds: Kinds = BUILT_IN) -> Document:
    """The Swagger 2 document of all that is served (A34)."""
    return _kept(kinds, ("v2",), lambda: msgspec.json.encode(_v2_document(kinds)))


def v2_protobuf(kinds: Kinds = BUILT_IN) -> Document:
    """The same for kubectl up to 1.28 (A35, A36)."""
    return _kept(kinds, ("v2 protobuf",), lambda: swagger(_v2_document(kinds)))


def _v2_document(kinds: Kinds) -> dict[str, Any]:
    resources = (*registry.RESOURCES, *registry.MEASURED, *kinds.custom())
    served = list(operations(resources))
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": dialects.v2_paths(served),
        "parameters": dialects.v2_parameters(served),
        "definitions": published(_names(served), Dialect.V2, resources),
    }


def _names(served: Sequence[Operation]) -> list[str]:
    """The definitions that are sent or answered; a Status can be the answer to everything."""
    names = {STATUS, *(operation.body for operation in served), *(operation.answer for operation in served)}
    return sorted(names - {"", TEXT})


def _source(resource: Resource) -> str:
    subresources = [(sub.name, sub.verbs, sub.kind, sub.group, sub.version) for sub in resource.subresources]
    schema = resource.custom.given_schema if resource.custom is not None else None
    return repr((resource.kind, resource.plural, resource.namespaced, resource.verbs, subresources, schema))


_made: WeakKeyDictionary[Kinds, tuple[int, dict[tuple[str, ...], Document]]] = WeakKeyDictionary()


def _kept(kinds: Kinds, key: tuple[str, ...], make: Callable[[], bytes]) -> Document:
    """What was made for the kinds as they are now; made anew when they have changed."""
    if kinds.revision == 0:
        kinds = BUILT_IN
    revision, made = _made.get(kinds, (-1, {}))
    if revision != kinds.revision:
        made = {}
        _made[kinds] = kinds.revision, made
    if key not in made:
        made[key] = Document(make())
    return made[key]


def _if_custom(kinds: Kinds, resources: Sequence[Resource]) -> Kinds:
    """Whose documents those of a group-version are: every server's, unless definitions have a part in it."""
    return kinds if any(resource.custom is not None for resource in resources) else BUILT_IN


def _path(group: str, version: str) -> str:
    return f"/openapi/v3/apis/{group}/{version}" if group else f"/openapi/v3/api/{version}"


def _url(group: str, version: str, kinds: Kinds) -> str:
    return f"{_path(group, version)}?hash={v3_hash(group, version, kinds)}"


def _v2_wanted(request: Request, kinds: Kinds) -> tuple[Document, str]:
    accepted = request.headers.get("accept", "")
    if any(name in accepted for name in _PROTOBUF_V2_ASKED):
        return v2_protobuf(kinds), PROTOBUF_V2
    return v2_json(kinds), JSON


def _v3_answer(request: Request, group: str, version: str, kinds: Kinds) -> Response:
    """For ever with the right hash, elsewhere with a wrong one, for now without (A30)."""
    asked, right = parse_qs(request.query).get("hash", [""])[0], v3_hash(group, version, kinds)
    if not asked:
        return _tagged(request, v3_document(group, version, kinds), JSON)
    if asked != right:
        return Response(301, headers=(("Location", _url(group, version, kinds)),))
    lasting = (("Cache-Control", f"public, immutable, max-age={_YEAR_S}"),)
    return _tagged(request, v3_document(group, version, kinds), JSON, lasting, f'"{right}"')


def _tagged(
    request: Request,
    body: Document,
    content_type: str,
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-cache, private"),),
    tag: str = "",
) -> Response:
    tag = tag or body.tag
    headers = (*headers, ("Etag", tag), ("Vary", "Accept-Encoding"), ("Vary", "Accept"))
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, headers=headers)
    if len(body) > FROM_BYTES and accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(200, body.compressed, content_type, (*headers, ("Content-Encoding", "gzip")))
    return Response(200, body, content_type, headers)
