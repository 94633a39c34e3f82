"""The protobuf messages of all stable kinds (A47): field numbers, and which fields are pointers in Go.

What is a pointer decides what is left out of JSON: a pointer to zero is kept, a plain zero is not (A6).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

_API = "io.k8s.api."
_META = "io.k8s.apimachinery.pkg.apis."


@dataclass(frozen=True, slots=True)
class MessageField:
    """`type` is s, b, i, u, y, d or a message's name; `flag` is `*` pointer, `!` always written, `~` spliced in."""

    name: str
    type: str
    is_repeated: bool
    is_map: bool
    flag: str


Message = dict[int, MessageField]
"""Fields by their number."""


@cache
def message(name: str) -> Message | None:
    """The message of that name, such as `core.v1.Pod`, or None where the table has none."""
    lines = _table().get(name)
    return {int(number): _field(line) for number, line in lines.items()} if lines is not None else None


def message_name(definition_name: str) -> str:
    """`core.v1.Pod` of `io.k8s.api.core.v1.Pod`."""
    for prefix in (_API, _META):
        if definition_name.startswith(prefix):
            return definition_name.removeprefix(prefix)
    return ".".join(definition_name.rsplit(".", 3)[1:])


@cache
def flags(name: str) -> dict[str, str]:
    """From JSON names to flags, spliced messages included; empty for an unknown message."""
    found: dict[str, str] = {}
    for field in (message(name) or {}).values():
        if field.flag == "~":
            found |= flags(field.type)
        else:
            found[field.name] = field.flag
    return found


@cache
def _table() -> dict[str, dict[str, str]]:
    data = Path(__file__).with_name("protobuf-fields.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, dict[str, str]])


def _field(line: str) -> MessageField:
    name, kind = line.split(" ", 1)
    flag = kind[-1] if kind[-1] in "*!~" else ""
    kind = kind.removesuffix(flag) if flag else kind
    return MessageField(name, kind.lstrip("[]{}"), kind.startswith("[]"), kind.startswith("{}"), flag)
