"""Types with fields as CEL's checker takes them: as messages of protocol buffers.

What a protocol buffer has no field for, such as a list of lists, becomes a list of anything.

Source: google/protobuf/descriptor.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .signatures import Kind, Made, Opaque

PACKAGE = "holdfast_kinds"
_FILE = f"{PACKAGE}.proto"
_DEPENDENCIES = ("struct", "timestamp", "duration")
_SCALARS = {"double": 1, "int": 3, "uint": 4, "bool": 8, "string": 9, "bytes": 12}
_MESSAGE = 11
_ONE, _MANY = 1, 3
"""What `FieldDescriptorProto` calls the types and the labels of fields."""
_ANY, _ANY_LIST, _ANY_MAP = (f".google.protobuf.{name}" for name in ("Value", "ListValue", "Struct"))
_WELL_KNOWN = {"timestamp": ".google.protobuf.Timestamp", "duration": ".google.protobuf.Duration"}
_RESERVED = range(19000, 20000)
"""Numbers that no field may have."""


class File:
    """Everything that can be reached from some types, as one file; it looks like what the library takes for a pool."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._numbers: dict[Opaque, int] = {}
        for kind in kinds:
            self._reach(kind)
        self.names = [one.name for one in self._numbers]
        """As messages show the types `m0`, `m1` and so on of the package."""
        self.serialized_pb: bytes = self._described().SerializeToString()

    def _described(self) -> Any:
        from google.protobuf.descriptor_pb2 import FileDescriptorProto

        dependencies = [f"google/protobuf/{name}.proto" for name in _DEPENDENCIES]
        file = FileDescriptorProto(name=_FILE, package=PACKAGE, dependency=dependencies, syntax="proto2")
        for one, number in self._numbers.items():
            self._describe(file.message_type.add(name=f"m{number}"), one)
        return file

    def full_name(self, one: Opaque) -> str:
        return f"{PACKAGE}.m{self._numbers[one]}"

    # Named as Python's protocol buffers name them.

    def FindFileByName(self, name: str) -> File:  # noqa: N802
        if name != _FILE:
            raise KeyError(name)
        return self

    def FindFileContainingSymbol(self, symbol: str) -> File:  # noqa: N802
        if not symbol.startswith(f"{PACKAGE}.m"):
            raise KeyError(symbol)
        return self

    def FindMessageTypeByName(self, name: str) -> File:  # noqa: N802
        raise KeyError(name)

    def _reach(self, kind: Kind) -> None:
        waiting = [kind]
        while waiting:
            match waiting.pop():
                case Made() as made:
                    waiting.append(made.item)
                case Opaque() as one if one not in self._numbers:
                    self._numbers[one] = len(self._numbers)
                    waiting.extend(one.fields.values())

    def _describe(self, message: Any, one: Opaque) -> None:
        entries: set[str] = set()
        for number, (name, kind) in zip(_field_numbers(), one.fields.items(), strict=False):
            field = message.field.add(name=name, number=number, label=_ONE)
            if isinstance(kind, Made) and kind.form == "map" and (entry := _entry_name(name)) not in entries:
                entries.add(entry)
                self._describe_entry(message.nested_type.add(name=entry), kind.item)
                field.label, field.type, field.type_name = _MANY, _MESSAGE, f".{self.full_name(one)}.{entry}"
            else:
                self._describe_type(field, kind)

    def _describe_entry(self, entry: Any, item: Kind) -> None:
        """What a map consists of."""
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_ONE, type=_SCALARS["string"])
        self._describe_type(entry.field.add(name="value", number=2, label=_ONE), _single(item))

    def _describe_type(self, field: Any, kind: Kind) -> None:
        if isinstance(kind, Made) and kind.form == "list":
            field.label, kind = _MANY, _single(kind.item)
        field.type = _MESSAGE
        match kind:
            case str() if kind in _SCALARS:
                field.type = _SCALARS[kind]
            case Opaque():
                field.type_name = f".{self.full_name(kind)}"
            case Made("map"):
                field.type_name = _ANY_MAP
            case str() if kind in (*_WELL_KNOWN, _ANY_LIST, _ANY_MAP):
                field.type_name = _WELL_KNOWN.get(kind, kind)
            case _:
                field.type_name = _ANY


def _single(item: Kind) -> Kind:
    """What may be many times in one field."""
    match item:
        case Made("list"):
            return _ANY_LIST
        case Made("map"):
            return _ANY_MAP
    return item


def _field_numbers() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        if number not in _RESERVED:
            yield number


def _entry_name(field: str) -> str:
    """What protocol buffers demand that it is called."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"
