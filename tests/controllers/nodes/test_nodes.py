"""Nodes that fall silent: N183 to N188, W100, W101, on simulated time."""

from __future__ import annotations

from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.client import Unreachable
from holdfast.client.leases import LeaseKeeper
from holdfast.node.registration import Registration
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web


def ready(manifest):
    conditions = {each["type"]: each for each in manifest["status"].get("conditions", [])}
    return conditions.get("Ready", {}).get("status")


def taints(cluster, name):
    return sorted((each["key"], each["effect"]) for each in cluster.get(NODES, name)["spec"].get("taints", []))


def settled(cluster, replicas=1):
    cluster.apply(web(replicas))
    cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)
    cluster.run_for(20)


def host_of(cluster, name="web-0"):
    node = cluster.get(PODS, name)["spec"]["nodeName"]
    return next(each for each in cluster.nodes if each.name == node)


def reasons(cluster, name, namespace="default"):
    return [each["reason"] for each in cluster.objects(EVENTS, namespace) if each["involvedObject"]["name"] == name]


def told(cluster, name, reason, namespace="default"):
    found = [each for each in cluster.objects(EVENTS, namespace) if each["involvedObject"]["name"] == name]
    return [each["message"] for each in found if each["reason"] == reason]


def test_n218_a_node_is_told_of_when_it_comes_and_when_it_is_removed():
    with simulate(0, nodes=1) as cluster:
        cluster.run_for(30)
        assert told(cluster, "n1", "RegisteredNode") == ["Node n1 event: Registered Node n1 in Controller"]
        assert told(cluster, "n1", "RemovingNode") == []
        cluster.kill(cluster.nodes[0].process)
        cluster.delete(NODES, "n1")
        cluster.run_for(5)
        assert told(cluster, "n1", "RemovingNode") == ["Node n1 event: Removing Node n1 from Controller"]


def test_n187_pods_that_need_not_go_after_all_are_told_of():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        cluster.kill(host.process)
        cluster.run_for(120)
        assert told(cluster, "web-0", "TaintManagerEviction") == []
        cluster.start(host.process)
        cluster.run_for(30)
        assert told(cluster, "web-0", "TaintManagerEviction") == ["Cancelling deletion of Pod default/web-0"]
        cluster.run_for(600)
        assert len(told(cluster, "web-0", "TaintManagerEviction")) == 1


def test_n187_a_pod_that_somebody_else_has_removed_need_not_go_any_more():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        cluster.kill(host.process)
        host.runtime.crash()
        cluster.run_for(120)
        cluster.delete(PODS, "web-0", grace_period_s=0)
        cluster.run_for(10)
        assert "Cancelling deletion of Pod default/web-0" in told(cluster, "web-0", "TaintManagerEviction")


def test_n183_n184_n186_a_silent_node_is_unknown_after_its_grace_and_its_pods_are_not_ready():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        cluster.kill(host.process)
        cluster.run_for(35)
        assert ready(cluster.get(NODES, host.name)) == "True"
        cluster.run_for(25)
        node = cluster.get(NODES, host.name)
        assert ready(node) == "Unknown"
        messages = {each["message"] for each in node["status"]["conditions"]}
        assert messages == {"Kubelet stopped posting node status."}
        assert taints(cluster, host.name) == [
            ("node.kubernetes.io/unreachable", "NoExecute"),
            ("node.kubernetes.io/unreachable", "NoSchedule"),
        ]
        assert ready(cluster.get(PODS, "web-0")) == "False"
        assert "NodeNotReady" in reasons(cluster, host.name)
        assert "NodeNotReady" in reasons(cluster, "web-0")


def test_n186_an_agent_whose_heartbeats_are_lost_and_the_controller_do_not_write_against_each_other(monkeypatch):
    """N186: found by `simulation mixed --seed 33`, where they did so without any time passing."""

    async def unheard(*arguments):
        raise Unreachable("lost")

    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        monkeypatch.setattr(Registration, "report", unheard)
        monkeypatch.setattr(LeaseKeeper, "renew", unheard)
        cluster.run_for(90)
        revision = cluster.store.revision
        assert ready(cluster.get(NODES, host.name)) == "Unknown"
        cluster.run_for(60)
        assert cluster.store.revision - revision < 20


def test_n184_n186_a_node_that_comes_back_is_as_before():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        cluster.kill(host.process)
        cluster.run_for(90)
        cluster.start(host.process)
        cluster.run_for(30)
        assert ready(cluster.get(NODES, host.name)) == "True"
        assert taints(cluster, host.name) == []
        assert ready(cluster.get(PODS, "web-0")) == "True"
        cluster.run_for(600)
        assert cluster.is_settled("web")


def test_n187_n188_n190_a_partitioned_pod_is_only_marked_and_never_replaced():
    """N188: its machine may well run it still. The checkers watch that no second one starts."""
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        before = cluster.get(PODS, "web-0")["metadata"]["uid"]
        cluster.kill(host.process)
        cluster.run_for(40 + 290)
        assert "deletionTimestamp" not in cluster.get(PODS, "web-0")["metadata"]
        cluster.run_for(30)
        pod = cluster.get(PODS, "web-0")
        assert pod["metadata"]["deletionTimestamp"]
        assert "TaintManagerEviction" in reasons(cluster, "web-0")
        assert any(each["type"] == "DisruptionTarget" for each in pod["status"]["conditions"])
        cluster.run_for(3600)
        assert cluster.get(PODS, "web-0")["metadata"]["uid"] == before
        assert host.running_containers()
        cluster.start(host.process)  # it finishes what was asked of it, and the set goes on
        cluster.run_until(lambda: cluster.get(PODS, "web-0") is None or _uid(cluster) != before, within_s=120)
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)


def _uid(cluster, name="web-0"):
    return cluster.get(PODS, name)["metadata"]["uid"]


def test_n185_the_only_node_is_never_evicted_from():
    with simulate(0, nodes=1) as cluster:
        settled(cluster)
        cluster.kill(cluster.nodes[0].process)
        cluster.run_for(900)
        assert taints(cluster, "n1") == [("node.kubernetes.io/unreachable", "NoSchedule")]
        assert "deletionTimestamp" not in cluster.get(PODS, "web-0")["metadata"]


def test_n188_pods_of_a_node_that_was_removed_are_given_up_after_a_while():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        before = _uid(cluster)
        cluster.kill(host.process)
        host.runtime.crash()
        cluster.delete(NODES, host.name)
        cluster.run_for(30)
        assert _uid(cluster) == before
        cluster.run_until(lambda: cluster.get(PODS, "web-0") is not None and _uid(cluster) != before, within_s=60)
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=60)
        assert host_of(cluster) is not host


def test_n188_an_administrator_may_declare_a_silent_node_dead():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        before = _uid(cluster)
        cluster.kill(host.process)
        host.runtime.crash()
        cluster.run_for(120)
        cluster.delete(PODS, "web-0")
        cluster.run_for(60)
        assert _uid(cluster) == before
        present = cluster.get(NODES, host.name)["spec"]["taints"]
        dead = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        cluster.patch(NODES, host.name, {"spec": {"taints": [*present, dead]}})
        cluster.run_until(lambda: cluster.get(PODS, "web-0") is not None and _uid(cluster) != before, within_s=60)
        assert dead["key"] in [key for key, _ in taints(cluster, host.name)]


def test_n184_a_cordoned_node_is_tainted_as_long_as_it_is():
    with simulate(0, nodes=1) as cluster:
        cluster.run_for(30)
        cluster.patch(NODES, "n1", {"spec": {"unschedulable": True}})
        cluster.run_for(2)
        assert taints(cluster, "n1") == [("node.kubernetes.io/unschedulable", "NoSchedule")]
        cluster.patch(NODES, "n1", {"spec": {"unschedulable": None}})
        cluster.run_for(2)
        assert taints(cluster, "n1") == []


def test_n187_a_toleration_of_some_seconds_ends_also_where_the_taint_does_not_say_since_when():
    taint = {"key": "maintenance", "effect": "NoExecute"}
    tolerations = [{"key": "maintenance", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "patient"},
        "spec": {"containers": [{"name": "main", "image": "host"}], "tolerations": tolerations},
    }
    with simulate(0, nodes=1) as cluster:
        cluster.apply(pod)
        cluster.run_for(30)
        cluster.patch(NODES, "n1", {"spec": {"taints": [taint]}})
        cluster.run_for(20)
        cluster.patch(NODES, "n1", {"spec": {"taints": None}})
        cluster.run_for(5)
        cluster.patch(NODES, "n1", {"spec": {"taints": [taint]}})
        cluster.run_for(20)
        assert "deletionTimestamp" not in cluster.get(PODS, "patient")["metadata"]
        cluster.run_until(lambda: cluster.get(PODS, "patient") is None, within_s=45)
        assert "TaintManagerEviction" in reasons(cluster, "patient")
