"""The types behind a structural schema, for server-side apply: how lists and maps merge, what it declares (A136)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from holdfast.api.schema import types
from holdfast.api.schema.types import Field, Type

from .structural import ABSENT, META, Structural
from .validation import INT_OR_STRING

_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS = {"string": "string", "boolean": "bool", "number": "float64", "integer": "int64"}
_HEAD = {
    "kind": Field("kind", Type("string"), ""),
    "apiVersion": Field("apiVersion", Type("string"), ""),
}


@dataclass(frozen=True, eq=False)
class CustomStruct(Type):
    """An object of declared members; their types are worked out when somebody asks."""

    members: Mapping[str, Structural] = field(default_factory=dict, repr=False)
    is_object: bool = False
    """It has apiVersion, kind and metadata whatever its schema says."""

    @cached_property
    def fields(self) -> dict[str, Field]:
        declared = {name: Field(name, type_of(member), "") for name, member in self.members.items()}
        if not self.is_object:
            return declared
        metadata = Field("metadata", types.named(_METADATA), "")
        return {**_HEAD, "metadata": metadata, **{name: one for name, one in declared.items() if name not in META}}


def root_type(schema: Structural, name: str) -> Type:
    """The type of a whole object, `name` being what it is called."""
    return CustomStruct("struct", None, name, is_open=schema.is_open, members=schema.properties, is_object=True)


def type_of(schema: Structural) -> Type:
    """The type of one part."""
    node = schema.schema
    is_atomic = node.get("x-kubernetes-map-type") == "atomic"
    match node.get("type"):
        case "array" if schema.items is not None:
            return _list(schema, schema.items)
        case "object" if schema.properties or schema.is_embedded:
            return CustomStruct("struct", None, "", is_atomic=is_atomic, is_open=schema.is_open,
                                members=schema.properties, is_object=schema.is_embedded)  # fmt: skip
        case "object" if schema.additional is not None:
            return Type("map", type_of(schema.additional), is_atomic=is_atomic)
        case "object":
            return Type("raw", is_atomic=is_atomic)
        case str() as kind if kind in _SCALARS:
            return Type(_SCALARS[kind])
    return Type("int-or-string" if node.get(INT_OR_STRING) else "any")


def _list(schema: Structural, items: Structural) -> Type:
    node = schema.schema
    keys = tuple(sorted(node.get("x-kubernetes-list-map-keys") or ()))
    defaults: dict[str, Any] = {
        key: items.properties[key].default
        for key in keys
        if key in items.properties and items.properties[key].default is not ABSENT
    }
    list_type = node.get("x-kubernetes-list-type", "atomic")
    return Type("list", type_of(items), list_type=list_type, list_map_keys=keys, key_defaults=defaults)
