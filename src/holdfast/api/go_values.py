"""JSON values as Go prints them, and as Go's converters refuse them: both show in the errors of patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .schema.types import Type

_KINDS = {bool: "bool", str: "string", int: "int64", float: "float64", list: "slice", dict: "map"}


def go_value(value: Any) -> str:
    """A JSON value as Go's `%v` prints it: `map[a:1 b:[x y]]`."""
    match value:
        case dict():
            return f"map[{' '.join(f'{name}:{go_value(value[name])}' for name in sorted(value))}]"
        case list():
            return f"[{' '.join(go_value(entry) for entry in value)}]"
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
        case float():
            return f"{value:g}"
    return str(value)


def unstructured_refusal(kind: Type, value: Any) -> str:
    """Why a strategic merge's result cannot be decoded: upstream converts it field by field, with words of its own."""
    found = _KINDS.get(type(value), "")
    match kind.form:
        case "struct":
            if not isinstance(value, dict):
                return f"cannot restore struct from: {found}"
            members = ((kind.fields[name].type, entry) for name, entry in value.items() if name in kind.fields)
            return _first_refusal(members)
        case "list" if kind.item:
            item = kind.item
            return (
                _first_refusal((item, e) for e in value)
                if isinstance(value, list)
                else f"cannot restore slice from {found}"
            )
        case "map" if kind.item:
            item = kind.item
            entries = value.values() if isinstance(value, dict) else ()
            return (
                _first_refusal((item, e) for e in entries)
                if isinstance(value, dict)
                else f"cannot restore map from {found}"
            )
        case "string" | "bool" | "int32" | "int64" | "float64":
            return _scalar_refusal(kind.form, found)
    return ""


def _first_refusal(members: Iterable[tuple[Type, Any]]) -> str:
    return next(
        (text for member, entry in members if entry is not None and (text := unstructured_refusal(member, entry))), ""
    )


def _scalar_refusal(form: str, found: str) -> str:
    groups = {"int32": "number", "int64": "number", "float64": "number"}
    if groups.get(form, form) == groups.get(found, found):
        return ""
    return "cannot convert int64 to string" if (form, found) == ("string", "int64") else f"unrecognized type: {form}"
