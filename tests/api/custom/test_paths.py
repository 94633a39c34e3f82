"""JSON paths of columns, scales and selectable fields (A208, A210, A214)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.custom import paths

OBJECT = {
    "spec": {
        "a": 1,
        "b.c": 2,
        "list": [{"name": "x", "n": 1, "inner": {"k": "v"}}, {"name": "y", "n": 2}],
        "none": None,
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.a", [1]),
        (r".spec.b\.c", [2]),
        (".spec['b.c']", [2]),
        ('.spec["b.c"]', [2]),
        (".spec.none", [None]),
        (".spec.absent.more", []),
        (".spec.list[0].name", ["x"]),
        (".spec.list[-1].name", ["y"]),
        (".spec.list[7].name", []),
        (".spec.list[*].n", [1, 2]),
        (".spec.list[0:1].n", [1]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "Other")].status', ["False"]),
        (".spec.list[?(@.n>1)].name", ["y"]),
        (".spec.list[?(@.n!=1)].name", ["y"]),
        (".spec.list[?(@.inner)].name", ["x"]),
        (".spec.list[?(@.inner.k=='v')].name", ["x"]),
        (".spec.list[?(@.name>1)].name", []),
        (".spec.list[x]", []),
        (".spec.a.b", []),
        ("{broken", []),
    ],
)
def test_a210_what_a_path_leads_to(path: str, found: list[Any]) -> None:
    assert paths.find(path, OBJECT) == found


def test_a214_values_of_selectable_fields_are_texts() -> None:
    values = {"flag": True, "number": 3, "whole": 3.0, "text": "x", "none": None}
    texts = {name: paths.text_at(f".{name}", values) for name in (*values, "absent")}
    assert texts == {"flag": "true", "number": "3", "whole": "3", "text": "x", "none": "", "absent": ""}


def test_a208_a_path_is_written_without_changing_what_was_given() -> None:
    before: dict[str, Any] = {"spec": {"other": 1}}
    assert paths.replaced(".spec.size.now", before, 3) == {"spec": {"other": 1, "size": {"now": 3}}}
    assert before == {"spec": {"other": 1}}
