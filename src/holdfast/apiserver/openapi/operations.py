"""The paths of the documents: PATCH alone where there is one, since clients read nothing else (A31, A32)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.api.resource import Resource, Subresource

PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
"""What PATCH accepts. kubectl chooses by this list (A33)."""

_QUERY = (
    ("dryRun", "string", "When present, indicates that modifications should not be persisted: `All` or nothing."),
    ("fieldManager", "string", "The name of the actor that makes this change, at most 128 characters."),
    ("fieldValidation", "string", "What becomes of unknown and duplicate fields: Ignore, Warn or Strict."),
    ("force", "boolean", "Whether an apply takes fields over from other managers."),
    ("pretty", "string", "If true, the output is indented."),
)
_PATCH_BODY = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

Operation = dict[str, Any]


def v3_paths(resources: Sequence[Resource]) -> dict[str, Any]:
    """Path items of OpenAPI 3 for all that can be patched, and by which kubectl finds the kinds that cannot."""
    return _v3_measured(resources) | {
        path: {
            "parameters": [_v3_path_parameter(name) for name in _placeholders(path)],
            "patch": _v3_patch(resource, sub),
        }
        for path, resource, sub in _patchable(resources)
    }


def _v3_measured(resources: Sequence[Resource]) -> dict[str, Any]:
    found = {}
    for resource in resources:
        if resource.is_measured:
            kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
            operation = {
                "description": f"read the specified {resource.kind}",
                "operationId": f"readMetrics{resource.version.capitalize()}{resource.kind}",
                "x-kubernetes-action": "get",
                "x-kubernetes-group-version-kind": kind,
                "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
            }
            path = resource.path("{namespace}", "{name}")
            found[path] = {"parameters": [_v3_path_parameter(name) for name in _placeholders(path)], "get": operation}
    return found


def v2_paths(resources: Sequence[Resource]) -> dict[str, Any]:
    """Path items of Swagger 2 for all that can be patched."""
    return {path: {"patch": _v2_patch(path, resource, sub)} for path, resource, sub in _patchable(resources)}


def _patchable(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource, Subresource | None]]:
    for resource in resources:
        if "patch" in resource.verbs:
            yield resource.path("{namespace}", "{name}"), resource, None
        for sub in resource.subresources:
            if "patch" in sub.verbs and sub.name != "proxy":
                yield resource.path("{namespace}", "{name}", sub.name), resource, sub


def _placeholders(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _common(resource: Resource, sub: Subresource | None) -> Operation:
    scope = "Namespaced" if resource.namespaced else ""
    group = (resource.group.partition(".")[0] or "core").capitalize()
    name = f"patch{group}{resource.version.capitalize()}{scope}{resource.kind}{sub.name.capitalize() if sub else ''}"
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    if sub and sub.kind:
        kind = {"group": sub.group, "version": sub.version or resource.version, "kind": sub.kind}
    return {
        "description": f"partially update {sub.name + ' of ' if sub else ''}the specified {resource.kind}",
        "operationId": name,
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
    }


def _v3_path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


def _v3_patch(resource: Resource, sub: Subresource | None) -> Operation:
    body = {"schema": {"$ref": f"#/components/schemas/{_PATCH_BODY}"}}
    return {
        **_common(resource, sub),
        "parameters": [
            {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}
            for name, kind, text in _QUERY
        ],
        "requestBody": {"content": dict.fromkeys(PATCH_TYPES, body)},
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
    }


def _v2_patch(path: str, resource: Resource, sub: Subresource | None) -> Operation:
    placed = [
        {"name": name, "in": "path", "required": True, "type": "string", "uniqueItems": True}
        for name in _placeholders(path)
    ]
    body = {"name": "body", "in": "body", "required": True, "schema": {"$ref": f"#/definitions/{_PATCH_BODY}"}}
    queried = [
        {"name": name, "in": "query", "description": text, "type": kind, "uniqueItems": True}
        for name, kind, text in _QUERY
    ]
    return {
        **_common(resource, sub),
        "consumes": list(PATCH_TYPES),
        "produces": ["application/json", "application/yaml"],
        "parameters": [*placed, body, *queried],
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
    }
