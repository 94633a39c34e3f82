"""Whether a configuration fits the schema that decides who owns what: stricter than decoding it (A146)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api.go_values import go_value
from holdfast.api.schema.types import Type

from .applying import key_text
from .nodes import LIST_MAP, MAP, SET, STRUCT, Node
from .owned import form

_NUMBERS = ("int32", "int64", "float64")
_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}


def problems(node: Node, config: dict[str, Any]) -> str:
    """All that is wrong with a configuration, as text; empty if nothing is."""
    found = [f"{path or '.'}: {what}" for path, what in _members(node, config, "")]
    if len(found) < 2:
        return "".join(found)
    return "errors:" + "".join(f"\n  {one}" for one in found)


def _members(node: Node, config: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    declared = node.type.fields if node.form == STRUCT and node.type is not None else None
    is_open = node.type is not None and node.type.is_open
    for name, value in config.items():
        where = f"{path}.{name}"
        if declared is not None and name not in declared:
            if not is_open:
                yield where, "field not declared in schema"
        elif value is not None:
            yield from _value(node.children[name], declared[name].type if declared else node.item, value, where)


def _value(node: Node, kind: Type | None, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if kind is None or kind.form in ("any", "raw"):
        return
    if kind.form in ("struct", "map"):
        if not isinstance(value, dict):
            yield path, f"expected map, got &{{{go_value(value)}}}"
        elif kind.form == "map" or node.form in (STRUCT, MAP):
            yield from _members(node, value, path)
        else:
            yield from _atomic(kind, value, path)
    elif kind.form == "list":
        if not isinstance(value, list):
            yield path, f"expected list, got &{{{go_value(value)}}}"
        elif form(node, value) in (LIST_MAP, SET):
            yield from _items(node, kind, value, path)
        elif kind.item is not None:
            for index, item in enumerate(value):
                if item is not None:
                    yield from _free(kind.item, item, f"{path}[{index}]")
    elif trouble := _scalar(kind, value):
        yield path, trouble


def _atomic(kind: Type, value: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """The members of a struct that is owned as a whole."""
    for name, entry in value.items():
        field = kind.fields.get(name)
        if field is None:
            if not kind.is_open:
                yield f"{path}.{name}", "field not declared in schema"
        elif entry is not None:
            yield from _free(field.type, entry, f"{path}.{name}")


def _free(kind: Type, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Below what is owned as a whole, where items have no keys of their own."""
    if kind.form == "struct" and isinstance(value, dict):
        yield from _atomic(kind, value, path)
    elif kind.form == "list" and isinstance(value, list) and kind.item is not None:
        for index, item in enumerate(value):
            if item is not None:
                yield from _free(kind.item, item, f"{path}[{index}]")
    elif kind.form == "map" and isinstance(value, dict) and kind.item is not None:
        for name, entry in value.items():
            if entry is not None:
                yield from _free(kind.item, entry, f"{path}.{name}")
    elif kind.form in ("struct", "map"):
        yield path, f"expected map, got &{{{go_value(value)}}}"
    elif kind.form == "list":
        yield path, f"expected list, got &{{{go_value(value)}}}"
    elif trouble := _scalar(kind, value):
        yield path, trouble


def _items(node: Node, kind: Type, value: list[Any], path: str) -> Iterator[tuple[str, str]]:
    seen: set[Any] = set()
    is_map = node.form == LIST_MAP
    for index, item in enumerate(value):
        if trouble := _unkeyed(node, item, is_map=is_map):
            yield path, f"element {index}: {trouble}"
            continue
        key = node.key_of(item)
        if key in seen:
            yield path, f"duplicate entries for key [{_item_text(node, key)}]"
            continue
        seen.add(key)
        if kind.item is not None:
            yield from _value(node.children[key], kind.item, item, f"{path}[{_item_text(node, key)}]")


def _unkeyed(node: Node, item: Any, *, is_map: bool) -> str:
    """Why an item cannot be told from others, or empty."""
    if not is_map:
        if isinstance(item, dict | list) or item is None:
            return "associative list with set type has a value that is no scalar"
        return ""
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    wanting = [key for key in node.keys if item.get(key, node.defaults.get(key)) is None]
    unusable = [key for key in node.keys if isinstance(item.get(key), dict | list)]
    if wanting and len(wanting) == len(node.keys):
        return f"associative list with keys has an element that omits key field {_quoted(wanting[0])}" + (
            " (and doesn't have default value)"
        )
    return f"key field {_quoted(unusable[0])} is no scalar" if unusable else ""


def _quoted(text: str) -> str:
    return f'"{text}"'


def _item_text(node: Node, key: Any) -> str:
    """`name="x"` of a map's item, `="x"` of a set's."""
    if node.form == LIST_MAP:
        return key_text(node.named_keys(key))
    return f"={_quoted(key)}" if isinstance(key, str) else f"={go_value(key)}"


def _scalar(kind: Type, value: Any) -> str:
    is_text, is_flag = isinstance(value, str), isinstance(value, bool)
    is_number = isinstance(value, int | float) and not is_flag
    match kind.form:
        case "string" | "bytes":
            return "" if is_text else f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"
        case "bool":
            return "" if is_flag else f"expected boolean, got &{{{go_value(value)}}}"
        case form_ if form_ in _NUMBERS:
            return "" if is_number else f"expected numeric (int or float), got {_go_type(value)}"
    return "" if is_text or is_number or is_flag else f"expected any scalar, got &{{{go_value(value)}}}"


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "map[string]interface {}")


def _go_syntax(value: Any) -> str:
    """A value as Go's `%#v` prints it."""
    match value:
        case str():
            return f'"{value}"'
        case list():
            return f"[]interface {{}}{{{', '.join(_go_syntax(entry) for entry in value)}}}"
        case dict():
            members = ", ".join(f'"{name}":{_go_syntax(value[name])}' for name in sorted(value))
            return f"map[string]interface {{}}{{{members}}}"
    return go_value(value)
