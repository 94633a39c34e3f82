"""Objects in expressions of mutating policies, rewritten as maps."""

from __future__ import annotations

import pytest

from holdfast.api.custom.object_literals import as_maps


@pytest.mark.parametrize(
    ("written", "evaluated"),
    [
        ("Object{}", "{}"),
        ("Object{spec: Object.spec{replicas: 1, paused: true}}", "{'spec': {'replicas': 1, 'paused': true}}"),
        ("Object . spec {\n a : 1,\n b: 2 }", "{\n 'a' : 1,\n 'b': 2 }"),
        ("Object{?labels: object.?labels}", "{?'labels': object.?labels}"),
        ("[JSONPatch{op: 'add', value: f(a, b)}]", "[{'op': 'add', 'value': f(a, b)}]"),
        ("{'a': Object.x{b: 1}, c: 2}", "{'a': {'b': 1}, c: 2}"),
        ('\'Object{a: 1}\' + "JSONPatch{b: \\" 2}"', '\'Object{a: 1}\' + "JSONPatch{b: \\" 2}"'),
        ("object.spec.all(k, k in {Object: 1})", "object.spec.all(k, k in {Object: 1})"),
        ("MyObject{a: 1}", "MyObject{a: 1}"),
        ("Object{a: x ? b : c, d: [e, f]}", "{'a': x ? b : c, 'd': [e, f]}"),
        ("}", "}"),
    ],
)
def test_only_objects_become_maps(written: str, evaluated: str) -> None:
    assert as_maps(written) == evaluated
