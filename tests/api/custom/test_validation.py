"""Values against schemas, in upstream's words (A205)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.custom.formats import FORMATS
from holdfast.api.custom.patterns import is_found, problem
from holdfast.api.custom.validation import value_errors

ONE_OF = '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf)'


def told(schema: dict[str, Any], value: Any, *old: Any) -> list[str]:
    return [str(error) for error in value_errors(schema, value, "spec", *old)]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 3, ['spec: Invalid value: "integer": spec in body must be of type string: "integer"']),
        ({"type": "string"}, None, ['spec: Invalid value: "null": spec in body must be of type string: "null"']),
        ({"type": "string", "nullable": True}, None, []),
        ({"type": "integer"}, 3.0, []),
        ({"type": "number"}, 3, []),
        ({"type": "boolean"}, 1, ['spec: Invalid value: "integer": spec in body must be of type boolean: "integer"']),
        ({"type": "string", "maxLength": 2}, "äöü", ["spec: Too long: may not be more than 2 bytes"]),
        ({"type": "string", "minLength": 2}, "a",
         ['spec: Invalid value: "a": spec in body should be at least 2 chars long']),
        ({"type": "string", "format": "date"}, "x",
         ['spec: Invalid value: "x": spec in body must be of type date: "x"']),
        ({"type": "string", "format": "whatever"}, "x", []),
        ({"type": "integer", "format": "int32"}, 2**31,
         ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec']),
        ({"type": "integer", "multipleOf": 5.0}, 7,
         ["spec: Invalid value: 7: spec in body should be a multiple of 5"]),
        ({"type": "number", "maximum": 2.5, "exclusiveMaximum": True}, 2.5,
         ["spec: Invalid value: 2.5: spec in body should be less than 2.5"]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1,
         ["spec: Invalid value: 1: spec in body should be greater than 1"]),
        ({"type": "array", "minItems": 1}, [], ["spec: Invalid value: []: spec in body should have at least 1 items"]),
        ({"type": "array", "maxItems": 1}, [1, 2], ["spec: Too many: 2: must have at most 1 item"]),
        ({"type": "object", "minProperties": 1}, {},
         ["spec: Invalid value: {}: spec in body should have at least 1 properties"]),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["spec: Too many: 2: must have at most 1 item"]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": 1},
         ['spec.a: Invalid value: "integer": spec.a in body must be of type string: "integer"']),
        ({"type": "array", "items": {"type": "object", "required": ["a"]}}, [{"a": 1}, {}],
         ["spec[1].a: Required value"]),
        ({"type": "integer", "enum": [1, 2]}, 3, ['spec: Unsupported value: 3: supported values: "1", "2"']),
        ({"x-kubernetes-int-or-string": True}, [],
         ['spec: Invalid value: "array": spec in body must be of type integer,string: "array"']),
        ({"type": "integer", "not": {"enum": [3]}}, 3,
         ['<nil>: Invalid value: "": "spec" must not validate the schema (not)']),
        ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1},
         [f"{ONE_OF}. Found 2 valid alternatives"]),
        ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {},
         [f"{ONE_OF}. Found none valid", "spec.a: Required value"]),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, {},
         ['<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)', "spec.a: Required value"]),
        ({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}]}, 5,
         ['<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)',
          "spec: Invalid value: 5: spec in body should be less than or equal to 3"]),
    ],
)  # fmt: skip
def test_a205_a_value_is_held_against_its_schema(schema: Any, value: Any, expected: list[str]) -> None:
    assert told(schema, value) == expected


def test_a205_what_was_there_before_is_not_looked_at_again() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer", "minimum": 1}}}
    schema = {
        "type": "object",
        "properties": {
            "list": {
                "type": "array",
                "items": item,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            "other": {"type": "integer"},
        },
    }
    old = {"list": [{"name": "a", "n": 0}, {"name": "b", "n": 0}], "other": 1}
    moved = {"list": [{"name": "b", "n": 0}, {"name": "a", "n": -1}], "other": 2}
    assert told(schema, moved, old) == [
        "spec.list[1].n: Invalid value: -1: spec.list[1].n in body should be greater than or equal to 1"
    ]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (
            "date-time",
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123+01:00"],
            ["2026-01-02", "2026-13-02T03:04:05Z"],
        ),
        ("date", ["2026-01-02"], ["2026-1-2", "x"]),
        ("duration", ["1h30m", "3 days", "10ms"], ["h", "1", "1 x"]),
        ("ipv4", ["1.2.3.4"], ["1.2.3", "::1", "256.1.1.1"]),
        ("ipv6", ["::1"], ["1.2.3.4"]),
        ("cidr", ["10.0.0.0/8", "10.1.2.3/8", "fd00::/8"], ["10.0.0.0", "10.0.0.0/99"]),
        ("email", ["a@b.c"], ["a", "@b"]),
        ("hostname", ["a.example.com"], ["a b", "-a"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
        ("uri", ["https://a.b/c", "/a"], ["a b"]),
        ("byte", ["aGVsbG8="], ["a"]),
        ("mac", ["00:00:5e:00:53:01", "0000.5e00.5301"], ["00:00", "00:00-5e:00:53:01"]),
        ("hexcolor", ["#fff", "a0b1c2"], ["#ff"]),
        ("k8s-short-name", ["a-b"], ["a.b", "A"]),
        ("k8s-long-name", ["a.b"], ["A"]),
    ],
)
def test_a205_formats(name: str, right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if not FORMATS[name](text)] == []
    assert [text for text in wrong if FORMATS[name](text)] == []


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        ("^a$", "a", "a\n"),
        ("^[[:alpha:]]+$", "abc", "a1"),
        (r"^\d+$", "12", "١٢"),
        ("a|b", "xbx", "c"),
        (r"^[$]\$$", "$$", "$"),
        (r"^(?P<x>a)(?<y>b)\z", "ab", "abc"),
        (r"^[^]]$", "a", "]"),
    ],
)
def test_patterns_mean_what_they_mean_in_go(pattern: str, right: str, wrong: str) -> None:
    assert is_found(pattern, right)
    assert not is_found(pattern, wrong)


def test_a_pattern_that_nobody_can_compile_refuses_nothing() -> None:
    assert is_found("a(", "b")
    assert problem("a(") == "error parsing regexp: missing closing ): `a(`"
    assert problem("a") == ""
