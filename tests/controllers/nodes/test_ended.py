"""How many pods that have ended may stay (W100)."""

from __future__ import annotations

from holdfast.api.core.pod import PODS
from holdfast.controllers.nodes.ended import EndedPods, plan
from holdfast.simulation.cluster import simulate


def ended(name, minute, reason=""):
    metadata = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": f"2026-01-01T12:{minute:02}:00Z"}
    return {"metadata": metadata, "status": {"phase": "Failed", "reason": reason}}


def test_w100_the_evicted_go_first_then_the_oldest():
    pods = [ended("new", 9), ended("old", 1), ended("evicted", 8, "Evicted"), ended("middle", 5)]
    (group,) = plan(pods, 2).actions
    assert [each.name for each in group.actions] == ["evicted", "old"]
    assert {each.grace_period_s for each in group.actions} == {0}
    assert plan(pods, 4).actions == ()


def test_w100_pods_that_run_are_not_counted(monkeypatch):
    monkeypatch.setattr(EndedPods.__init__, "__defaults__", (2,))
    with simulate(0, nodes=0) as cluster:
        for number in range(5):
            metadata = {"name": f"p{number}", "namespace": "default"}
            spec = {"containers": [{"name": "c", "image": "i"}]}
            cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            if number < 4:
                cluster.patch(PODS, f"p{number}", {"status": {"phase": "Succeeded"}}, subresource="status")
            cluster.run_for(1)
        cluster.run_for(30)
        assert [pod["metadata"]["name"] for pod in cluster.objects(PODS, "default")] == ["p2", "p3", "p4"]
