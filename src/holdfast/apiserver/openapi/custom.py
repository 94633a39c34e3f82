"""What is published of kinds that are defined (A39).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder and pkg/controller/openapi/v2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.api.resource import Resource
from holdfast.api.schema.definitions import definition

from .dialect import Dialect

Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_EXAMPLE = "io.k8s.api.core.v1.ConfigMap"
"""Any kind: what it says of apiVersion, kind and metadata every kind says."""
_LOGIC = ("allOf", "anyOf", "oneOf", "not")
_KEEPS, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"


def definition_name(resource: Resource, kind: str = "") -> str:
    """`com.example.v1.Gear`, or of another `kind` of the resource's group and version."""
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{kind or resource.kind}"


def definitions_of(resources: Iterable[Resource], dialect: Dialect) -> dict[str, Schema]:
    """The definitions of custom kinds and their lists, by name; of other kinds none."""
    found: dict[str, Schema] = {}
    for resource in resources:
        if resource.custom is not None:
            found[definition_name(resource)] = _object(resource, resource.custom.given_schema, dialect)
            found[definition_name(resource, resource.list_kind)] = _list(resource, dialect)
    return found


def _object(resource: Resource, schema: Any, dialect: Dialect) -> Schema:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    told = {"x-kubernetes-group-version-kind": [kind]}
    if dialect is Dialect.V2 and schema.get(_KEEPS):
        return {"type": "object", **told}
    converted = _converted(schema, dialect)
    properties = {**(converted.get("properties") or {}), **_common(dialect, "ObjectMeta")}
    return {**converted, "properties": dict(sorted(properties.items())), **told}


def _list(resource: Resource, dialect: Dialect) -> Schema:
    more = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
    items = {"$ref": dialect.value + definition_name(resource)}
    described = f"List of {resource.plural}. More info: {more}"
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_common(dialect, "ListMeta"),
            "items": {"description": described, "type": "array", "items": items},
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "version": resource.version, "kind": resource.list_kind}
        ],
    }


def _common(dialect: Dialect, metadata: str) -> dict[str, Schema]:
    """apiVersion, kind and metadata as every kind has them."""
    given = (definition(_EXAMPLE) or {}).get("properties", {})
    texts = {name: {"type": "string", "description": given[name].get("description", "")} for name in _TYPE_META}
    reference: Schema = {"$ref": f"{dialect.value}{_META}.{metadata}"}
    if dialect is Dialect.V3:
        reference = {"allOf": [reference], "default": {}}
    described = given["metadata"].get("description", "")
    return {**texts, "metadata": {"description": described, **reference}}


_TYPE_META = ("apiVersion", "kind")


def _converted(schema: Any, dialect: Dialect) -> Schema:
    """A part of a schema as it is published: whole in version 3, without what kubectl cannot read in version 2."""
    converted: Schema = {}
    for name, value in schema.items():
        match name:
            case "properties":
                converted[name] = {member: _converted(one, dialect) for member, one in value.items()}
            case "items" | "additionalProperties" if isinstance(value, dict):
                converted[name] = _converted(value, dialect)
            case _:
                converted[name] = value
    if dialect is Dialect.V2:
        converted = _for_v2(converted, schema)
    if schema.get(_EMBEDDED):
        converted["properties"] = {**(converted.get("properties") or {}), **_common(dialect, "ObjectMeta")}
    return converted


def _for_v2(converted: Schema, schema: Any) -> Schema:
    kept = {name: value for name, value in converted.items() if name not in (*_LOGIC, "nullable")}
    if schema.get("nullable"):
        for name in ("type", "items", "properties", "additionalProperties", "default"):
            kept.pop(name, None)
    if schema.get(_KEEPS):
        for name in ("items", "properties"):
            kept.pop(name, None)
    if isinstance(kept.get("additionalProperties"), bool):
        del kept["additionalProperties"]
    members = schema.get("properties") or {}
    if required := [name for name in schema.get("required") or () if not (members.get(name) or {}).get("nullable")]:
        return {**kept, "required": required}
    kept.pop("required", None)
    return kept
