"""managedFields as values: reading, writing, ordering and bounding it (A134, A135, A143).

FieldsV1 is made once per set of paths and shared by every object that has it: objects that one controller makes
of one template all do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

from .nodes import SEPARATOR

APPLY, UPDATE = "Apply", "Update"
FIELDS_TYPE = "FieldsV1"
MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
KNOWN_SHAPES = 2048
"""How many different sets are kept beside their written form."""
KNOWN_PATHS, KNOWN_BYTES = 500, 32 << 10
"""What is larger is not kept: it is rare, and its size is up to users."""

Paths = frozenset[str]


class Malformed(ValueError):
    """A list of managed fields that nothing can be made of."""


class FieldsV1(dict[str, Any]):
    """The written form of a set of paths, which it remembers. Shared, never changed."""

    __slots__ = ("paths",)
    paths: Paths


@dataclass(frozen=True, slots=True)
class Entry:
    """What one manager owns. `time` is empty if it has never changed the object itself."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    paths: Paths = frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """What two entries of one object never share."""
        version = self.api_version if self.operation == UPDATE else ""
        return self.manager, self.operation, self.subresource, version

    @property
    def order(self) -> tuple[str, ...]:
        return self.operation, self.time, self.manager, self.api_version, self.subresource


def read(managed: Any) -> list[Entry]:
    """The entries of a `metadata.managedFields`, None being none. Raises Malformed."""
    return [_entry(one) for one in managed or ()]


def _entry(one: dict[str, Any]) -> Entry:
    operation = one.get("operation", "")
    if operation not in (APPLY, UPDATE):
        raise Malformed(f"operation is {operation!r}")
    if one.get("fieldsType") != FIELDS_TYPE:
        raise Malformed(f"fieldsType is {one.get('fieldsType')!r}")
    return Entry(
        one.get("manager", ""),
        operation,
        one.get("apiVersion", ""),
        one.get("subresource", ""),
        one.get("time") or "",
        paths_of(one.get("fieldsV1") or {}),
    )


def paths_of(fields: dict[str, Any]) -> Paths:
    """Raises Malformed."""
    if isinstance(fields, FieldsV1):
        return fields.paths
    try:
        written = msgspec.json.encode(fields)
        return _parsed(written) if len(written) < KNOWN_BYTES else _parsed.__wrapped__(written)
    except RecursionError:
        raise Malformed("fieldsV1 is too deep") from None


def decoded(written: bytes) -> dict[str, Any]:
    """FieldsV1 from its bytes: one for all objects that own the same."""
    return _decoded(written) if len(written) < KNOWN_BYTES else _decoded.__wrapped__(written)


@lru_cache(KNOWN_SHAPES)
def _decoded(written: bytes) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(written)
    try:
        fields = fields_v1(_parsed(written))
    except Malformed:
        return plain
    return fields if list(fields) == list(plain) and fields == plain else plain


@lru_cache(KNOWN_SHAPES)
def _parsed(written: bytes) -> Paths:
    found: set[str] = set()
    try:
        _collect(msgspec.json.decode(written), "", found)
    except AttributeError:
        raise Malformed("fieldsV1 is not made of objects") from None
    return frozenset(found)


def _collect(fields: dict[str, Any], path: str, found: set[str]) -> None:
    for element, inner in fields.items():
        if element == ".":
            found.add(path)
            continue
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            raise Malformed(f"no such element: {element}")
        below = f"{path}{SEPARATOR}{element}" if path else element
        if inner:
            _collect(inner, below, found)
        elif inner == {}:
            found.add(below)
        else:
            raise Malformed(f"{element} is no object")


def fields_v1(paths: Paths) -> FieldsV1:
    """The written form of a set."""
    return _fields(paths) if len(paths) < KNOWN_PATHS else _fields.__wrapped__(paths)


@lru_cache(KNOWN_SHAPES)
def _fields(paths: Paths) -> FieldsV1:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        here = root
        for element in path.split(SEPARATOR):
            here = here.setdefault(element, {})
        here["."] = None
    fields = FieldsV1(_closed(root))
    fields.paths = paths
    return fields


def _closed(node: dict[str, Any]) -> dict[str, Any]:
    """Members of the set that hold nothing are bare, others say so by a dot."""
    if len(node) == 1 and "." in node:
        return {}
    return {element: {} if inner is None else _closed(inner) for element, inner in sorted(node.items())}


def write(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The list as objects carry it: without empty entries, in upstream's order."""
    return [_written(entry) for entry in sorted((one for one in entries if one.paths), key=_order)]


def _order(entry: Entry) -> tuple[str, ...]:
    return entry.order


def _written(entry: Entry) -> dict[str, Any]:
    written: dict[str, Any] = {"manager": entry.manager} if entry.manager else {}
    written["operation"] = entry.operation
    written["apiVersion"] = entry.api_version
    if entry.time:
        written["time"] = entry.time
    written["fieldsType"] = FIELDS_TYPE
    written["fieldsV1"] = fields_v1(entry.paths)
    if entry.subresource:
        written["subresource"] = entry.subresource
    return written


def same_but_for_time(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> bool:
    """Whether two lists differ in nothing but when (A2)."""
    return len(one) == len(other) and _untimed(one) == _untimed(other)


def _untimed(managed: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], Any]:
    names = ("manager", "operation", "apiVersion", "subresource")
    return {tuple(str(one.get(name, "")) for name in names): one.get("fieldsV1") for one in managed}


def bounded(entries: list[Entry]) -> list[Entry]:
    """Not more than ten updaters: the oldest of one apiVersion become one (A143)."""
    updaters = sorted((one for one in entries if one.operation == UPDATE), key=_age)
    excess = len(updaters) - MAX_UPDATERS
    if excess <= 0:
        return entries
    kept = {one.identity: one for one in entries}
    firsts: dict[str, Entry] = {}
    for one in updaters:
        if excess <= 0:
            break
        first = firsts.setdefault(one.api_version, one)
        if first is one:
            continue
        del kept[one.identity]
        kept.pop(first.identity, None)
        first = replace(
            first, manager=ANCIENT, subresource="", time=one.time or first.time, paths=first.paths | one.paths
        )
        firsts[one.api_version] = first
        if (there := kept.get(first.identity)) is not None:
            first = replace(first, paths=first.paths | there.paths)
        kept[first.identity] = first
        excess -= 1
    return list(kept.values())


def _age(entry: Entry) -> tuple[str, ...]:
    return entry.time, *entry.identity
