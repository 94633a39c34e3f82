import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.errors import BadRequest, Invalid, RequestEntityTooLarge
from holdfast.apiserver.patch.json import is_equal, json_patch

START = {"data": {"a": "1", "b": "2"}, "list": ["x", "y"]}


def op(op: str, path: str, **members) -> dict:
    return {"op": op, "path": path, **members}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], START),
        ([op("add", "/data/c", value="3")], {**START, "data": {"a": "1", "b": "2", "c": "3"}}),
        ([op("test", "/data/a", value="1"), op("replace", "/data/a", value="one")],
         {**START, "data": {"a": "one", "b": "2"}}),
        (
            [op("move", "/data/z", **{"from": "/data/a"}), op("copy", "/data/y", **{"from": "/data/b"})],
            {**START, "data": {"b": "2", "y": "2", "z": "1"}},
        ),
        ([op("replace", "/data/none", value="1")], {**START, "data": {"a": "1", "b": "2", "none": "1"}}),
        ([op("add", "/annotations", value={}), op("add", "/annotations/a.b~1c~01", value="d")],
         {**START, "annotations": {"a.b/c~1": "d"}}),
        ([op("remove", "/list/0")], {**START, "list": ["y"]}),
        ([op("add", "/list/-", value="z")], {**START, "list": ["x", "y", "z"]}),
        ([op("add", "/list/1", value="z")], {**START, "list": ["x", "z", "y"]}),
        ([op("add", "/list/2", value="z")], {**START, "list": ["x", "y", "z"]}),
        ([op("remove", "/list/-1")], {**START, "list": ["x"]}),
        ([op("test", "/data/none", value=None)], START),
        ([op("replace", "", value={"a": 1})], {"a": 1}),
    ],
)  # fmt: skip
def test_operations_a124(operations: list, expected: dict) -> None:
    before = json.dumps(START)
    assert json_patch(START, operations) == expected
    assert json.dumps(START) == before


@pytest.mark.parametrize(
    "operations",
    [
        [op("test", "/data/a", value="2"), op("remove", "/data/a")],
        [op("test", "/data/a", value=1)],
        [op("remove", "/data/none")],
        [op("add", "/none/x", value="1")],
        [op("explode", "/data/b")],
        [op("remove", "/list/7")],
        [op("add", "/list/3", value=1)],
        [op("replace", "/list/2", value=1)],
        [op("add", "/data/a/b", value=1)],
        [{"op": "move", "from": "/none", "path": "/data/z"}],
        [{"op": "move", "from": "/data", "path": "/data/z"}],
        [{"op": "copy", "from": "/none", "path": "/data/z"}],
        [op("add", "/x")],
        [op("add", "x", value=1)],
        [{"op": "add", "value": 1}],
        [op("remove", "")],
        [op("replace", "", value=[])],
        [{}],
    ],
)
def test_what_does_not_apply_is_422_a124(operations: list) -> None:
    with pytest.raises(Invalid, match="the server rejected our request due to an error in our request"):
        json_patch(START, operations)


def test_an_operation_is_an_object() -> None:
    with pytest.raises(BadRequest, match="error decoding patch"):
        json_patch(START, ["remove"])


def test_ten_thousand_operations_are_enough_a124() -> None:
    operations = [op("add", "/list/-", value="x")] * 10_000
    assert len(json_patch(START, operations)["list"]) == 10_002
    with pytest.raises(RequestEntityTooLarge):
        json_patch(START, [*operations, operations[0]])


def test_a_copied_value_is_changed_in_one_place_only() -> None:
    operations = [
        op("add", "/data/c", value="3"),
        {"op": "copy", "from": "/data", "path": "/more"},
        op("add", "/data/d", value="4"),
        op("add", "/more/e", value="5"),
    ]
    patched = json_patch(START, operations)
    assert patched["data"] == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert patched["more"] == {"a": "1", "b": "2", "c": "3", "e": "5"}


def test_a_value_of_the_patch_is_not_changed_by_the_patch() -> None:
    operations = [op("add", "/new", value={"x": []}), op("add", "/new/x/-", value=1), op("add", "/new/x/-", value=2)]
    assert json_patch(START, operations)["new"] == {"x": [1, 2]}
    assert operations[0]["value"] == {"x": []}


def test_what_is_not_touched_is_shared() -> None:
    assert json_patch(START, [op("add", "/data/c", value="3")])["list"] is START["list"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "~/"]), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "~/"]), _VALUES, max_size=3)


def difference(old, new, path: str = ""):
    """The operations that turn one document into another, in the plainest way."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() - new.keys():
            yield op("remove", f"{path}/{escaped(name)}")
        for name, value in new.items():
            if name in old:
                yield from difference(old[name], value, f"{path}/{escaped(name)}")
            else:
                yield op("add", f"{path}/{escaped(name)}", value=value)
    elif isinstance(old, list) and isinstance(new, list):
        for place in reversed(range(len(old))):
            yield op("remove", f"{path}/{place}")
        for value in new:
            yield op("add", f"{path}/-", value=value)
    elif not is_equal(old, new):
        yield op("replace", path, value=new)


def escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


@given(_OBJECTS, _OBJECTS)
def test_a_difference_applied_gives_the_other_document(old: dict, new: dict) -> None:
    before = json.dumps(old)
    patched = json_patch(old, list(difference(old, new)))
    assert is_equal(patched, new)
    assert json_patch(patched, [op("test", "", value=new)]) == new
    assert json.dumps(old) == before
