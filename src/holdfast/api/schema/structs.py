"""Types as msgspec Structs: one pass in C says whether a document fits, and writes it back as Go would.

Two things fall out of the round trip. A plain field that is zero or empty disappears, one behind a pointer stays,
and a scalar that Go always writes is there (A6); and quantities and times come back canonical (A4, A5). Whatever does
not fit at once takes the slow way through `walk`, which finds out why.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ForwardRef

import msgspec

from holdfast.api import quantity, times

from .types import Field, Type


class Quantity(str):
    __slots__ = ()


class ResourceQuantity(str):
    __slots__ = ()


class Time(str):
    __slots__ = ()


class MicroTime(str):
    __slots__ = ()


_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_FORMS: dict[str, Any] = {
    "string": str,
    "bytes": bytes,
    "bool": bool,
    "int32": _Int32,
    "int64": _Int64,
    "float64": float,
    "quantity": Quantity,
    "resource-quantity": ResourceQuantity,
    "int-or-string": _Int32 | str,
    "time": Time,
    "micro-time": MicroTime,
    "raw": dict[str, Any],
    "any": Any,
}
_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0}
_CANONICAL: dict[type, Any] = {
    Quantity: quantity.canonical,
    ResourceQuantity: quantity.canonical_resource,
    Time: times.canonical_time,
    MicroTime: times.canonical_micro_time,
}


def conform(kind: Type, document: Any) -> dict[str, Any]:
    """A private, mutable copy of a document that fits its type, in Go's form.

    Raises msgspec.ValidationError for anything unusual: a field unknown, a null, a type that does not fit.
    """
    fitted: Any = msgspec.convert(document, _struct(kind), dec_hook=_decode)
    result: dict[str, Any] = msgspec.to_builtins(fitted, enc_hook=str.__str__)
    return result


def _decode(wanted: type, value: Any) -> Any:
    if not isinstance(value, str) and (wanted in (Time, MicroTime) or isinstance(value, bool)):
        raise ValueError("not a text")
    return wanted(_CANONICAL[wanted](value))


@cache
def _struct(kind: Type) -> type:
    return _built(kind, frozenset())


def _built(kind: Type, above: frozenset[str]) -> type:
    above |= {kind.definition_name}
    members = [_member(field, above) for field in kind.fields.values()]
    struct = msgspec.defstruct(
        kind.name,
        [(f"f{number}", *member) for number, member in enumerate(members)],
        module=__name__,
        rename=dict(zip((f"f{number}" for number in range(len(members))), kind.fields, strict=True)),
        forbid_unknown_fields=True,
        omit_defaults=True,
        gc=False,
    )
    globals()[_own_name(kind)] = struct  # where msgspec looks for what a type that holds itself refers to
    return struct


def _own_name(kind: Type) -> str:
    return f"_{kind.definition_name.replace('.', '_').replace('-', '_')}"


def _member(field: Field, above: frozenset[str]) -> tuple[Any, Any]:
    wanted = _python_type(field.type, above)
    if field.flag == "!" and (zero := _ZEROS.get(field.type.form)) is not None:
        return wanted, msgspec.field(default_factory=lambda: zero)  # a default, unlike a factory's, is left out
    if field.flag == "" and field.type.form in _ZEROS:
        return wanted, _ZEROS[field.type.form]
    if field.flag == "" and field.type.form in ("list", "map"):
        return wanted, msgspec.field(default_factory=list if field.type.form == "list" else dict)
    return wanted | None if wanted is not Any else Any, None


def _python_type(kind: Type, above: frozenset[str]) -> Any:
    match kind.form:
        case "list" if kind.item:
            return list[_python_type(kind.item, above)]  # type: ignore[misc]
        case "map" if kind.item:
            return dict[str, _python_type(kind.item, above)]  # type: ignore[misc]
        case "struct":
            return ForwardRef(_own_name(kind)) if kind.definition_name in above else _shared(kind, above)
        case "schema-or-bool" if kind.item:
            return _python_type(kind.item, above) | bool
        case "schema-or-schemas" if kind.item:
            schema = _python_type(kind.item, above)
            return schema | list[schema]  # type: ignore[valid-type]
        case "schema-or-texts" if kind.item:
            return _python_type(kind.item, above) | list[str]
    return _FORMS[kind.form]


_shared_structs: dict[str, type] = {}


def _shared(kind: Type, above: frozenset[str]) -> type:
    struct = _shared_structs.get(kind.definition_name)
    if struct is None:
        struct = _shared_structs[kind.definition_name] = _built(kind, above)
    return struct
