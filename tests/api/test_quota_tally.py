"""Sums kept up one object at a time are those of counting everything anew (A243)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import quantity
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.quota_tally import Tally
from holdfast.api.core.quota_usage import is_counted, limited_by, use_of
from holdfast.api.core.service import SERVICES
from holdfast.api.events.event import EVENTS
from holdfast.api.times import format_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HARD = {"pods": "9", "count/pods": "9", "requests.cpu": "9", "requests.memory": "9Gi", "configmaps": "9"}
KINDS = (PODS, CONFIG_MAPS, SERVICES)


def pod(cpu="0", memory="0", phase="Running", leaving_since_s=None):
    requests = {"cpu": quantity.canonical(cpu), "memory": quantity.canonical(memory)}
    metadata = {}
    if leaving_since_s is not None:
        at = format_time(NOW - timedelta(seconds=leaving_since_s))
        metadata = {"deletionTimestamp": at, "deletionGracePeriodSeconds": 30}
    spec = {"containers": [{"name": "a", "resources": {"requests": requests}}]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


PODS_OF_ANY_KIND = st.builds(
    pod,
    st.sampled_from(["0", "100m", "1", "1500m"]),
    st.sampled_from(["0", "1Gi", "512Mi", "1G"]),
    st.sampled_from(["Pending", "Running", "Failed"]),
    st.sampled_from([None, 0, 100]),
)
CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), PODS_OF_ANY_KIND)), max_size=20)


def tally():
    return Tally({"spec": {"hard": HARD}}, KINDS)


@given(CHANGES)
def test_changes_one_by_one_come_to_the_same_as_counting_what_is_left(changes):
    kept, left = tally(), {}
    for key, state in changes:
        kept.count(PODS, key, [state] if state else [], NOW)
        left[key] = state
    anew = tally()
    for key, state in left.items():
        anew.count(PODS, key, [state] if state else [], NOW)
    assert {name: quantity.parse(amount) for name, amount in kept.used.items()} == {
        name: quantity.parse(amount) for name, amount in anew.used.items()
    }
    assert kept.leaving == anew.leaving


def test_an_object_in_two_states_counts_for_the_larger_of_each_amount():
    kept = tally()
    kept.count(PODS, "a", [pod("1", "1Gi"), pod("2", "512Mi")], NOW)
    assert (kept.used["pods"], kept.used["requests.cpu"], kept.used["requests.memory"]) == ("1", "2", "1Gi")
    kept.count(PODS, "a", [], NOW)
    assert set(kept.used.values()) == {"0"}


def test_a_pod_that_is_leaving_is_due_when_its_time_is_over_twice():
    kept = tally()
    kept.count(PODS, "a", [pod(leaving_since_s=0)], NOW)
    assert (kept.used["pods"], kept.due(NOW)) == ("1", [])
    later = NOW + timedelta(seconds=31)
    assert kept.due(later) == [("pods", "a")]
    kept.count(PODS, "a", [pod(leaving_since_s=0)], later)
    assert (kept.used["pods"], kept.used["count/pods"], kept.leaving) == ("0", "1", {})


def test_names_are_limited_by_the_kinds_that_use_them():
    names = {"pods", "cpu", "services", "count/services", "requests.storage", "fast.storageclass.storage.k8s.io/x"}
    assert limited_by(PODS, names) == {"pods", "cpu"}
    assert limited_by(SERVICES, names) == {"services", "count/services"}
    assert limited_by(PERSISTENT_VOLUME_CLAIMS, names) == {"requests.storage", "fast.storageclass.storage.k8s.io/x"}
    assert limited_by(PODS, {"requests.example.com/gpu", "requests.hugepages-2Mi", "requests.storage"}) == {
        "requests.example.com/gpu",
        "requests.hugepages-2Mi",
    }
    assert not is_counted(EVENTS)


def test_a_claim_that_still_has_what_it_was_to_grow_to_is_counted_by_that():
    resources = {"requests": {"storage": "1Gi"}}
    claim = {"metadata": {}, "spec": {"resources": resources}, "status": {"allocatedResources": {"storage": "2Gi"}}}
    assert use_of(PERSISTENT_VOLUME_CLAIMS, claim).amounts["requests.storage"] == "2Gi"


def test_only_ports_that_are_asked_for_count_where_none_are_given():
    ports = [{"port": 1}, {"port": 2, "nodePort": 30001}]
    spec = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": ports}
    assert use_of(SERVICES, {"spec": spec}).amounts["services.nodeports"] == "1"
