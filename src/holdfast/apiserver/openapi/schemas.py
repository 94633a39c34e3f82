"""Definitions as they are published: upstream's form again, in the dialect of either version (A271)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.api.resource import Resource
from holdfast.api.schema import definitions

from . import custom, measured
from .dialect import Dialect

Schema = dict[str, Any]

_REFERRED = (
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
)
"""What every custom kind refers to."""

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


_SPECIAL: dict[tuple[str, Dialect], Schema] = {
    (_QUANTITY, Dialect.V2): {"type": "string"},
    (_QUANTITY, Dialect.V3): {"oneOf": [{"type": "string"}, {"type": "number"}]},
    (_INT_OR_STRING, Dialect.V2): {"type": "string", "format": "int-or-string"},
    (_INT_OR_STRING, Dialect.V3): {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}


def definition_of(resource: Resource, group: str, version: str, kind: str) -> str:
    """The full name of the definition of a resource's kind, list or subresource; empty if there is none."""
    if resource.custom is not None and group == resource.group:
        return custom.definition_name(resource, kind)
    return measured.definition_name(group, version, kind) or definitions.definition_name(group, version, kind)


def published(names: Iterable[str], dialect: Dialect, resources: Iterable[Resource] = ()) -> dict[str, Schema]:
    """The named definitions, those of the custom kinds among `resources`, and all they refer to, sorted by name."""
    found = custom.definitions_of(resources, dialect)
    waiting = [*names, *_REFERRED] if found else list(names)
    while waiting:
        name = waiting.pop()
        if name in found or (schema := measured.DEFINITIONS.get(name) or definitions.definition(name)) is None:
            continue
        found[name] = _SPECIAL.get((name, dialect)) or _converted(schema, dialect, waiting)
    return dict(sorted(found.items()))


def _converted(schema: Schema, dialect: Dialect, references: list[str]) -> Schema:
    """Without the nulls and enums that were added to upstream's schema; what it refers to goes to `references`."""
    converted: Schema = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                name = value.rpartition("/")[2]
                references.append(name)
                converted[key] = dialect.value + name
            case "type":
                converted[key] = next(name for name in value if name != "null") if isinstance(value, list) else value
            case "properties":
                converted[key] = {name: _converted(member, dialect, references) for name, member in value.items()}
            case "items" | "additionalProperties":
                converted[key] = _converted(value, dialect, references)
            case "enum":
                pass
            case _:
                converted[key] = value
    if dialect is Dialect.V3 and "$ref" in converted and len(converted) > 1:
        converted["allOf"] = [{"$ref": converted.pop("$ref")}]
        converted["default"] = {}
    return converted
