"""Rules in CEL: held against objects, against changes, and told of where they are not."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from holdfast.api.custom import expressions, rules
from holdfast.api.custom.structural import compiled

from .conftest import DEFINITIONS, GEARS, Define, definition, gear, version

MERGE = {"content-type": "application/merge-patch+json"}


def ruled(*given: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """The definition with these rules on `spec`, and more properties of it."""
    made = version()
    spec = made["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = list(given)
    spec["properties"] |= properties
    return definition(made)


def causes(answer: Any) -> list[tuple[str, str, str]]:
    assert answer.code == 422, answer.body
    return [(one["reason"], one["field"], one["message"]) for one in answer["details"]["causes"]]


async def test_a211_a_rule_is_held_against_objects(web: Any, define: Define) -> None:
    await define(ruled({"rule": "self.size < 10"}, {"rule": "self.mode == 'calm'", "message": "be calm"}))
    assert (await web("POST", GEARS, gear())).code == 201
    assert causes(await web("POST", GEARS, gear("two", size=11, mode="wild"))) == [
        ("FieldValueInvalid", "spec", "Invalid value: failed rule: self.size < 10"),
        ("FieldValueInvalid", "spec", "Invalid value: be calm"),
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"reason": "FieldValueForbidden"}, ("FieldValueForbidden", "spec", "Forbidden: no")),
        ({"reason": "FieldValueRequired"}, ("FieldValueRequired", "spec", "Required value: no")),
        ({"fieldPath": ".size"}, ("FieldValueInvalid", "spec.size", "Invalid value: no")),
        (
            {"messageExpression": "'%d is too large'.format([self.size])"},
            ("FieldValueInvalid", "spec", "Invalid value: 11 is too large"),
        ),
        ({"messageExpression": "self.nothing"}, ("FieldValueInvalid", "spec", "Invalid value: no")),
    ],
    ids=["forbidden", "required", "path", "expression", "expression that fails"],
)
async def test_a211_how_a_refusal_looks_is_up_to_the_rule(web: Any, define: Define, more: Any, expected: Any) -> None:
    await define(ruled({"rule": "self.size < 10", "message": "no", **more}))
    assert causes(await web("POST", GEARS, gear(size=11))) == [expected]


async def test_a211_a_rule_about_a_change_is_asked_of_changes(web: Any, define: Define) -> None:
    grows = {"rule": "self.size >= oldSelf.size", "message": "it may only grow"}
    await define(ruled(grows))
    await web("POST", GEARS, gear())
    assert (await web("PATCH", f"{GEARS}/one", {"spec": {"size": 4}}, headers=MERGE)).code == 200
    refused = await web("PATCH", f"{GEARS}/one", {"spec": {"size": 3}}, headers=MERGE)
    assert causes(refused) == [("FieldValueInvalid", "spec", "Invalid value: it may only grow")]


async def test_a211_with_an_optional_old_self_it_is_asked_of_new_objects_too(web: Any, define: Define) -> None:
    rule = {"rule": "oldSelf.hasValue() || self.size == 1", "optionalOldSelf": True, "message": "begin with one"}
    await define(ruled(rule))
    assert causes(await web("POST", GEARS, gear()))[0][2] == "Invalid value: begin with one"
    assert (await web("POST", GEARS, gear(size=1))).code == 201
    assert (await web("PATCH", f"{GEARS}/one", {"spec": {"size": 5}}, headers=MERGE)).code == 200


async def test_a211_what_cannot_be_evaluated_is_refused_with_the_reason(web: Any, define: Define) -> None:
    limits = {"type": "object", "additionalProperties": {"type": "integer"}}
    await define(ruled({"rule": "self.limits['a'] > 0"}, limits=limits))
    assert causes(await web("POST", GEARS, gear(limits={"b": 1}))) == [
        (
            "FieldValueInvalid",
            "spec",
            "Invalid value: \"object\": no such key: a evaluating rule: self.limits['a'] > 0",
        )
    ]


async def test_a211_a_rule_may_not_run_for_ever(web: Any, define: Define) -> None:
    numbers = {"type": "array", "items": {"type": "integer"}}
    rule = "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c >= 0)))"
    await define(ruled({"rule": rule}, list=numbers))
    ((_, _, message),) = causes(await web("POST", GEARS, gear(list=list(range(1000)))))
    assert "running out of cost budget, no further validation rules will be run" in message
    assert (await web("POST", GEARS, gear(list=[1, 2, 3]))).code == 201


async def test_what_did_not_change_is_not_held_against_a_new_rule(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear())
    newer = ruled({"rule": "self.size > 5"})
    await web("PATCH", f"{DEFINITIONS}/gears.example.com", {"spec": newer["spec"]}, headers=MERGE)
    assert (await web("PATCH", f"{GEARS}/one", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)).code == 200
    assert (await web("PATCH", f"{GEARS}/one", {"spec": {"mode": "wild"}}, headers=MERGE)).code == 422


async def test_a211_a_rule_that_does_not_parse_is_refused(web: Any) -> None:
    ((reason, field, message),) = causes(await web("POST", DEFINITIONS, ruled({"rule": "self.size >"})))
    assert reason == "FieldValueInvalid"
    assert field == "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
    assert "compilation failed: ERROR: <input>:1:12: Syntax error" in message


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("self.size > 0 && self.nothing > 3", "ERROR: <input>:1:22: undefined field 'nothing'"),
        ("self.size > 0 &&\n oldSelf.nothing", "ERROR: <input>:2:9: undefined field 'nothing'"),
        ("self.free.nothing == 1", ""),
        ("self.mode.size() > 0", ""),
        ("self.map.nothing == 1", ""),
        ("self.mode == 'self.nothing'", ""),
        ("self.a__dash__b == 1", ""),
        ("self.ports.all(p, p.nothing == 1)", ""),
    ],
)
async def test_a211_a_field_that_the_schema_does_not_have_is_refused(web: Any, rule: str, refused: str) -> None:
    properties = {"map": {"type": "object", "additionalProperties": {"type": "integer"}}, "a-b": {"type": "integer"}}
    answer = await web("POST", DEFINITIONS, ruled({"rule": rule}, **properties))
    if refused:
        assert refused in causes(answer)[0][2]
    else:
        assert answer.code == 201


async def test_rules_that_are_not_evaluated_are_told_of_and_refuse_nothing(web: Any, define: Define) -> None:
    given = ruled(
        {"rule": "unheard(self.address).of() == 4"},
        {"rule": "self.times.all(t, t.at < timestamp('2026-01-01T00:00:00Z'))"},
        address={"type": "string"},
        times={
            "type": "array",
            "items": {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}},
        },
    )
    answer = await web("POST", DEFINITIONS, given)
    assert answer.code == 201
    texts = answer.headers["Warning"]
    assert len(texts) == 2
    assert "holdfast does not evaluate the rule 'unheard(self.address).of() == 4' of spec" in texts[0]
    assert "at has a format" in texts[1]
    from .conftest import until

    await until(web, "gears.example.com", "Established")
    body = gear(address="x", times=[{"at": "2030-01-01T00:00:00Z"}])
    assert (await web("POST", GEARS, body)).code == 201


async def test_without_the_library_rules_are_told_not_to_be_evaluated(
    web: Any, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = (expressions.compiled, expressions._environment, rules.evaluated)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    answer = await web("POST", DEFINITIONS, ruled({"rule": "self.size < 2"}))
    assert "the Python package cel-expr-python is not installed" in answer.headers["Warning"][0]
    from .conftest import until

    await until(web, "gears.example.com", "Established")
    assert (await web("POST", GEARS, gear(size=3))).code == 201
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ("self.namespace == 'a'".replace("namespace", "__namespace__"), {"namespace": "a"}, True),
        ("self.a__dash__b == 1", {"a-b": 1}, True),
        ("self.a__dot__b__slash__c == 1", {"a.b/c": 1}, True),
        ("self.n == 1.0 && self.n / 2.0 == 0.5", {"n": 1}, True),
        ("self.list.isSorted() && self.list.sum() == 6", {"list": [1, 2, 3]}, True),
        ("self.list.min() == 1 && self.list.max() == 3 && self.list.indexOf(2) == 1", {"list": [1, 2, 3]}, True),
        ("self.text.find('[0-9]+') == '12'", {"text": "ab12c3"}, True),
        ("self.text.findAll('[0-9]+').size() == 2", {"text": "ab12c3"}, True),
        ("isURL(self.text) && url(self.text).getHost() == 'a.b:1'", {"text": "https://a.b:1/c"}, True),
        ("isURL(self.text)", {"text": "no url"}, False),
        ("quantity(self.text).isGreaterThan(quantity('1Gi'))", {"text": "2000Mi"}, True),
        ("isQuantity(self.text)", {"text": "ten"}, False),
        ("quantity(self.text).add(quantity('1')).compareTo(quantity('2')) == 0", {"text": "1000m"}, True),
        ("isIP(self.text) && ip(self.text).family() == 6", {"text": "::1"}, True),
        ("ip(self.text).isLoopback()", {"text": "127.0.0.1"}, True),
        ("isIP(self.text)", {"text": "1.2.3"}, False),
        ("isCIDR(self.text) && cidr(self.text).prefixLength() == 8", {"text": "10.0.0.0/8"}, True),
        (
            "cidr(self.text).containsIP('10.1.2.3') && !cidr(self.text).containsIP(ip('11.0.0.0'))",
            {"text": "10.0.0.0/8"},
            True,
        ),
        ("cidr(self.text).containsCIDR('10.1.0.0/16')", {"text": "10.0.0.0/8"}, True),
        (
            "self.at < timestamp('2026-02-01T00:00:00Z') && self.at.getFullYear() == 2026",
            {"at": "2026-01-01T00:00:00Z"},
            True,
        ),
        ("self.at < timestamp('2026-02-01T00:00:00Z')", {"at": "2026-03-01T00:00:00+01:00"}, False),
        ("!has(self.at) || self.at > timestamp('2026-01-01T00:00:00Z')", {}, True),
        (
            "self.inner.lasts > duration('90m') && self.text == 'self.at'",
            {"inner": {"lasts": "2h"}, "text": "self.at"},
            True,
        ),
        ("self.day < timestamp('2026-01-02T00:00:00Z')", {"day": "2026-01-01"}, True),
        ("size(self.raw) == 3", {"raw": "YWJj"}, True),
        ("self.?absent.orValue('x') == 'x'", {}, True),
        ("self.text.lowerAscii() == 'a' && self.text.split('').size() == 1", {"text": "A"}, True),
        ("self.list.exists_one(i, i == 2) && 2 in self.list", {"list": [1, 2]}, True),
        ("!has(self.absent) || self.absent > 0", {}, True),
        ("cel.bind(x, self.n, x > 0)", {"n": 1}, True),
        ("duration('1h') < duration('2h')", {}, True),
        ("semver(self.text).major() == 4", {"text": "4.1.0"}, True),
        ("!format.dns1123Label().validate(self.text).hasValue()", {"text": "a-b"}, True),
        ("self.list.all(i, v, v > i)", {"list": [1, 2]}, True),
    ],
)
def test_a212_what_rules_can_say(rule: str, value: dict[str, Any], holds: bool) -> None:
    names = ("namespace", "a-b", "a.b/c", "text", "absent")
    properties: dict[str, Any] = {name: {"type": "string"} for name in names}
    properties |= {"n": {"type": "number"}, "list": {"type": "array", "items": {"type": "integer"}}}
    formats = {"at": "date-time", "day": "date", "raw": "byte"}
    properties |= {name: {"type": "string", "format": kind} for name, kind in formats.items()}
    lasts = {"type": "string", "format": "duration"}
    properties["inner"] = {"type": "object", "properties": {"lasts": lasts}}
    schema = compiled({"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]})
    assert rules.why_not(schema, {"rule": rule}) == ""
    assert (rules.broken(schema, value, None) == []) is holds
