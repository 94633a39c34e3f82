"""Upstream's bugs around claims: seen with upstream's rule, gone with ours; or with us as well, and why."""

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.simulation.cluster import simulate

from . import upstream
from .upstream import A_LONG_TIME_S, a_set, is_ready, messages, pod, running

HELD = {"metadata": {"finalizers": ["example.com/storage"]}}
RELEASED = {"metadata": {"finalizers": None}}
OURS = pytest.param(None, id="ours")


def rule(*names):
    """The same story by each of upstream's rules, and by ours."""
    return pytest.mark.parametrize("rule", [OURS, *(pytest.param(getattr(upstream, name), id=name) for name in names)])


def uid(cluster, claim):
    found = cluster.get(CLAIMS, claim)
    return found["metadata"]["uid"] if found else None


@rule("nobody_watches_claims")
def test_s58_a_slot_that_waits_for_an_old_claim_is_filled_when_the_claim_goes(monkeypatch, rule):
    """S58: scaled 3, 2, 3 with `whenScaled: Delete`, the set waited for the claim, and nothing told it that it went."""
    if rule:
        rule(monkeypatch)
    retention = {"whenScaled": "Delete", "whenDeleted": "Retain"}
    with running(a_set(3, persistentVolumeClaimRetentionPolicy=retention)) as cluster:
        before = uid(cluster, "www-web-2")
        cluster.patch(CLAIMS, "www-web-2", HELD)
        cluster.scale("web", 2)
        cluster.run_until(lambda: pod(cluster, 2) is None)
        cluster.scale("web", 3)
        cluster.run_for(5)
        cluster.patch(CLAIMS, "www-web-2", RELEASED)
        cluster.run_until(lambda: uid(cluster, "www-web-2") != before)
        cluster.run_for(120)
        assert cluster.ready_replicas("web") == (2 if rule else 3)
        if rule:
            cluster.patch(STATEFUL_SETS, "web", {"metadata": {"annotations": {"wake": "up"}}})
            cluster.run_until(lambda: cluster.is_settled("web"))
        assert uid(cluster, "www-web-2") not in (None, before), "S59"


@rule("claims_that_go_count_as_there")
def test_kubernetes_74374_a_pod_is_not_made_on_a_claim_that_is_being_deleted(monkeypatch, rule):
    """kubernetes#74374: the new pod took the claim on its way out, and was Pending for ever once that was gone."""
    if rule:
        rule(monkeypatch)
    with running(a_set(1)) as cluster:
        cluster.patch(CLAIMS, "www-web-0", HELD)
        cluster.delete(CLAIMS, "www-web-0")
        before, old = uid(cluster, "www-web-0"), pod(cluster, 0)["metadata"]["uid"]
        cluster.delete(PODS, "web-0")
        cluster.run_until(lambda: (pod(cluster, 0) or {"metadata": {"uid": ""}})["metadata"]["uid"] != old)
        cluster.run_for(5)
        assert bool(pod(cluster, 0)) == bool(rule)
        cluster.patch(CLAIMS, "www-web-0", RELEASED)
        cluster.run_for(A_LONG_TIME_S if rule else 60)
        assert is_ready(cluster, 0) == (not rule)
        assert uid(cluster, "www-web-0") != before
        if not rule:
            text = "Create Pod web-0 in StatefulSet web failed error: pvc www-web-0 is being deleted"
            assert text in messages(cluster), "S33: and it says why"


@rule("claims_that_go_count_as_there")
def test_kubernetes_89910_a_pending_pod_whose_claims_go_gets_new_ones(monkeypatch, rule):
    """kubernetes#89910: a pod that had come back found its claims gone and was Pending; nobody made them again."""
    if rule:
        rule(monkeypatch)
    claims = ("logs", "data")
    with running(a_set(2, claims=claims)) as cluster:
        names = [f"{claim}-web-1" for claim in claims]
        before = [uid(cluster, name) for name in names]
        cluster.patch(NODES, "n1", {"spec": {"unschedulable": True}})
        cluster.delete(PODS, "web-1")
        cluster.run_until(lambda: (pod(cluster, 1) or {}).get("status", {}).get("phase") == "Pending")
        for name in names:
            cluster.delete(CLAIMS, name)
        cluster.run_until(lambda: not set(before) & {uid(cluster, name) for name in names})
        cluster.patch(NODES, "n1", {"spec": {"unschedulable": None}})
        cluster.run_for(A_LONG_TIME_S if rule else 60)
        assert is_ready(cluster, 1) == (not rule)
        assert all(uid(cluster, name) for name in names) == (not rule)


def test_s60_claims_left_over_from_before_the_policy_stay_with_us_as_well():
    """S60: only claims of pods that exist are touched; upstream's users who turn Delete on keep their old leftovers."""
    with running(a_set(3)) as cluster:
        cluster.scale("web", 1)
        cluster.run_until(lambda: cluster.is_settled("web"))
        policy = {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"}}}
        cluster.patch(STATEFUL_SETS, "web", policy)
        cluster.run_for(60)
        owners = {
            claim["metadata"]["name"]: [each["kind"] for each in claim["metadata"].get("ownerReferences", [])]
            for claim in cluster.objects(CLAIMS, "default")
        }
        assert owners == {"www-web-0": ["StatefulSet"], "www-web-1": [], "www-web-2": []}


def test_s36_a_pod_with_the_wrong_volumes_is_refused_until_somebody_deletes_it_with_us_as_well():
    """S36: an adopted pod without the claim's volume can never be repaired, since a pod's volumes cannot change."""
    stray = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "default", "labels": {"app": "nginx"}},
        "spec": {"containers": [{"name": "main", "image": "host"}]},
    }
    with simulate(0) as cluster:
        cluster.apply(stray)
        cluster.run_until(lambda: is_ready(cluster, 0))
        cluster.apply(a_set(2))
        cluster.run_for(300)
        start = 'Update Pod web-0 in StatefulSet web failed error: Pod "web-0" is invalid: spec: Forbidden'
        assert any(text.startswith(start) for text in messages(cluster))
        assert pod(cluster, 0)["metadata"]["ownerReferences"], "adopted"
        assert pod(cluster, 1) is None, "S121: an ordered set goes no further"
        cluster.delete(PODS, "web-0")
        cluster.run_until(lambda: cluster.is_settled("web"))
