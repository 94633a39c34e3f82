"""Upstream's bugs in updating and scaling: seen with upstream's rule, gone with ours; or with us as well, and why."""

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import Invalid

from .builders import plan, settle
from .builders import running as at_rest
from .upstream import (
    A_LONG_TIME_S,
    NEVER_STARTS,
    a_set,
    broken_pods_use_up_the_budget,
    every_updated_pod_is_subtracted,
    pod,
    running,
)

OURS = pytest.param(None, id="ours")


def change_template(cluster, annotations):
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"template": {"metadata": {"annotations": annotations}}}})


BROKEN = {**NEVER_STARTS, "version": "broken"}
CORRECTED = {**dict.fromkeys(NEVER_STARTS), "version": "corrected"}
REVERTED = {**dict.fromkeys(NEVER_STARTS), "version": None}


def revisions(cluster):
    """Of pods 0, 1 and 2, the version their template names."""
    return [pod(cluster, ordinal)["metadata"].get("annotations", {}).get("version", "first") for ordinal in range(3)]


@pytest.mark.parametrize("cure", [CORRECTED, REVERTED], ids=["corrected", "rolled back"])
def test_s102_kubernetes_67250_an_ordered_rollout_that_broke_stays_broken_with_us_as_well(cure):
    """kubernetes#67250: the broken pod is waited for, so that neither a corrected nor the old template reaches it.

    Users build on the order of these steps (S102): it stays the default, and somebody has to delete the pod.
    """
    with running(a_set(3)) as cluster:
        change_template(cluster, BROKEN)
        cluster.run_for(60)
        assert revisions(cluster) == ["first", "first", "broken"]
        change_template(cluster, cure)
        cluster.run_for(A_LONG_TIME_S)
        assert revisions(cluster)[2] == "broken"
        assert not cluster.is_settled("web")
        cluster.delete(PODS, "web-2")
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert set(revisions(cluster)) == {cure["version"] or "first"}


@pytest.mark.parametrize("rule", [OURS, broken_pods_use_up_the_budget])
def test_s103_kubernetes_137409_a_parallel_rollout_that_broke_is_repaired_by_a_new_template(monkeypatch, rule):
    """kubernetes#137409: in 1.35.0 the broken pod used up maxUnavailable, so that it was never replaced itself."""
    if rule:
        rule(monkeypatch)
    with running(a_set(3, policy="Parallel")) as cluster:
        change_template(cluster, BROKEN)
        cluster.run_for(60)
        assert revisions(cluster)[2] == "broken"
        change_template(cluster, CORRECTED)
        cluster.run_for(A_LONG_TIME_S if rule else 120)
        assert revisions(cluster)[2] == ("broken" if rule else "corrected")
        assert cluster.is_settled("web") == (not rule)


@pytest.mark.parametrize("rule", [OURS, every_updated_pod_is_subtracted])
def test_s107_a_second_update_in_the_middle_of_the_first_counts_no_less_than_nothing(monkeypatch, rule):
    """S107: each pod deleted for the update was taken off currentReplicas, which was nothing already: -1, refused."""
    if rule:
        rule(monkeypatch)
    cluster = at_rest(2, parallel=True)
    cluster.with_revision("app:2", 2)
    for ordinal in (0, 1):
        cluster.gone(ordinal)
        cluster.add(ordinal, "ready", "app:2")
    cluster.change_image("app:3")
    status = plan(cluster.observed()).status.manifest["status"]
    assert status.get("currentReplicas", 0) == (-1 if rule else 0)


def test_s107_s135_such_a_status_is_what_the_server_refuses():
    with running(a_set(1)) as cluster:
        found = cluster.get(STATEFUL_SETS, "web")
        wrong = {**found, "status": {**found["status"], "currentReplicas": -1}}
        with pytest.raises(Invalid, match=r"status.currentReplicas: Invalid value: -1"):
            cluster.do(cluster.client.update(STATEFUL_SETS, wrong, subresource="status"))


def test_s44_two_broken_surplus_pods_stop_an_ordered_scale_down_with_us_as_well():
    """S44: only the lowest broken one may go, and the top one goes first: neither does, without any event."""
    cluster = at_rest(4)
    for ordinal in (2, 3):
        cluster.move(ordinal, "running")
    cluster.change(replicas=2)
    settle(cluster)
    assert (set(cluster.pods), cluster.events) == ({"web-0", "web-1", "web-2", "web-3"}, [])
    cluster.gone(2)
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-1"}


@pytest.mark.parametrize("broken", [2, 3])
def test_s44_one_broken_surplus_pod_does_not(broken):
    cluster = at_rest(4)
    cluster.move(broken, "running")
    cluster.change(replicas=2)
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-1"}
