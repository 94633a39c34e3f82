"""The life of a DaemonSet on machines that fail, are cordoned, and are tainted."""

from __future__ import annotations

from random import Random

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest

from .cluster import Cluster
from .losses import kill_a_container, lose_a_pod

LONG_S = 1800.0
COUNTS = ("currentNumberScheduled", "numberReady", "numberAvailable", "updatedNumberScheduled")


def agent(surge: int) -> Manifest:
    """A daemon that is updated beside the old one on so many nodes at a time, or one node after the other if none."""
    container = {"name": "main", "image": "host", "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0 if surge else 1}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
            },
        },
    }


def daemons(cluster: Cluster, chance: Random) -> None:
    """Updated, robbed of pods, driven from nodes and let back while things go wrong; then every node has one pod."""
    cluster.apply(agent(chance.randint(0, 2)))
    changes = [_roll_out, _roll_out, lose_a_pod, kill_a_container, _cordon, _taint, _taint]
    chance.shuffle(changes)
    for change in changes:
        cluster.run_for(chance.uniform(0, 25))
        change(cluster, chance)
    cluster.run_for(chance.uniform(0, 10))
    for node in cluster.nodes:
        _set_spec(cluster, node.name, unschedulable=None)
        _set_taint(cluster, node.name, "")
    cluster.heal()
    cluster.run_until(lambda: _is_settled(cluster), LONG_S)
    cluster.run_until_quiet()
    pods = cluster.objects(PODS, "default")
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == sorted(node.name for node in cluster.nodes)
    running = {name.removeprefix("default/") for name in cluster.running_pods()}
    assert running == {pod["metadata"]["name"] for pod in pods}


def _is_settled(cluster: Cluster) -> bool:
    found = cluster.get(DAEMON_SETS, "agent")
    assert found is not None
    status, nodes = found["status"], len(cluster.nodes)
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status["desiredNumberScheduled"] == nodes
        and all(status.get(count, 0) == nodes for count in COUNTS)
        and len(cluster.objects(PODS, "default")) == nodes
    )


def _roll_out(cluster: Cluster, chance: Random) -> None:
    annotations = {"version": str(chance.randint(1, 3))}
    cluster.patch(DAEMON_SETS, "agent", {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def _cordon(cluster: Cluster, chance: Random) -> None:
    _set_spec(cluster, chance.choice(cluster.nodes).name, unschedulable=True)


def _taint(cluster: Cluster, chance: Random) -> None:
    _set_taint(cluster, chance.choice(cluster.nodes).name, chance.choice(["NoSchedule", "NoExecute"]))


def _set_taint(cluster: Cluster, name: str, effect: str) -> None:
    """One taint of our own, or none; others stay."""
    node = cluster.get(NODES, name)
    if node is not None:
        taints = [one for one in node["spec"].get("taints") or () if one["key"] != "trouble"]
        _set_spec(cluster, name, taints=[*taints, *([{"key": "trouble", "effect": effect}] if effect else [])])


def _set_spec(cluster: Cluster, name: str, **spec: object) -> None:
    if cluster.get(NODES, name) is not None:
        cluster.patch(NODES, name, {"spec": spec}, "")
