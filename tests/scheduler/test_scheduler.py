"""Pods finding nodes on a whole cluster, in simulated time: N221 to N229, X8."""

from __future__ import annotations

from typing import Any

from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.scenarios import web


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": "host"}
    if requests := spec.pop("requests", None):
        container["resources"] = {"requests": requests}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}}, "spec": spec}


def node_of(cluster, name):
    return cluster.get(PODS, name)["spec"].get("nodeName")


def scheduled(cluster, name):
    conditions = cluster.get(PODS, name)["status"].get("conditions", [])
    found = next((each for each in conditions if each["type"] == "PodScheduled"), {})
    return found.get("status"), found.get("reason"), found.get("message")


def events(cluster, name, reason):
    found = cluster.objects(EVENTS, "default")
    return [each for each in found if each["involvedObject"]["name"] == name and each["reason"] == reason]


def test_n223_a_bound_pod_is_told_of_once():
    with simulate(0) as cluster:
        cluster.apply(pod("a"))
        cluster.run_for(2)
        (event,) = events(cluster, "a", "Scheduled")
        assert event["message"] == "Successfully assigned default/a to n1"
        assert event["reportingComponent"] == "default-scheduler"
        assert scheduled(cluster, "a")[0] == "True"


def test_n32_n221_a_pod_that_fits_nowhere_says_why_and_goes_when_room_is_made():
    with simulate(0) as cluster:
        cluster.apply(pod("big", requests={"cpu": "50"}), pod("late", requests={"cpu": "50"}))
        cluster.run_for(30)
        pods = {name: node_of(cluster, name) for name in ("big", "late")}
        (waiting,) = [name for name, node in pods.items() if node is None]
        (running,) = [name for name, node in pods.items() if node]
        assert scheduled(cluster, waiting) == (
            "False",
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available:"
            " 1 No preemption victims found for incoming pod.",
        )
        assert events(cluster, waiting, "FailedScheduling")
        cluster.delete(PODS, running)
        cluster.run_for(5)
        assert node_of(cluster, waiting) == "n1"


def test_a_pod_that_waits_is_quiet():
    with simulate(0) as cluster:
        cluster.apply(pod("a", nodeSelector={"no": "such"}))
        cluster.run_for(60)
        last = cluster.trace[-1]
        cluster.run_for(200)
        assert cluster.trace[-1] == last


def test_a_label_that_comes_lets_a_pod_go():
    with simulate(0) as cluster:
        cluster.apply(pod("a", nodeSelector={"disk": "ssd"}))
        cluster.run_for(30)
        assert node_of(cluster, "a") is None
        cluster.patch(NODES, "n1", {"metadata": {"labels": {"disk": "ssd"}}})
        cluster.run_for(2)
        assert node_of(cluster, "a") == "n1"


def test_a_pod_without_nodes_goes_as_soon_as_one_is_ready():
    with simulate(0) as cluster:
        cluster.kill(cluster.nodes[0].process)
        cluster.do(_forget(cluster))
        cluster.apply(pod("a"))
        cluster.run_for(20)
        assert scheduled(cluster, "a")[2] == "no nodes available to schedule pods"
        cluster.start(cluster.nodes[0].process)
        cluster.run_for(20)
        assert node_of(cluster, "a") == "n1"


async def _forget(cluster):
    for node in (await cluster.client.list(NODES)).items:
        await cluster.client.delete(NODES, node["metadata"]["name"])


def test_n227_higher_priority_goes_first():
    with simulate(0) as cluster:
        cluster.apply(pod("running", requests={"cpu": "50"}))
        cluster.run_for(5)
        cluster.apply(pod("low", requests={"cpu": "50"}))
        cluster.apply(pod("high", requests={"cpu": "50"}, priorityClassName="system-cluster-critical"))
        cluster.run_for(30)
        cluster.delete(PODS, "running")
        cluster.run_for(15)
        assert (node_of(cluster, "high"), node_of(cluster, "low")) == ("n1", None)


def test_gated_and_foreign_pods_are_left_alone():
    with simulate(0) as cluster:
        cluster.apply(pod("gated", schedulingGates=[{"name": "wait"}]), pod("foreign", schedulerName="other"))
        cluster.run_for(10)
        assert node_of(cluster, "gated") is None
        assert node_of(cluster, "foreign") is None
        cluster.patch(PODS, "gated", {"spec": {"schedulingGates": None}})
        cluster.run_for(2)
        assert node_of(cluster, "gated") == "n1"


def test_pods_of_a_set_are_spread_over_the_nodes():
    with simulate(0, nodes=3) as cluster:
        cluster.run_for(5)
        cluster.apply(web(3))
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert {node_of(cluster, f"web-{ordinal}") for ordinal in range(3)} == {"n1", "n2", "n3"}


def test_n225_required_anti_affinity_leaves_the_last_ordinal_waiting_and_the_others_alone():
    """X8.5."""
    term = {"labelSelector": {"matchLabels": {"app": "nginx"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    with simulate(0, nodes=2) as cluster:
        cluster.run_for(5)
        apart = web(3)
        apart["spec"]["template"]["spec"]["affinity"] = affinity
        cluster.apply(apart)
        cluster.run_for(60)
        assert cluster.ready_replicas("web") == 2
        assert "2 node(s) didn't match pod anti-affinity rules" in scheduled(cluster, "web-2")[2]
        cluster.delete(PODS, "web-0")
        cluster.run_for(60)  # who of web-0 and web-2 takes the place is open
        assert [each["metadata"]["name"] for each in cluster.objects(PODS)] == ["web-0", "web-1", "web-2"]
        assert cluster.ready_replicas("web") == 2


def test_n224_no_node_is_filled_beyond_what_it_has_whatever_fails():
    rough = Faults(crash_every_s=8, request_delay_s=0.3, watch_delay_s=1, lost_reply=0.1, lost_request=0.05)
    for seed in range(6):
        with simulate(seed, rough, nodes=2) as cluster:
            cluster.run_until(lambda cluster=cluster: cluster.get(SERVICE_ACCOUNTS, "default") is not None)
            cluster.apply(*(pod(f"p{number}", requests={"cpu": "30"}) for number in range(7)))
            cluster.run_for(40)
            cluster.heal()
            cluster.run_for(60)
            placed = [each["spec"].get("nodeName") for each in cluster.objects(PODS)]
            assert sorted(filter(None, placed)) == ["n1", "n1", "n2", "n2"]


def test_n229_n244_a_pod_that_is_deleted_while_it_waits_is_gone():
    with simulate(0) as cluster:
        cluster.apply(pod("a", nodeSelector={"no": "such"}))
        cluster.run_for(5)
        cluster.delete(PODS, "a")
        cluster.run_for(20)
        assert cluster.get(PODS, "a") is None
        cluster.apply(pod("a"))
        cluster.run_for(2)
        assert node_of(cluster, "a") == "n1"
