"""Writes a Swagger 2 document as protobuf, the only form that kubectl up to 1.28 asks for (A35, A36).

Field numbers: gnostic's openapi.v2 messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

_encode_json = msgspec.json.encode
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def swagger(document: dict[str, Any]) -> bytes:
    """The document's bytes. It may hold what `dialects` and `schemas` make, nothing more."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b"".join(_field(2, _named(path, _path_item(item))) for path, item in document["paths"].items())
    definitions = b"".join(_field(1, _named(name, _schema(schema))) for name, schema in document["definitions"].items())
    shared = b"".join(_field(1, _named(name, _parameter(one))) for name, one in document["parameters"].items())
    parts = _field(8, paths), _field(9, definitions), _field(10, shared)
    return _text(1, document["swagger"]) + _field(2, info) + b"".join(parts)


def _path_item(item: dict[str, Any]) -> bytes:
    return b"".join(_field(_METHODS[method], _operation(operation)) for method, operation in item.items())


def _operation(operation: dict[str, Any]) -> bytes:
    return b"".join(
        (
            _texts(1, operation["tags"]),
            _text(3, operation["description"]),
            _text(5, operation["operationId"]),
            _texts(6, operation["produces"]),
            _texts(7, operation["consumes"]),
            *(_field(8, _parameter_or_reference(parameter)) for parameter in operation["parameters"]),
            _field(9, b"".join(_field(1, _response(code, one)) for code, one in operation["responses"].items())),
            _extensions(13, operation),
        )
    )


def _response(code: str, response: dict[str, Any]) -> bytes:
    schema = _field(2, _field(1, _schema(response["schema"]))) if "schema" in response else b""
    return _named(code, _field(1, _text(1, response["description"]) + schema))


def _parameter_or_reference(parameter: dict[str, Any]) -> bytes:
    return _field(2, _text(1, parameter["$ref"])) if "$ref" in parameter else _field(1, _parameter(parameter))


def _parameter(parameter: dict[str, Any]) -> bytes:
    place, name = parameter["in"], parameter["name"]
    is_required = parameter.get("required", False)
    described = _text(3, parameter.get("description", ""))
    if place == "body":
        return _field(
            1, _text(2, name) + _text(3, place) + _flag(4, is_required) + _field(5, _schema(parameter["schema"]))
        )
    common = _flag(1, is_required) + _text(2, place) + described + _text(4, name)
    if place == "path":
        return _field(2, _field(4, common + _text(5, parameter["type"])))
    return _field(2, _field(3, common + _text(6, parameter["type"]) + _flag(20, True)))


def _schema(schema: dict[str, Any]) -> bytes:
    parts = []
    for key, value in schema.items():
        match key:
            case "$ref":
                parts.append(_text(1, value))
            case "format":
                parts.append(_text(2, value))
            case "description":
                parts.append(_text(4, value))
            case "required":
                parts.append(_texts(19, value))
            case "additionalProperties":
                parts.append(_field(21, _field(1, _schema(value))))
            case "type":
                parts.append(_field(22, _text(1, value)))
            case "items":
                parts.append(_field(23, _field(1, _schema(value))))
            case "properties":
                members = (_field(1, _named(name, _schema(member))) for name, member in value.items())
                parts.append(_field(25, b"".join(members)))
    parts.append(_extensions(31, schema))
    return b"".join(parts)


def _extensions(number: int, holder: dict[str, Any]) -> bytes:
    return b"".join(
        _field(number, _named(key, _field(2, _encode_json(value)))) for key, value in holder.items() if key[:2] == "x-"
    )


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _field(2, value)


def _texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(_field(number, value.encode()) for value in values)


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode()) if value else b""


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3) + b"\x01" if value else b""


def _field(number: int, content: bytes) -> bytes:
    return b"%b%b%b" % (_varint(number << 3 | 2), _varint(len(content)), content)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


_SMALL = [bytes([value]) for value in range(0x80)]
