"""The slow way through a document: prunes it, and says everything that is wrong in the order it is written.

Used when `structs.conform` refuses. Wording and order are those of Kubernetes' JSON decoder (A62, A74).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.api import quantity, times

from .types import Field, Type

_INT_BITS = {"int32": 32, "int64": 64}
_NUMBERS = ("int32", "int64", "float64")
_MAX_PROBLEMS = 100

_LEFT_OUT = object()


class WrongType(ValueError):
    """A value that its field cannot hold, in the words of Go's decoder."""


class RepeatedKeys(dict[str, Any]):
    """A JSON object in which a key occurs twice; as a dict it holds the last value."""

    pairs: list[tuple[str, Any]]


@dataclass
class Walk:
    """One document's way: what was unknown or written twice is gathered in `problems`."""

    problems: list[str] = field(default_factory=list)

    def struct(self, kind: Type, document: Any, path: str = "") -> dict[str, Any]:
        """The document, which lies at `path`, without what the type does not know. Raises WrongType."""
        pruned: dict[str, Any] = self._struct(kind, document, path, path)
        return pruned

    def _struct(self, kind: Type, document: Any, path: str, shown: str) -> Any:
        """`path` has list indices, as problems show it; `shown` has none, as Go's type errors show it."""
        if not isinstance(document, dict):
            raise _mismatch(kind, document, kind.name, shown)
        pruned: dict[str, Any] = {}
        for name, value, is_repeated in _members(document):
            where, there = f"{path}.{name}" if path else name, f"{shown}.{name}" if shown else name
            member = kind.fields.get(name)
            if member is None:
                self._add(f'unknown field "{where}"')
                continue
            if is_repeated:
                self._add(f'duplicate field "{where}"')
            if (kept := self._member(member, value, where, there, kind.name)) is not _LEFT_OUT:
                pruned[name] = kept
        return pruned

    def _member(self, member: Field, value: Any, path: str, shown: str, owner: str) -> Any:
        return _LEFT_OUT if value is None else self._value(member.type, value, path, shown, owner)

    def _value(self, kind: Type, value: Any, path: str, shown: str, owner: str) -> Any:
        match kind.form:
            case "struct":
                return (
                    self._struct(kind, value, path, shown)
                    if isinstance(value, dict)
                    else _refuse(kind, value, owner, shown)
                )
            case "list" if kind.item:
                return self._list(kind, kind.item, value, path, shown, owner)
            case "map" if kind.item:
                return self._map(kind, kind.item, value, path, shown, owner)
            case "raw" | "any":
                return value
            case "schema-or-bool" | "schema-or-schemas" | "schema-or-texts" if kind.item:
                return self._schema_or(kind, kind.item, value, path, shown, owner)
        return _scalar(kind, value, owner, shown)

    def _schema_or(self, kind: Type, schema: Type, value: Any, path: str, shown: str, owner: str) -> Any:
        """A schema, or what may stand in its place; whatever else upstream takes for an empty one, not for a bool."""
        if isinstance(value, dict):
            return self._struct(schema, value, path, shown)
        if kind.form == "schema-or-bool":
            if isinstance(value, bool):
                return value
            raise WrongType("boolean or JSON schema expected")
        if not isinstance(value, list):
            return _LEFT_OUT
        return self._list(kind, Type("string") if kind.form == "schema-or-texts" else schema, value, path, shown, owner)

    def _list(self, kind: Type, item: Type, value: Any, path: str, shown: str, owner: str) -> Any:
        if not isinstance(value, list):
            raise _mismatch(kind, value, owner, shown)
        return [
            _zero(item) if entry is None else self._value(item, entry, f"{path}[{index}]", shown, owner)
            for index, entry in enumerate(value)
        ]

    def _map(self, kind: Type, item: Type, value: Any, path: str, shown: str, owner: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(kind, value, owner, shown)
        result = {}
        for name, entry, is_repeated in _members(value):
            if is_repeated:
                self._add(f'duplicate field "{path}.{name}"')
            kept = _LEFT_OUT if entry is None else self._value(item, entry, f"{path}.{name}", shown, owner)
            result[name] = _zero(item) if kept is _LEFT_OUT else kept
        return result

    def _add(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def parse_showing_repeats(text: str | bytes) -> Any:
    """Valid JSON, with RepeatedKeys in place of each object in which a key occurs twice."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = RepeatedKeys(members)
    repeated.pairs = pairs
    return repeated


def _members(document: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Keys and values as they were written, and whether the key was there before."""
    if not isinstance(document, RepeatedKeys):
        for name, value in document.items():
            yield name, value, False
        return
    seen: set[str] = set()
    for name, value in document.pairs:
        yield name, value, name in seen
        seen.add(name)


def _scalar(kind: Type, value: Any, owner: str, shown: str) -> Any:
    is_text, is_number = isinstance(value, str), isinstance(value, int | float) and not isinstance(value, bool)
    match kind.form:
        case "string" if is_text:
            return value
        case "bytes" if is_text:
            return _base64(value)
        case "bool" if isinstance(value, bool):
            return value
        case "int-or-string" if is_text or is_number:
            return value if is_text else _integer(value, 32, kind, owner, shown)
        case "int32" | "int64" if is_number:
            return _integer(value, _INT_BITS[kind.form], kind, owner, shown)
        case "float64" if is_number:
            return value
        case "quantity" | "resource-quantity" if is_text or is_number:
            write = quantity.canonical if kind.form == "quantity" else quantity.canonical_resource
            return _converted(write, value)
        case "quantity" | "resource-quantity":
            raise WrongType(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
        case "time" | "micro-time" if is_text:
            return _converted(times.canonical_time if kind.form == "time" else times.canonical_micro_time, value)
        case "time" | "micro-time":
            raise WrongType(f"json: cannot unmarshal {_json_type(value)} into Go value of type string")
    raise _mismatch(kind, value, owner, shown)


def _converted(convert: Any, value: Any) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise WrongType(str(error)) from None


def _integer(value: float, bits: int, kind: Type, owner: str, shown: str) -> int:
    if isinstance(value, int) and -(1 << bits - 1) <= value < 1 << bits - 1:
        return value
    go = "int32" if kind.form == "int-or-string" else kind.go
    raise WrongType(
        f"json: cannot unmarshal number {json.dumps(value)} into Go struct field {owner}.{shown} of type {go}"
    )


def _base64(text: str) -> str:
    bare = text.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(bare, validate=True)
    except ValueError:
        match = re.match(r"[A-Za-z0-9+/]*", text)
        at = match.end() if match else 0
        at = at if at < len(text) and text[at] != "=" else len(text) // 4 * 4
        raise WrongType(f"illegal base64 data at input byte {at}") from None
    return bare


def _refuse(kind: Type, value: Any, owner: str, shown: str) -> Any:
    raise _mismatch(kind, value, owner, shown)


def _mismatch(kind: Type, value: Any, owner: str, shown: str) -> WrongType:
    where = f"struct field {owner}.{shown}" if shown else "value"
    return WrongType(f"json: cannot unmarshal {_json_type(value)} into Go {where} of type {kind.go}")


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
    return "object"


def _zero(kind: Type) -> Any:
    """What Go makes of null inside a list or map."""
    match kind.form:
        case "struct" | "map" | "raw":
            return {}
        case "list":
            return []
        case "bool":
            return False
        case "quantity" | "resource-quantity":
            return "0"
        case form if form in _NUMBERS or form == "int-or-string":
            return 0
        case "time" | "micro-time" | "any" | "schema-or-bool" | "schema-or-schemas" | "schema-or-texts":
            return None
    return ""
