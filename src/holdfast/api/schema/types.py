"""Types as a tree: what a field holds, and how patches merge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from . import messages
from .definitions import definition, definition_name

_SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
}
_CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_SCHEMA_OR = {
    f"{_CRD}JSONSchemaPropsOrBool": "schema-or-bool",
    f"{_CRD}JSONSchemaPropsOrArray": "schema-or-schemas",
    f"{_CRD}JSONSchemaPropsOrStringArray": "schema-or-texts",
}
_MAP_TYPE = "x-kubernetes-map-type"
_SCALARS = {"string": "string", "boolean": "bool", "number": "float64"}
_GO_NAMES = {
    "bytes": "[]uint8",
    "quantity": "resource.Quantity",
    "int-or-string": "intstr.IntOrString",
    "time": "v1.Time",
    "micro-time": "v1.MicroTime",
    "raw": "runtime.RawExtension",
    "any": "interface {}",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct. `flag` as in `messages`, or `?` where the table does not know the struct."""

    name: str
    type: Type
    flag: str = "?"
    patch_strategies: frozenset[str] = frozenset()
    """Out of merge, replace, retainKeys (A128)."""
    patch_merge_key: str = ""


@dataclass(frozen=True, eq=False)
class Type:
    """`form` is string, bytes, bool, int32, int64, float64, quantity, resource-quantity, int-or-string, time,
    micro-time, raw, any, list, map or struct; the last three have `item` or `fields`. In the schemas of custom
    resources there are schema-or-bool, schema-or-schemas and schema-or-texts besides, whose `item` is the schema.
    """

    form: str
    item: Type | None = None
    definition_name: str = ""
    _schema: dict[str, Any] = field(default_factory=dict, repr=False)
    list_type: str = "atomic"
    """Of a list: atomic, set or map (A136)."""
    list_map_keys: tuple[str, ...] = ()
    """The members that tell the items of a list of type map apart, in alphabetical order."""
    is_atomic: bool = False
    """Of a map or struct: owned and replaced as a whole (A136)."""
    is_open: bool = False
    """Of a struct: it may hold what it does not declare."""
    key_defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of a list of type map: what keys are where an item leaves them out."""

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Of a struct, by JSON name; in the order of Go's struct where it is known, kind and apiVersion first."""
        flags = messages.flags(messages.message_name(self.definition_name))
        properties: dict[str, Any] = self._schema.get("properties", {})
        order = {name: place for place, name in enumerate(("kind", "apiVersion", *flags))}
        unknown = "?" if not flags else ""
        return {
            name: _field(name, properties[name], flags.get(name, unknown))
            for name in sorted(properties, key=lambda name: order.get(name, len(order)))
        }

    @property
    def name(self) -> str:
        """The struct's bare name in Go, as errors show it: `PodSpec`."""
        return self.definition_name.rpartition(".")[2]

    @property
    def go(self) -> str:
        """The type as Go writes it: `[]v1.Container`, `map[string]string`."""
        if self.form == "list":
            return f"[]{self.item.go if self.item else ''}"
        if self.form == "map":
            return f"map[string]{self.item.go if self.item else ''}"
        if self.form == "struct":
            return ".".join(self.definition_name.split(".")[-2:])
        return _GO_NAMES.get(self.form, self.form)


@cache
def type_of(group: str, version: str, kind: str) -> Type | None:
    """The type of a kind, None if there is no such kind."""
    name = definition_name(group, version, kind)
    return named(name) if name else None


@cache
def named(name: str) -> Type:
    """The type that a definition describes."""
    if name in _SPECIAL:
        return Type(_SPECIAL[name])
    if name in _SCHEMA_OR:
        return Type(_SCHEMA_OR[name], named(f"{_CRD}JSONSchemaProps"))
    schema = definition(name)
    if schema is None:
        raise LookupError(f"no definition {name}")
    if "properties" not in schema:
        return _type(schema)
    return Type("struct", None, name, schema, is_atomic=_is_atomic(schema))


def _field(name: str, schema: dict[str, Any], flag: str) -> Field:
    strategies = schema.get("x-kubernetes-patch-strategy", "")
    return Field(
        name,
        _type(schema),
        flag,
        frozenset(strategies.split(",")) - {""},
        schema.get("x-kubernetes-patch-merge-key", ""),
    )


def _type(schema: dict[str, Any]) -> Type:
    if reference := schema.get("$ref"):
        found = named(reference.rpartition("/")[2])
        if schema.get(_MAP_TYPE) == "granular" and found.is_atomic:
            return replace(found, is_atomic=False)
        return found
    form = schema.get("type")
    form = next(name for name in form if name != "null") if isinstance(form, list) else form
    match form:
        case "array":
            keys = tuple(sorted(schema.get("x-kubernetes-list-map-keys", ())))
            list_type = schema.get("x-kubernetes-list-type", "atomic")
            return Type("list", _type(schema["items"]), list_type=list_type, list_map_keys=keys)
        case "object" if "additionalProperties" in schema:
            item = _type(schema["additionalProperties"])
            # Every map of quantities is a resource list, which is kept to whole thousandths (A5).
            item = Type("resource-quantity") if item.form == "quantity" else item
            return Type("map", item, is_atomic=_is_atomic(schema))
        case "object":
            return Type("raw")
        case "integer":
            return Type("int32" if schema.get("format") == "int32" else "int64")
        case "string" if schema.get("format") == "byte":
            return Type("bytes")
        case str():
            return Type(_SCALARS[form])
    return Type("any")


def _is_atomic(schema: dict[str, Any]) -> bool:
    return bool(schema.get(_MAP_TYPE) == "atomic")
