"""Types with fields as CEL's checker takes them: as messages of protocol buffers, described in bytes.

What a protocol buffer has no field for, such as a list of lists, becomes a list of anything.

Source: google/protobuf/descriptor.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .signatures import Kind, Made, Opaque

PACKAGE = "holdfast_kinds"
_FILE = f"{PACKAGE}.proto"
_DEPENDENCIES = ("struct", "timestamp", "duration")
_SCALARS = {"double": 1, "int": 3, "uint": 4, "bool": 8, "string": 9, "bytes": 12}
_MESSAGE = 11
_ONE, _MANY = 1, 3
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
        self.serialized_pb = b"".join(
            (
                _text(1, _FILE),
                _text(2, PACKAGE),
                *(_text(3, f"google/protobuf/{name}.proto") for name in _DEPENDENCIES),
                *(_bytes(4, self._message(one)) for one in self._numbers),
                _text(12, "proto2"),
            )
        )

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

    def _message(self, one: Opaque) -> bytes:
        entries: dict[str, bytes] = {}
        parts = [_text(1, f"m{self._numbers[one]}")]
        for number, (name, kind) in zip(_field_numbers(), one.fields.items(), strict=False):
            if isinstance(kind, Made) and kind.form == "map" and (entry := _entry_name(name)) not in entries:
                entries[entry] = self._entry(entry, kind.item)
                inside = f".{self.full_name(one)}.{entry}"
                parts.append(_bytes(2, _field(name, number, _MANY, _MESSAGE, inside)))
            else:
                parts.append(_bytes(2, self._field(name, number, kind)))
        return b"".join((*parts, *(_bytes(3, entry) for entry in entries.values())))

    def _entry(self, name: str, item: Kind) -> bytes:
        """What a map consists of."""
        key, value = _field("key", 1, _ONE, _SCALARS["string"]), self._field("value", 2, _single(item))
        return b"".join((_text(1, name), _bytes(2, key), _bytes(2, value), _bytes(7, _number(7, 1))))

    def _field(self, name: str, number: int, kind: Kind) -> bytes:
        label = _ONE
        if isinstance(kind, Made) and kind.form == "list":
            label, kind = _MANY, _single(kind.item)
        match kind:
            case str() if kind in _SCALARS:
                return _field(name, number, label, _SCALARS[kind])
            case Opaque():
                return _field(name, number, label, _MESSAGE, f".{self.full_name(kind)}")
            case Made("map"):
                return _field(name, number, label, _MESSAGE, _ANY_MAP)
            case str() if kind in (*_WELL_KNOWN, _ANY_LIST, _ANY_MAP):
                return _field(name, number, label, _MESSAGE, _WELL_KNOWN.get(kind, kind))
        return _field(name, number, label, _MESSAGE, _ANY)


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


def _field(name: str, number: int, label: int, kind: int, type_name: str = "") -> bytes:
    parts = (_text(1, name), _number(3, number), _number(4, label), _number(5, kind))
    return b"".join(parts) + (_text(6, type_name) if type_name else b"")


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
