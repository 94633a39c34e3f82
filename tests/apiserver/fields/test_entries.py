"""Reading and writing managedFields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.apiserver.fields.entries import (
    ANCIENT,
    Entry,
    Malformed,
    bounded,
    fields_v1,
    paths_of,
    read,
    same_but_for_time,
    write,
)

A = frozenset(("f:data\0f:a",))
ELEMENTS = st.sampled_from(("f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'))
PATHS = st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=3).map("\0".join), max_size=8)


def entry(manager: str, operation: str = "Update", **members: Any) -> Entry:
    return Entry(manager, operation, **{"api_version": "v1", "paths": A, **members})


@given(PATHS)
def test_a_set_survives_being_written(paths: frozenset[str]) -> None:
    """A135."""
    written = msgspec.json.decode(msgspec.json.encode(fields_v1(paths)))
    assert paths_of(written) == paths


def test_a_member_that_holds_others_says_so_by_a_dot() -> None:
    """A135."""
    assert fields_v1(frozenset(("f:a", "f:a\0f:b"))) == {"f:a": {".": {}, "f:b": {}}}


def test_the_written_form_is_made_once_for_a_shape() -> None:
    assert fields_v1(frozenset(("f:x", "f:y"))) is fields_v1(frozenset(("f:y", "f:x")))


def test_entries_are_sorted_by_operation_time_and_manager_and_empty_ones_left_out() -> None:
    """A134, A142."""
    entries = [
        entry("b", time="2026-01-01T00:00:02Z"),
        entry("c", time="2026-01-01T00:00:01Z"),
        entry("z", "Apply", time="2026-01-01T00:00:09Z"),
        entry("y", "Apply"),
        entry("none", paths=frozenset()),
        entry("b", time="2026-01-01T00:00:02Z", subresource="status"),
    ]
    assert [(one["manager"], one.get("subresource")) for one in write(entries)] == [
        ("y", None),
        ("z", None),
        ("c", None),
        ("b", None),
        ("b", "status"),
    ]
    assert read(write(entries)) == sorted((one for one in entries if one.paths), key=lambda one: one.order)


@pytest.mark.parametrize(
    "broken",
    [
        [{}],
        [{"operation": "Delete", "fieldsType": "FieldsV1", "fieldsV1": {}}],
        [{"operation": "Apply", "fieldsType": "FieldsV2", "fieldsV1": {}}],
        [{"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"data": {}}}],
        [{"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": 1}}],
        [{"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": []}}],
    ],
)
def test_what_nothing_can_be_made_of_is_refused(broken: Any) -> None:
    """A149."""
    with pytest.raises(Malformed):
        read(broken)


def test_an_update_entry_is_told_apart_by_its_version_an_apply_entry_is_not() -> None:
    """A134."""
    assert entry("a").identity != entry("a", api_version="v2").identity
    assert entry("a", "Apply").identity == entry("a", "Apply", api_version="v2").identity
    assert entry("a").identity != entry("a", subresource="status").identity


def test_the_oldest_updaters_become_one() -> None:
    """A143."""
    updaters = [entry(f"m{n}", time=f"2026-01-01T00:00:{n:02}Z", paths=frozenset((f"f:{n}",))) for n in range(12)]
    kept = bounded([*updaters, entry("applier", "Apply")])
    assert {one.manager for one in kept} == {"applier", ANCIENT, *(f"m{n}" for n in range(3, 12))}
    ancient = next(one for one in kept if one.manager == ANCIENT)
    assert (ancient.paths, ancient.time) == (frozenset(("f:0", "f:1", "f:2")), "2026-01-01T00:00:02Z")
    again = bounded([*kept, entry("new", time="2026-01-02T00:00:00Z")])
    assert len([one for one in again if one.operation == "Update"]) == 10
    assert bounded(updaters[:10]) == updaters[:10]


def test_times_alone_make_no_difference() -> None:
    """A2."""
    one, other = write([entry("a", time="x")]), write([entry("a", time="y")])
    assert same_but_for_time(one, other)
    assert not same_but_for_time(one, write([entry("a", paths=frozenset(("f:b",)))]))
    assert not same_but_for_time(one, [])
