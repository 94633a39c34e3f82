"""What is wrong with the values of an object, by its schema, in upstream's words (A205).

A part that is as it was before an update is not looked at again: what was stored under an older schema stays
writable. Source: Kubernetes, k8s.io/kube-openapi/pkg/validation/validate and
k8s.io/apiextensions-apiserver/pkg/apiserver/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.api.errors import FieldError, invalid, not_supported, required, show, too_long

from . import patterns
from .formats import FORMATS
from .structural import ABSENT, Schema

INT_OR_STRING = "x-kubernetes-int-or-string"
_RANGES = {"": 64, "int64": 64, "int32": 32}


def value_errors(schema: Schema, value: Any, path: str = "", old: Any = ABSENT) -> Iterator[FieldError]:
    """All that is wrong with a value; `old` is what it was before."""
    if old is not ABSENT and old == value and type(old) is type(value):
        return
    if value is None:
        if not schema.get("nullable") and (types := _types(schema)):
            yield _type_error(path, ",".join(types), "null", "null")
        elif "enum" in schema and not schema.get("nullable"):
            yield from _enum(schema, value, path)
        return
    yield from _type(schema, value, path)
    yield from _logic(schema, value, path, old)
    match value:
        case str():
            yield from _text(schema, value, path)
        case bool():
            pass
        case int() | float():
            yield from _number(schema, value, path)
        case list():
            yield from _list(schema, value, path, old)
    yield from _enum(schema, value, path)
    if isinstance(value, dict):
        yield from _object(schema, value, path, old)


def _types(schema: Schema) -> tuple[str, ...]:
    if kind := schema.get("type"):
        return (kind,)
    return ("integer", "string") if schema.get(INT_OR_STRING) else ()


def type_name(value: Any) -> str:
    """What JSON Schema calls the type of a value."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    return "null"


def _type(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    types, found = _types(schema), type_name(value)
    if not types or found in types or (found == "integer" and "number" in types):
        return
    if found == "number" and "integer" in types and float(value).is_integer():
        return
    yield _type_error(path, ",".join(types), found, found)


def _type_error(path: str, wanted: str, value: Any, shown: Any) -> FieldError:
    text = f"{path} in body must be of type {wanted}: {show(shown)}"
    return FieldError(path or _NOWHERE, "FieldValueTypeInvalid", f"Invalid value: {show(value)}: {text}")


_NOWHERE = "<nil>"


def _wrong(path: str, value: Any, text: str) -> FieldError:
    return invalid(path or _NOWHERE, value, f"{path} in body {text}")


def _composed(text: str) -> FieldError:
    """What upstream says of no field in particular."""
    return invalid(_NOWHERE, "", text)


# -- values


def _text(schema: Schema, value: str, path: str) -> Iterator[FieldError]:
    if (most := schema.get("maxLength")) is not None and len(value) > most:
        yield too_long(path, most)
    elif (least := schema.get("minLength")) is not None and len(value) < least:
        yield _wrong(path, value, f"should be at least {least} chars long")
    elif (pattern := schema.get("pattern")) and not patterns.is_found(pattern, value):
        yield _wrong(path, value, f"should match '{pattern}'")
    check = FORMATS.get(schema.get("format", ""))
    if check is not None and "string" in (_types(schema) or ("string",)) and not check(value):
        yield _type_error(path, schema["format"], value, value)


def _number(schema: Schema, value: float, path: str) -> Iterator[FieldError]:
    if problem := _out_of_range(schema, value, path):
        yield _composed(problem)
    if (divisor := schema.get("multipleOf")) and not _is_multiple(value, divisor):
        yield _wrong(path, value, f"should be a multiple of {_go(divisor)}")
    if (most := schema.get("maximum")) is not None:
        is_open = bool(schema.get("exclusiveMaximum"))
        if value > most or (is_open and value == most):
            yield _wrong(path, value, f"should be less than {'' if is_open else 'or equal to '}{_go(most)}")
    if (least := schema.get("minimum")) is not None:
        is_open = bool(schema.get("exclusiveMinimum"))
        if value < least or (is_open and value == least):
            yield _wrong(path, value, f"should be greater than {'' if is_open else 'or equal to '}{_go(least)}")


def _out_of_range(schema: Schema, value: float, path: str) -> str:
    if schema.get("type") != "integer":
        return ""
    number_format = schema.get("format", "")
    bits = _RANGES.get(number_format, 64)
    if float(value).is_integer() and -(1 << bits - 1) <= value < 1 << bits - 1:
        return ""
    described = f"with format {number_format}" if number_format else "(default format)"
    return f"Checked value must be of type integer {described} in {path}"


def _is_multiple(value: float, divisor: float) -> bool:
    if isinstance(value, int) and isinstance(divisor, int):
        return value % divisor == 0
    quotient = value / divisor
    return abs(quotient - round(quotient)) < 1e-9


def _go(number: float) -> str:
    """A number as Go prints a float64 with `%v`."""
    if isinstance(number, int) or number.is_integer():
        number = int(number)
        if abs(number) < 10**21:
            return str(number)
    return f"{number:g}"


def _enum(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    allowed = schema.get("enum")
    if allowed and not any(one == value and isinstance(one, bool) == isinstance(value, bool) for one in allowed):
        texts = [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in allowed]
        yield not_supported(path, value, texts)


# -- what holds others


def _list(schema: Schema, value: list[Any], path: str, old: Any) -> Iterator[FieldError]:
    items = schema.get("items")
    if isinstance(items, dict):
        before = _by_key(schema, old)
        for index, entry in enumerate(value):
            was = before.get(_key(schema, entry), ABSENT) if before else ABSENT
            yield from value_errors(items, entry, f"{path}[{index}]", was)
    if (least := schema.get("minItems")) is not None and len(value) < least:
        yield _wrong(path, value, f"should have at least {least} items")
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        yield _too_many(path, len(value), most)


def _too_many(path: str, count: int, most: int) -> FieldError:
    text = f"Too many: {count}: must have at most {most} item{'' if most == 1 else 's'}"
    return FieldError(path or _NOWHERE, "FieldValueTooMany", text)


def _by_key(schema: Schema, old: Any) -> dict[bytes, Any]:
    """The items of a list before, where keys tell which is which."""
    if not isinstance(old, list) or schema.get("x-kubernetes-list-type") != "map":
        return {}
    return {_key(schema, entry): entry for entry in old}


def _key(schema: Schema, entry: Any) -> bytes:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return msgspec.json.encode([entry.get(key) for key in keys] if isinstance(entry, dict) else None)


def _object(schema: Schema, value: dict[str, Any], path: str, old: Any) -> Iterator[FieldError]:
    if (least := schema.get("minProperties")) is not None and len(value) < least:
        yield _wrong(path, value, f"should have at least {least} properties")
        return
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        yield _too_many(path, len(value), most)
        return
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for name, entry in value.items():
        inner = properties.get(name, additional)
        if isinstance(inner, dict):
            yield from value_errors(inner, entry, f"{path}.{name}" if path else name, before.get(name, ABSENT))
    for name in schema.get("required") or ():
        if name not in value:
            yield required(f"{path}.{name}" if path else name)


def _logic(schema: Schema, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    if any_of := schema.get("anyOf"):
        found = _attempts(any_of, value, path, old)
        if all(found):
            yield _composed(f'"{path}" must validate at least one schema (anyOf)')
            yield from min(found, key=len)
    if one_of := schema.get("oneOf"):
        found = _attempts(one_of, value, path, old)
        fitting = sum(not errors for errors in found)
        if fitting != 1:
            detail = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
            yield _composed(f'"{path}" must validate one and only one schema (oneOf). {detail}')
            yield from () if fitting else min(found, key=len)
    if all_of := schema.get("allOf"):
        found = _attempts(all_of, value, path, old)
        if any(found):
            yield _composed(
                f'"{path}" must validate all the schemas (allOf){"" if not all(found) else ". None validated"}'
            )
            for errors in found:
                yield from errors
    denied = schema.get("not")
    if isinstance(denied, dict) and not any(value_errors(denied, value, path)):
        yield _composed(f'"{path}" must not validate the schema (not)')


def _attempts(schemas: list[Schema], value: Any, path: str, old: Any) -> list[list[FieldError]]:
    return [list(value_errors(one, value, path)) for one in schemas]
