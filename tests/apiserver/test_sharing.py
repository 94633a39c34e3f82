"""Objects decoded from the store's bytes share what they have in common, and are what plain decoding makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.api.registry import RESOURCES
from holdfast.api.schema.types import Type, type_of
from holdfast.apiserver import sharing
from holdfast.apiserver.fields import entries

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
    max_leaves=60,
)
OPEN = {"any", "raw", "float64", "schema-or-bool", "schema-or-schemas", "schema-or-texts"}
"""Types of places where more than one of 1, 1.0 and true may stand."""
LARGE = "x" * sharing.SMALL


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def pod(name: str) -> dict[str, Any]:
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": f"token-{name}", "mountPath": "/var/run/secrets"}]
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}, "annotations": {"note": "the same"}},
        "spec": {"containers": [{"name": "c", "args": [LARGE], "readinessProbe": probe, "volumeMounts": mounts}]},
        "status": {"phase": "Running"},
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine makes few inputs in a second
@given(metadata=JSON, spec=JSON, status=JSON)
def test_an_object_is_what_plain_decoding_makes_of_it(metadata, spec, status):
    for large in ("", LARGE):
        value = {"metadata": metadata, "spec": {"a": spec, "b": [large, spec]}, "status": status}
        assert sharing.decoded(written(value)) == value
        assert list(sharing.decoded(written(value))) == list(value)


@settings(deadline=None)  # the first of a process loads what it needs
@given(value=st.dictionaries(st.sampled_from(["metadata", "spec", "managedFields", "data"]), JSON))
def test_metadata_and_managed_fields_of_any_form_are_decoded(value):
    assert sharing.decoded(written(value)) == value
    assert sharing.decoded(written({"metadata": value})) == {"metadata": value}


def own(one: Any, other: Any, path: str = "") -> dict[str, Any]:
    """The parts of one object that another has not, by their path."""
    if one is other:
        return {}
    inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
    theirs = dict(other.items() if isinstance(other, dict) else enumerate(other) if isinstance(other, list) else ())
    found = {path: one} if path else {}
    for name, part in inner:
        found |= own(part, theirs.get(name), f"{path}.{name}".lstrip("."))
    return found


def test_a_pod_of_a_set_has_for_itself_only_the_way_to_its_names():
    one, two = (sharing.decoded(written(pod(name))) for name in ("web-0", "web-1"))
    assert own(one, two).keys() == {
        "metadata",
        "metadata.name",
        "spec",
        "spec.containers",
        "spec.containers.0",
        "spec.containers.0.args",  # too long to be looked up
        "spec.containers.0.args.0",
        "spec.containers.0.volumeMounts",
        "spec.containers.0.volumeMounts.1",
        "spec.containers.0.volumeMounts.1.name",
    }


@settings(deadline=None)
@given(one=JSON, other=JSON)
def test_an_object_that_is_like_another_stays_what_it_is(one, other):
    manifest = {"metadata": {"name": "a", "labels": one}, "spec": [one, other, one], "data": one}
    model = {"metadata": {"name": "b", "labels": other}, "spec": [one, one], "data": other}
    shared = sharing.like(manifest, model)
    assert shared == manifest
    assert list(shared) == list(manifest)
    assert shared["spec"][0] is one
    assert shared["data"] is one


def test_what_is_like_its_neighbour_has_of_its_own_only_the_way_to_its_names():
    one, two = pod("web-0"), pod("web-1")
    shared = sharing.like(two, one)
    assert shared == two
    assert own(shared, one).keys() == {
        "metadata",
        "metadata.name",
        "spec",
        "spec.containers",
        "spec.containers.0",
        "spec.containers.0.volumeMounts",
        "spec.containers.0.volumeMounts.1",
        "spec.containers.0.volumeMounts.1.name",
    }


def test_written_forms_of_ownership_stay_what_they_are():
    forms = [entries.fields_v1(frozenset(paths)) for paths in (["f:a"], ["f:a", "f:b"])]
    one, two = ({"metadata": {"managedFields": [{"manager": "m", "fieldsV1": form}]}} for form in forms)
    assert sharing.like(two, one)["metadata"]["managedFields"][0]["fieldsV1"] is forms[1]


def open_values(type: Type, path: str, seen: set[str]) -> Iterator[str]:
    """The paths below a type where values may be what Python does not tell apart."""
    if type.form in OPEN and not path.endswith(".fieldsV1"):  # which is compared as a set of paths
        yield path
    elif type.item is not None:
        yield from open_values(type.item, path, seen)
    elif type.form == "struct" and type.definition_name not in seen:
        seen.add(type.definition_name)
        for name, field in type.fields.items():
            yield from open_values(field.type, f"{path}.{name}", seen)


@pytest.mark.parametrize("resource", [one for one in RESOURCES if one.group in sharing.TYPED], ids=lambda one: one.kind)
def test_where_parts_are_taken_from_another_object_python_tells_their_values_apart(resource):
    kind = type_of(resource.group, resource.version, resource.kind)
    parts = [field.type for name, field in kind.fields.items() if name in sharing.PARTS]
    assert parts
    assert [path for part in parts for path in open_values(part, resource.kind, set())] == []


def test_one_name_in_two_places_is_one():
    one = sharing.decoded(written({"spec": {"volumes": [{"name": "token-x"}], "mounts": [{"name": "token-x"}, LARGE]}}))
    assert one["spec"]["volumes"][0]["name"] is one["spec"]["mounts"][0]["name"]


def test_objects_made_in_one_second_by_one_writer_have_one_list_of_managed_fields():
    entry = {"manager": "m", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}
    one, two, later = (
        sharing.decoded(written({"metadata": {"name": name, "managedFields": [entry | {"time": time}]}}))["metadata"]
        for name, time in (("a", entry["time"]), ("b", entry["time"]), ("c", "2026-01-01T00:00:01Z"))
    )
    assert one["managedFields"] is two["managedFields"]
    assert own(later["managedFields"], one["managedFields"]).keys() == {"0", "0.time"}


def test_what_is_larger_than_anything_there_are_many_of_is_decoded_as_it_is():
    before = sharing._shared.cache_info().currsize
    value = {"spec": {"schema": [{"unlike": f"any other {number}"} for number in range(sharing.LARGE // 16)]}}
    assert sharing.decoded(written(value)) == value
    assert sharing._shared.cache_info().currsize == before


def test_a_deep_small_part_costs_no_deep_recursion():
    deep: Any = 1
    for _ in range(sharing.SMALL // 2 - 10):
        deep = [deep]
    assert sharing.decoded(written({"spec": {"deep": deep}})) == {"spec": {"deep": deep}}


def test_what_is_each_objects_own_is_not_kept():
    before = sharing._shared.cache_info().currsize
    secret = {"metadata": {"name": "s", "uid": "unlike any other"}, "data": {"password": "c2VjcmV0"}}
    sharing.decoded(written(secret))
    assert sharing._shared.cache_info().currsize == before


def test_what_is_kept_is_bounded_in_number_and_size():
    assert sharing._shared.cache_info().maxsize == sharing.KNOWN_PARTS
    before = sharing._shared.cache_info().currsize
    sharing.decoded(written({"spec": LARGE + "long"}))
    assert sharing._shared.cache_info().currsize == before


def test_a_deep_object_costs_no_deep_recursion():
    value: Any = LARGE
    for _ in range(900):
        value = [value]
    assert sharing.decoded(written({"spec": value})) == {"spec": value}
