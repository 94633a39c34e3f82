"""All that can be asked of the resources that are served, named and described as upstream does; `dialects` writes it.

kubectl reads PATCH alone (A31, A32); generators of clients and of requests read the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.api.core.pod import PODS
from holdfast.api.resource import Resource, Subresource

from . import queries
from .schemas import definition_of

CUSTOM_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
"""No schema of a custom kind says how lists merge in a strategic patch."""
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
"""What PATCH accepts. kubectl chooses by this list (A33)."""

BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
CUSTOM_BODY_TYPES = ANSWER_TYPES = ("application/json", "application/yaml")
LIST_TYPES = (*ANSWER_TYPES, "application/json;stream=watch")
LOG_TYPES = ("text/plain", *ANSWER_TYPES)
ANYTHING = ("*/*",)

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH_BODY, DELETE_BODY, STATUS = f"{_META}.Patch", f"{_META}.DeleteOptions", f"{_META}.Status"
TEXT = "string"
"""Stands for a definition where the answer is no object."""

MEANINGS = {200: "OK", 201: "Created", 202: "Accepted"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. A `body` and an `answer` are names of definitions, or empty."""

    path: str
    method: str
    id: str
    action: str
    description: str
    tag: str
    kind: dict[str, str]
    queries: tuple[str, ...]
    codes: tuple[int, ...] = (200,)
    body: str = ""
    body_types: tuple[str, ...] = ANYTHING
    body_is_required: bool = False
    answer: str = TEXT
    answer_types: tuple[str, ...] = ANYTHING

    @property
    def placeholders(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


class _Verb(NamedTuple):
    method: str
    word: str
    action: str
    text: str
    queries: tuple[str, ...]
    codes: tuple[int, ...] = (200,)


_VERBS = {
    "list": _Verb("get", "list", "list", "list or watch objects of kind {kind}", queries.LISTING),
    "create": _Verb("post", "create", "post", "create {of}{a} {kind}", queries.WRITING, (200, 201, 202)),
    "deletecollection": _Verb(
        "delete", "delete", "deletecollection", "delete collection of {kind}", queries.DELETING_MANY
    ),
    "get": _Verb("get", "read", "get", "read {of}the specified {kind}", queries.READING),
    "update": _Verb("put", "replace", "put", "replace {of}the specified {kind}", queries.WRITING, (200, 201)),
    "patch": _Verb(
        "patch", "patch", "patch", "partially update {of}the specified {kind}", queries.PATCHING, (200, 201)
    ),
    "delete": _Verb("delete", "delete", "delete", "delete {of}{a} {kind}", queries.DELETING, (200, 202)),
}
_OF_COLLECTIONS = ("list", "create", "deletecollection")
_METHODS = {"get": ("get", "head", "options"), "create": ("post",), "update": ("put",), "patch": ("patch",),
            "delete": ("delete",)}  # fmt: skip
"""The methods of a verb on a proxy (A223); the other connections know no HEAD and no OPTIONS."""

_BINDINGS = Resource(group="", version="v1", kind="Binding", plural="bindings", verbs=("create",))
"""The older way to bind a pod, with the name in the body (A153)."""


def operations(resources: Sequence[Resource]) -> Iterator[Operation]:
    """Resource by resource: the collection and its objects, then what is below an object."""
    for resource in resources:
        if resource is PODS:
            yield from _of_verbs(_BINDINGS)
        yield from _of_verbs(resource)
        for sub in resource.subresources:
            yield from _connections(resource, sub) if sub.name in queries.CONNECTING else _of_verbs(resource, sub)


def _of_verbs(resource: Resource, sub: Subresource | None = None) -> Iterator[Operation]:
    served = sub.verbs if sub else resource.verbs
    for verb in _VERBS:
        if verb in served:
            yield _operation(resource, sub, verb)
    if "list" in served and resource.namespaced:
        yield _operation(resource, sub, "list", is_everywhere=True)


def _operation(resource: Resource, sub: Subresource | None, verb: str, *, is_everywhere: bool = False) -> Operation:
    method, word, action, text, taken, codes = _VERBS[verb]
    name = "{name}" if sub or verb not in _OF_COLLECTIONS else ""
    of = f"{sub.name} of " if sub else ""
    body, body_types = _body(resource, sub, verb)
    answer, answer_types = _answer(resource, sub, verb)
    return Operation(
        path=resource.path("" if is_everywhere else "{namespace}", name, sub.name if sub else ""),
        method=method,
        id=_id(resource, sub, word + _prefix(resource), verb, is_everywhere=is_everywhere),
        action=action,
        description=text.format(kind=resource.kind, of=of, a="an" if resource.kind[0] in "AEIOU" else "a"),
        tag=_tag(resource),
        kind=_kind(resource, sub),
        queries=queries.LOG if sub and sub.name == "log" else taken,
        codes=codes,
        body=body,
        body_types=body_types,
        body_is_required=verb in ("create", "update"),
        answer=answer,
        answer_types=answer_types,
    )


def _body(resource: Resource, sub: Subresource | None, verb: str) -> tuple[str, tuple[str, ...]]:
    match verb:
        case "create" | "update":
            return _own(resource, sub), BODY_TYPES if resource.custom is None else CUSTOM_BODY_TYPES
        case "patch":
            return PATCH_BODY, PATCH_TYPES if resource.custom is None else CUSTOM_PATCH_TYPES
        case "delete" | "deletecollection":
            return DELETE_BODY, BODY_TYPES
    return "", ANYTHING


def _answer(resource: Resource, sub: Subresource | None, verb: str) -> tuple[str, tuple[str, ...]]:
    if sub and sub.name == "log":
        return TEXT, LOG_TYPES
    if verb == "list":
        return definition_of(resource, resource.group, resource.version, resource.list_kind), LIST_TYPES
    if verb == "deletecollection" or (verb == "delete" and not resource.delete_returns_object):
        return STATUS, ANSWER_TYPES
    return _own(resource, sub), ANSWER_TYPES


def _connections(resource: Resource, sub: Subresource) -> Iterator[Operation]:
    """What hands the connection on: to a container, a port, or whatever answers behind a proxy."""
    is_proxy = sub.name == "proxy"
    for tail, suffix in (("", ""), ("/{path}", "WithPath")) if is_proxy else (("", ""),):
        for verb in sub.verbs:
            for method in _METHODS[verb] if is_proxy else _METHODS[verb][:1]:
                yield Operation(
                    path=resource.path("{namespace}", "{name}", sub.name) + tail,
                    method=method,
                    id=_id(resource, sub, f"connect{_prefix(resource)}{method.capitalize()}", verb) + suffix,
                    action="connect",
                    description=f"connect {method.upper()} requests to {sub.name} of {resource.kind}",
                    tag=_tag(resource),
                    kind=_kind(resource, sub),
                    queries=queries.CONNECTING[sub.name],
                )


def _words(group: str) -> list[str]:
    """`rbac`, `authorization` of rbac.authorization.k8s.io."""
    return (group.removesuffix(".k8s.io") or "core").split(".")


def _prefix(resource: Resource) -> str:
    return "".join(word.capitalize() for word in (*_words(resource.group), resource.version))


def _tag(resource: Resource) -> str:
    first, *others = _words(resource.group)
    return f"{first}{''.join(word.capitalize() for word in others)}_{resource.version}"


def _id(resource: Resource, sub: Subresource | None, start: str, verb: str, *, is_everywhere: bool = False) -> str:
    collection = "Collection" if verb == "deletecollection" else ""
    scope = "Namespaced" if resource.namespaced and not is_everywhere else ""
    end = sub.name.capitalize() if sub else "ForAllNamespaces" if is_everywhere else ""
    return f"{start}{collection}{scope}{resource.kind}{end}"


def _kind(resource: Resource, sub: Subresource | None) -> dict[str, str]:
    if sub and sub.kind:
        return {"group": sub.group, "version": sub.version or resource.version, "kind": sub.kind}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _own(resource: Resource, sub: Subresource | None) -> str:
    return definition_of(resource, **_kind(resource, sub))
