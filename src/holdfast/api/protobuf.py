"""Reads protobuf request bodies into manifests (A46-A48), driven by the field table in `schema/`.

Answers are JSON, so nothing is ever written here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from .schema import messages
from .schema.messages import MessageField
from .times import format_micro_time, format_time

MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedProtobuf(ValueError):
    """The bytes are no message."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a body says of its content before the content."""

    api_version: str
    kind: str
    raw: bytes


def envelope(body: bytes) -> Envelope:
    """The outer message of a body. Raises MalformedProtobuf."""
    if not body.startswith(MAGIC):
        raise MalformedProtobuf(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    api_version = kind = ""
    raw = b""
    for number, value in _members(body[len(MAGIC) :]):
        if number == 1:
            type_meta = {n: _text(v) for n, v in _members(_content(value)) if n in (1, 2)}
            api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
        elif number == 2:
            raw = _content(value)
    return Envelope(api_version, kind, raw)


def decode_message(name: str, data: bytes) -> dict[str, Any]:
    """The JSON form of a message such as `core.v1.Pod`, as Go would write it, kind and apiVersion aside.

    Raises MalformedProtobuf, and LookupError where the table has no such message.
    """
    message = messages.message(name)
    if message is None:
        raise LookupError(name)
    document: dict[str, Any] = {}
    for number, value in _members(data):
        if field := message.get(number):
            _put(document, field, value)
    return {key: document[key] for field in message.values() for key in _names(field) if key in document}


def _put(document: dict[str, Any], field: MessageField, value: int | bytes) -> None:
    if field.flag == "~":
        document.update(decode_message(field.type, _content(value)))
    elif field.is_map:
        key, entry = _entry(field.type, _content(value))
        document.setdefault(field.name, {})[key] = entry
    elif field.is_repeated:
        entries = document.setdefault(field.name, [])
        entries.extend(
            _unpacked(value) if field.type == "i" and isinstance(value, bytes) else [_value(field.type, value)]
        )
    else:
        decoded = _value(field.type, value)
        if decoded is not None and (field.flag or decoded not in ("", 0, False, {}, [])):
            document[field.name] = decoded


@cache
def _names(field: MessageField) -> tuple[str, ...]:
    """The JSON names a field may give."""
    return tuple(messages.flags(field.type)) if field.flag == "~" else (field.name,)


def _entry(kind: str, data: bytes) -> tuple[str, Any]:
    members = dict(_members(data))
    value = members.get(2)
    return _text(members.get(1, b"")), _zero(kind) if value is None else _value(kind, value)


def _zero(kind: str) -> Any:
    return {"i": 0, "u": 0, "b": False, "d": 0.0, "resource.Quantity": "0"}.get(kind, "" if kind in "sy" else {})


def _value(kind: str, value: int | bytes) -> Any:
    match kind:
        case "s":
            return _text(value)
        case "y":
            return base64.b64encode(_content(value)).decode()
        case "b":
            return bool(value)
        case "i":
            return _signed(value)
        case "u":
            return value
        case "d":
            return struct.unpack("<d", _content(value))[0]
    special = _SPECIAL.get(kind)
    return special(_content(value)) if special else decode_message(kind, _content(value))


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise MalformedProtobuf("a number was expected")
    return value - (1 << 64) if value >> 63 else value


def _unpacked(data: bytes) -> list[int]:
    at, numbers = 0, []
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(_signed(number))
    return numbers


def _moment(data: bytes) -> datetime | None:
    members = dict(_members(data))
    if not members:
        return None
    seconds, nanos = _signed(members.get(1, 0)), _signed(members.get(2, 0))
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise MalformedProtobuf("a time is out of range") from None


def _time(data: bytes) -> str | None:
    moment = _moment(data)
    return format_time(moment) if moment else None


def _micro_time(data: bytes) -> str | None:
    moment = _moment(data)
    return format_micro_time(moment) if moment else None


def _quantity(data: bytes) -> str | None:
    return _text(dict(_members(data)).get(1, b"")) or None


def _int_or_string(data: bytes) -> int | str:
    members = dict(_members(data))
    return _text(members.get(3, b"")) if members.get(1, 0) else _signed(members.get(2, 0))


def _raw_json(data: bytes) -> Any:
    raw = _content(dict(_members(data)).get(1, b""))
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedProtobuf(str(error)) from None


def _duration(data: bytes) -> str:
    """As Go writes a duration, in seconds: `1.5s`, `0s`."""
    return f"{_signed(dict(_members(data)).get(1, 0)) / 1e9:g}s"


def _strings(data: bytes) -> list[str]:
    return [_text(value) for _, value in _members(data)]


def _schema_or_list(data: bytes) -> Any:
    schemas = [decode_message(_JSON_SCHEMA, _content(value)) for _, value in _members(data)]
    return schemas[0] if [number for number, _ in _members(data)] == [1] else schemas


def _schema_or_bool(data: bytes) -> Any:
    members = dict(_members(data))
    return decode_message(_JSON_SCHEMA, _content(members[2])) if 2 in members else bool(members.get(1, 0))


def _schema_or_strings(data: bytes) -> Any:
    members = list(_members(data))
    if members and members[0][0] == 1:
        return decode_message(_JSON_SCHEMA, _content(members[0][1]))
    return [_text(value) for _, value in members]


_JSON_SCHEMA = "apiextensions.v1.JSONSchemaProps"
_SPECIAL: dict[str, Callable[[bytes], Any]] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.Duration": _duration,
    "meta.v1.FieldsV1": _raw_json,
    "meta.v1.Verbs": _strings,
    "resource.Quantity": _quantity,
    "intstr.IntOrString": _int_or_string,
    "runtime.RawExtension": _raw_json,
    "apiextensions.v1.JSON": _raw_json,
    "apiextensions.v1.JSONSchemaPropsOrArray": _schema_or_list,
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrStringArray": _schema_or_strings,
    "authentication.v1.ExtraValue": _strings,
    "authorization.v1.ExtraValue": _strings,
    "certificates.v1.ExtraValue": _strings,
}


def _members(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values: integers for varints, bytes for all else."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, at = _varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, -1)
        if length < 0 or at + length > end:
            raise MalformedProtobuf("unexpected EOF" if length >= 0 else f"proto: illegal wireType {wire_type}")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data):
            raise MalformedProtobuf("unexpected EOF")
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        if shift >= 70:
            raise MalformedProtobuf("proto: integer overflow")


def _content(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    raise MalformedProtobuf("bytes were expected")


def _text(value: int | bytes) -> str:
    try:
        return _content(value).decode()
    except UnicodeDecodeError:
        raise MalformedProtobuf("invalid UTF-8") from None
