"""Budgets, evictions and sets together, on simulated time (W75 to W79)."""

from __future__ import annotations

import pytest

from holdfast.api import conditions
from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import TooManyRequests
from holdfast.api.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.scenarios import web

BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "b", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "nginx"}}, "maxUnavailable": 1},
}


def status(cluster):
    return cluster.get(POD_DISRUPTION_BUDGETS, "b")["status"]


def counts(cluster):
    said = status(cluster)
    return tuple(said[name] for name in ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"))


def evict(cluster, name):
    eviction = {"metadata": {"name": name, "namespace": "default"}}
    cluster.do(cluster.client.create(PODS, eviction, "default", name=name, subresource="eviction"))


def ready_pods(cluster):
    alive = [pod for pod in cluster.objects(PODS, "default") if not conditions.is_terminating(pod)]
    return [pod["metadata"]["name"] for pod in alive if conditions.is_ready(pod)]


def settle(cluster, replicas=3):
    cluster.apply(web(replicas), BUDGET)
    cluster.run_until(lambda: cluster.is_settled("web"), within_s=300)
    cluster.run_for(2)


def test_a_budget_follows_its_set():
    with simulate(0) as cluster:
        settle(cluster)
        assert counts(cluster) == (3, 2, 3, 1)
        cluster.scale("web", 5)
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_for(2)
        assert counts(cluster) == (5, 4, 5, 1)
        cluster.patch(POD_DISRUPTION_BUDGETS, "b", {"spec": {"maxUnavailable": "40%"}})
        cluster.run_for(2)
        assert counts(cluster) == (5, 3, 5, 2)
        assert status(cluster)["observedGeneration"] == 2


def test_a_drain_waits_for_the_pod_that_was_evicted_before():
    with simulate(0) as cluster:
        settle(cluster)
        before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.objects(PODS)}
        evict(cluster, "web-0")
        with pytest.raises(TooManyRequests) as refused:
            evict(cluster, "web-1")
        assert refused.value.causes[0].reason == "DisruptionBudget"

        def goes_on():
            try:
                evict(cluster, "web-1")
            except TooManyRequests:
                return False
            return True

        cluster.run_until(goes_on, within_s=120)
        assert cluster.get(PODS, "web-0")["metadata"]["uid"] != before["web-0"]
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_for(2)
        assert counts(cluster) == (3, 2, 3, 1)
        assert "disruptedPods" not in status(cluster)


def test_no_pods_are_told_of_once_for_each_sync_as_upstream():
    with simulate(0) as cluster:
        cluster.apply(BUDGET)
        cluster.run_for(5)
        (event,) = [one for one in cluster.objects(EVENTS, "default") if one["reason"] == "NoPods"]
        assert (event["count"], event["source"]) == (2, {"component": "controllermanager"})


def test_a_mark_without_a_deletion_is_taken_back():
    with simulate(0) as cluster:
        settle(cluster, 1)
        mark = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
        pod = cluster.get(PODS, "web-0")
        marked = {**pod, "status": {**pod["status"], "conditions": [*pod["status"]["conditions"], mark]}}
        cluster.do(cluster.client.update(PODS, marked, subresource="status"))
        cluster.run_for(2)
        found = {one["type"]: one["status"] for one in cluster.get(PODS, "web-0")["status"]["conditions"]}
        assert found["DisruptionTarget"] == "False"
        assert found["Ready"] == "True"


@pytest.mark.parametrize("seed", range(5))
def test_whatever_breaks_no_more_pods_than_allowed_are_evicted_at_a_time(seed):
    """Each eviction that was granted found all but the allowed ones ready."""
    with simulate(seed, Faults(lost_reply=0.1, watch_delay_s=0.5, request_delay_s=0.2), nodes=2) as cluster:
        settle(cluster)
        granted = 0
        for _ in range(60):
            for ordinal in range(3):
                name = f"web-{ordinal}"
                if cluster.get(PODS, name) is None:
                    continue
                ready = ready_pods(cluster)
                try:
                    evict(cluster, name)
                except TooManyRequests:
                    continue
                if name in ready:
                    assert len(ready) == 3, ready
                    granted += 1
            cluster.run_for(1)
        assert granted > 2
