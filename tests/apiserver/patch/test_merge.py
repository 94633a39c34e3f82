import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.apiserver.patch.merge import merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "b"}, {"a": {"c": None, "d": 1}}, {"a": {"d": 1}}),
    ],
)
def test_the_examples_of_the_standard_a125(target: dict, patch: dict, expected: dict) -> None:
    assert merge_patch(target, patch) == expected


_OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.integers(0, 2), max_size=3),
    max_leaves=6,
)


def difference(old: dict, new: dict) -> dict:
    patch = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old or old[name] != value:
            both = isinstance(value, dict) and isinstance(old.get(name), dict)
            patch[name] = difference(old[name], value) if both else value
    return patch


@given(_OBJECTS, _OBJECTS)
def test_a_difference_applied_gives_the_other_object(old: dict, new: dict) -> None:
    before = json.dumps(old)
    assert merge_patch(old, difference(old, new)) == new
    assert json.dumps(old) == before


def test_what_is_not_touched_is_shared() -> None:
    old = {"a": {"x": 1}, "b": {}}
    assert merge_patch(old, {"b": {"y": 2}})["a"] is old["a"]
