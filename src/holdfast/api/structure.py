"""Differences of specs as upstream prints them in refusals: of its internal structures, all fields, in their order.

Users read there which field they changed; tools match the first line only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "apiVersion": "APIVersion",
    "apiGroup": "APIGroup",
    "uid": "UID",
    "nfs": "NFS",
    "csi": "CSI",
    "fc": "FC",
    "tty": "TTY",
    "dnsPolicy": "DNSPolicy",
    "dnsConfig": "DNSConfig",
    "os": "OS",
    "fsGroup": "FSGroup",
    "fsGroupChangePolicy": "FSGroupChangePolicy",
    "seLinuxOptions": "SELinuxOptions",
    "seLinuxChangePolicy": "SELinuxChangePolicy",
}
_SORTED = frozenset({"NodeSelector", "Limits", "Requests", "Overhead"})
_MAPS = _SORTED | {"Selector", "LabelSelector"}
"""What keeps its keys as they are: maps, and structures that upstream prints with their JSON names."""


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a structure: its name there, its JSON name, what it is when unset, the structure it holds."""

    name: str
    json: str
    zero: Any = None
    shape: Shape | None = None
    is_pointer: bool = True
    """Whether it is null when unset, rather than a structure without values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a structure, in order."""

    members: tuple[Member, ...]

    def render(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {member.name: _render(member, value.get(member.json)) for member in self.members}


def difference(shape: Shape, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """A unified diff of both, three lines of context, without file names."""
    import difflib

    before, after = shape.render(old), shape.render(new)
    lines = difflib.unified_diff(_lines(before), _lines(_in_order_of(before, after)), n=3)
    return "".join(list(lines)[2:])


def fields(*names: str) -> tuple[Member, ...]:
    """Members that are null when unset, named as their JSON with a capital."""
    return tuple(Member(go_name(name), name) for name in names)


def texts(*names: str) -> tuple[Member, ...]:
    """As fields, empty texts when unset."""
    return tuple(Member(go_name(name), name, "") for name in names)


def flags(*names: str) -> tuple[Member, ...]:
    """As fields, false when unset."""
    return tuple(Member(go_name(name), name, False) for name in names)


def go_name(json_name: str) -> str:
    return _NAMES.get(json_name) or json_name[:1].upper() + json_name[1:]


def _render(member: Member, value: Any) -> Any:
    shape = member.shape
    if shape is not None and not member.is_pointer:
        return shape.render(value or {})
    if value is None or value == []:
        return member.zero
    if member.name in _MAPS:
        return (dict(sorted(value.items())) if member.name in _SORTED else value) or None
    if shape is None:
        return _plain(value)
    return [shape.render(item) for item in value] if isinstance(value, list) else shape.render(value)


def _plain(value: Any) -> Any:
    """Structures that no shape describes: what is there, renamed."""
    if isinstance(value, dict):
        return {go_name(name): _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _in_order_of(model: Any, value: Any) -> Any:
    """So that what only stands elsewhere is no difference: of structures that no shape describes, no order is known."""
    if isinstance(model, dict) and isinstance(value, dict):
        names = [name for name in model if name in value] + [name for name in value if name not in model]
        return {name: value[name] if name in _SORTED else _in_order_of(model.get(name), value[name]) for name in names}
    if isinstance(model, list) and isinstance(value, list):
        models = [*model, *[None] * len(value)]
        return [_in_order_of(before, after) for before, after in zip(models, value, strict=False)]
    return value


def _lines(value: Any) -> list[str]:
    import json

    text = json.dumps(value, indent=1, ensure_ascii=False)
    for character, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(character, escaped)
    return [f"{line}\n" for line in text.split("\n")]
