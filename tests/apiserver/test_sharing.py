"""Objects decoded from the store's bytes share what they have in common, and are what plain decoding makes of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.apiserver import sharing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
    max_leaves=60,
)
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


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine makes few inputs in a second
@given(metadata=JSON, spec=JSON, status=JSON)
def test_an_object_is_what_plain_decoding_makes_of_it(metadata, spec, status):
    for large in ("", LARGE):
        value = {"metadata": metadata, "spec": {"a": spec, "b": [large, spec]}, "status": status}
        assert sharing.decoded(written(value)) == value
        assert list(sharing.decoded(written(value))) == list(value)


@given(value=st.dictionaries(st.sampled_from(["metadata", "spec", "managedFields", "data"]), JSON))
def test_metadata_and_managed_fields_of_any_form_are_decoded(value):
    assert sharing.decoded(written(value)) == value
    assert sharing.decoded(written({"metadata": value})) == {"metadata": value}


def test_two_pods_of_a_set_have_equal_parts_once():
    one, two = (sharing.decoded(written(pod(name))) for name in ("web-0", "web-1"))
    assert one["metadata"]["labels"] is two["metadata"]["labels"]
    assert one["metadata"]["annotations"] is two["metadata"]["annotations"]
    (first,), (second,) = one["spec"]["containers"], two["spec"]["containers"]
    assert first["readinessProbe"] is second["readinessProbe"]
    assert first["volumeMounts"] != second["volumeMounts"]


def test_what_is_each_objects_own_is_not_kept():
    before = sharing._shared.cache_info().currsize
    secret = {"metadata": {"name": "s", "uid": "unlike any other"}, "data": {"password": "c2VjcmV0"}}
    sharing.decoded(written(secret))
    sharing.decoded(written({"status": {"phase": "unlike any other"}}))
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
