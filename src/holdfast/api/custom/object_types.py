"""The types of whole objects for CEL's checker, made of the schemas of built-in and of custom kinds (A249).

What expressions meet is JSON, where a time is a text, and so are bytes; as upstream's checker takes them for something
else, both are anything here, and so is every part that a schema leaves open.

Source: Kubernetes, k8s.io/apiserver/pkg/cel/common/schemas.go.
"""

from __future__ import annotations

from holdfast.api.schema import types

from .references import escaped
from .signatures import Kind, Made, Opaque, listed
from .structural import Structural

_FORMS = {"string": "string", "bool": "bool", "int32": "int", "int64": "int", "float64": "double"}
_TYPES = {"boolean": "bool", "integer": "int", "number": "double"}
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Cyclic(Exception):
    """A type that contains itself: upstream checks nothing against it."""


def built_in(root: types.Type, kind: str) -> Kind:
    """Raises Cyclic."""
    return _Definitions().kind(root, kind)


def custom(root: Structural, kind: str) -> Kind:
    """Whose schema need not describe what every object has."""
    if root.is_open:
        return "dyn"
    metadata = _Definitions().kind(types.named(_OBJECT_META), f"{kind}.metadata")
    every: dict[str, Kind] = {"apiVersion": "string", "kind": "string", "metadata": metadata}
    return Opaque(kind, fields=_fields(root, kind) | every)


class _Definitions:
    """Each definition becomes one type, so that lists of containers can be added, whoever's they are."""

    def __init__(self) -> None:
        self._made: dict[str, Opaque | None] = {}

    def kind(self, given: types.Type, name: str) -> Kind:
        match given.form:
            case "list" if given.item is not None:
                return listed(self.kind(given.item, f"{name}.@idx"))
            case "map" if given.item is not None:
                return Made("map", self.kind(given.item, f"{name}.@elem"))
            case "struct" if given.fields and not given.is_open:
                return self._struct(given, name)
        return _FORMS.get(given.form, "dyn")

    def _struct(self, given: types.Type, name: str) -> Opaque:
        if given.definition_name in self._made:
            if (known := self._made[given.definition_name]) is None:
                raise Cyclic(given.definition_name)
            return known
        self._made[given.definition_name] = None
        fields = {escaped(one): self.kind(field.type, f"{name}.{one}") for one, field in given.fields.items()}
        made = self._made[given.definition_name] = Opaque(name, fields=fields)
        return made


def _structural(given: Structural, name: str) -> Kind:
    schema = given.schema
    if schema.get("x-kubernetes-int-or-string") or given.is_open or given.is_embedded or given.allows_any_name:
        return "dyn"
    match schema.get("type"):
        case "array" if given.items is not None:
            return listed(_structural(given.items, f"{name}.@idx"))
        case "object" if given.additional is not None:
            return Made("map", _structural(given.additional, f"{name}.@elem"))
        case "object":
            return Opaque(name, fields=_fields(given, name))
        case "string":
            return "dyn" if schema.get("format") in ("byte", "date", "date-time", "duration") else "string"
        case str() as kind:
            return _TYPES.get(kind, "dyn")
    return "dyn"


def _fields(given: Structural, name: str) -> dict[str, Kind]:
    return {escaped(one): _structural(inner, f"{name}.{one}") for one, inner in given.properties.items()}
