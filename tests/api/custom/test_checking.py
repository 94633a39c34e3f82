"""Expressions held against types: what is told, in which words, and what is not told of."""

from __future__ import annotations

import pytest

from holdfast.api import registry
from holdfast.api.custom import authorizing, object_types
from holdfast.api.custom.checking import Checker, Mistyped
from holdfast.api.custom.descriptors import File
from holdfast.api.custom.signatures import Kind, Made, Opaque, listed
from holdfast.api.custom.structural import compiled
from holdfast.api.schema.types import type_of

from .test_functions import TRUE

GEAR = Opaque(
    "Gear",
    fields={
        "size": "int",
        "name": "string",
        "weight": "double",
        "free": "dyn",
        "at": "timestamp",
        "tags": listed("string"),
        "labels": Made("map", "string"),
        "fooBar": Made("map", "int"),
        "foo_bar": Made("map", "string"),
        "rows": listed(listed("int")),
        "byName": Made("map", listed("string")),
        "maps": listed(Made("map", "int")),
    },
)


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker({"gear": GEAR, "authorizer": authorizing.AUTHORIZER})


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("gear.size + 1", "int"),
        ("gear.labels.colour", "string"),
        ("gear.fooBar.x", "int"),
        ("gear.foo_bar.x", "dyn"),
        ("gear.tags", listed("string")),
        ("gear.tags.map(t, {t: 1})", listed(Made("map", "int"))),
        ("gear.rows[0][0]", "dyn"),
        ("gear.byName.x[0]", "dyn"),
        ("gear.maps[0].x", "dyn"),
        ("gear.free.what.ever", "dyn"),
        ("gear", "dyn"),
        ("gear.?size", "dyn"),
        ("gear == null || gear.free == null", "bool"),
        ("gear.size < 1.5 && gear.weight >= 1 && size(gear.tags) > 0.5", "bool"),
        ("gear.labels.all(k, v, k != v) && gear.tags.exists(i, t, i > 0 && t == 'a')", "bool"),
        ("gear.at > timestamp('2026-01-01T00:00:00Z')", "bool"),
        ("gear.tags.indexOf('a') == 0 && gear.name.indexOf('a') == 0", "bool"),
        ("gear.tags.min() == 'a' && [1, 2].sum() == 3 && [].sum() == 0", "bool"),
        ("quantity(gear.name).isLessThan(quantity('1')) && semver('1.0.0').isLessThan(semver('2.0.0'))", "bool"),
        ("format.named(gear.name).value().validate('x').value()[0] == 'y'", "bool"),
        ("format.dns1123Label().validate(gear.name).orValue([])", listed("string")),
        ("string(ip('::1')) + string(cidr('::/0')) + string(gear.size)", "string"),
        ("url(gear.name).getQuery().a[0]", "string"),
        ("authorizer.group('').resource('pods').namespace('a').check('get').allowed()", "bool"),
        ("authorizer.requestResource.check('get').allowed() && authorizer.path('/x').check('get').allowed()", "bool"),
        ("math.greatest(gear.size, 1) + int(base64.decode('AQ==').size()) + cel.bind(a, 1, a)", "int"),
        ("has(gear.size) && has(gear.labels.x) && has(gear.free.x)", "bool"),
    ],
)
def test_a249_what_may_be_right_is_not_told_of(checker: Checker, expression: str, kind: Kind) -> None:
    assert checker.result(expression) == kind


@pytest.mark.parametrize(
    ("expression", "column", "said"),
    [
        ("gear.sise > 1", 5, "undefined field 'sise'"),
        ("has(gear.sise)", 4, "undefined field 'sise'"),
        ("gear.?sise", 5, "undefined field 'sise'"),
        ("gear.size == 'a'", 11, "found no matching overload for '_==_' applied to '(int, string)'"),
        ("gear.size == null", 11, "found no matching overload for '_==_' applied to '(int, null)'"),
        ("gear.at == 'a'", 9, "found no matching overload for '_==_' applied to '(timestamp, string)'"),
        ("gear == 1", 6, "found no matching overload for '_==_' applied to '(Gear, int)'"),
        ("gear.tags.all(t, t > 1)", 20, "found no matching overload for '_>_' applied to '(string, int)'"),
        ("gear.size.x", 10, "type 'int' does not support field selection"),
        ("gear.size.all(x, true)", 5,
         "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("gear.size.startsWith('a')", 21, "found no matching overload for 'startsWith' applied to 'int.(string)'"),
        ("quantity(1)", 9, "found no matching overload for 'quantity' applied to '(int)'"),
        ("quantity('1').isLessThan(semver('1.0.0'))", 25,
         "found no matching overload for 'isLessThan' applied to 'kubernetes.Quantity.(kubernetes.Semver)'"),
        ("gear.labels.x.replace(gear.labels, 1)", 22,
         "found no matching overload for 'replace' applied to 'string.(map(string, string), int)'"),
        ("authorizer.allowed()", 19,
         "found no matching overload for 'allowed' applied to 'kubernetes.authorization.Authorizer.()'"),
        ("gear.frobnicate()", 16, "undeclared reference to 'frobnicate' (in container '')"),
        ("params.x.y > 1", 1, "undeclared reference to 'params' (in container '')"),
        ("holdfast_kinds.m99999 > 1", 1, "undeclared reference to 'holdfast_kinds' (in container '')"),
        ("1 == other", 6, "undeclared reference to 'other' (in container '')"),
    ],
)  # fmt: skip
def test_a249_what_cannot_be_right_is_told_in_upstreams_words(
    checker: Checker, expression: str, column: int, said: str
) -> None:
    with pytest.raises(Mistyped) as wrong:
        checker.result(expression)
    pointer = "." * (column - 1) + "^"
    assert str(wrong.value) == f"ERROR: <input>:1:{column}: {said}\n | {expression}\n | {pointer}"


def test_a249_everything_wrong_is_told_in_the_order_of_the_text(checker: Checker) -> None:
    with pytest.raises(Mistyped) as wrong:
        checker.result("gear.sise +\n gear.nme == gear.size + 'a'")
    lines = [line for line in str(wrong.value).split("\n") if line.startswith("ERROR")]
    assert [line.partition(": ")[2] for line in lines] == [
        "<input>:1:5: undefined field 'sise'",
        "<input>:2:6: undefined field 'nme'",
        "<input>:2:24: found no matching overload for '_+_' applied to '(int, string)'",
    ]


def test_every_kind_can_be_checked_against() -> None:
    kinds: dict[str, Kind] = {}
    cyclic = []
    for resource in registry.RESOURCES:
        found = type_of(resource.group, resource.version, resource.kind)
        if found is None:
            continue
        try:
            kinds[f"k{len(kinds)}"] = object_types.built_in(found, resource.kind)
        except object_types.Cyclic:
            cyclic.append(resource.kind)
    assert set(cyclic) == {"CustomResourceDefinition"}
    checker = Checker(kinds)
    for name, kind in kinds.items():
        assert isinstance(kind, Opaque)
        if "metadata" in kind.fields and "name" in getattr(kind.fields["metadata"], "fields", {}):
            assert checker.result(f"{name}.metadata.name") == "string"
        for field in kind.fields:
            checker.result(f"has({name}.{field})")


def test_a212_custom_kinds_have_what_every_object_has_and_stay_open_where_their_schema_is() -> None:
    spec = {
        "type": "object",
        "properties": {
            "namespace": {"type": "string"},
            "a-b": {"type": "integer"},
            "port": {"x-kubernetes-int-or-string": True},
            "at": {"type": "string", "format": "date-time"},
            "rest": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "any": {"type": "object", "additionalProperties": True},
            "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
            "items": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}},
        },
    }
    kind = object_types.custom(compiled({"type": "object", "properties": {"spec": spec}}), "Gear")
    checker = Checker({"object": kind})
    results = {
        "metadata.labels.a": "string",
        "apiVersion + object.kind": "string",
        "spec.__namespace__": "string",
        "spec.a__dash__b": "int",
        "spec.port": "dyn",
        "spec.at": "dyn",
        "spec.rest.x.y": "dyn",
        "spec.any.x": "dyn",
        "spec.limits.cpu": "int",
        "spec.items[0].n": "double",
    }
    assert {path: checker.result(f"object.{path}") for path in results} == results
    for path in ("spec.items[0].m", "status", "metadata.labls"):
        with pytest.raises(Mistyped, match="undefined field"):
            checker.result(f"object.{path}")
    assert Checker({"object": object_types.custom(compiled({"x-kubernetes-preserve-unknown-fields": True}), "Gear")})


def test_fields_are_numbered_as_protocol_buffers_want_it() -> None:
    many = Opaque("Many", fields={f"f{number}": "int" for number in range(19_500)})
    assert Checker({"many": many}).result("many.f19499") == "int"
    assert File([many]).names == ["Many"]


def test_lists_of_one_type_can_be_added_wherever_they_are_from() -> None:
    found = type_of("", "v1", "Pod")
    assert found is not None
    checker = Checker({"object": object_types.built_in(found, "Pod")})
    assert checker.result("(object.spec.containers + object.spec.initContainers).all(c, c.image != '')") == "bool"


@pytest.mark.parametrize("expression", TRUE)
def test_what_can_be_evaluated_is_not_told_of(checker: Checker, expression: str) -> None:
    assert checker.result(expression) == "bool"
