"""How long nodes may keep what they know, by the size of the cluster."""

from __future__ import annotations

import pytest

from holdfast.api.core.node import NODES
from holdfast.controllers.nodes.ttl import STEPS, ObservedTtl, plan_ttl, step_for
from holdfast.simulation.cluster import simulate


@pytest.mark.parametrize(
    ("nodes", "before", "ttl_s"),
    [
        (1, 0, 0), (100, 0, 0), (101, 0, 15), (95, 1, 15), (89, 1, 0), (500, 1, 15), (501, 1, 30), (451, 2, 30),
        (449, 2, 15), (2001, 0, 300), (1799, 4, 60), (0, 4, 0),
    ],
)  # fmt: skip
def test_larger_clusters_keep_longer_and_a_node_less_changes_nothing(nodes, before, ttl_s):
    assert STEPS[step_for(nodes, before)][2] == ttl_s


def node(**annotations):
    return {"metadata": {"name": "n", "uid": "u", "annotations": annotations}}


@pytest.mark.parametrize("value", [None, "15", "many"])
def test_a_node_is_told_if_it_is_told_nothing_or_something_else(value):
    annotations = {"node.alpha.kubernetes.io/ttl": value} if value else {}
    (write,) = plan_ttl(ObservedTtl(node(**annotations), 0)).actions
    assert write.patch == {"metadata": {"uid": "u", "annotations": {"node.alpha.kubernetes.io/ttl": "0"}}}
    assert not plan_ttl(ObservedTtl(node(**{"node.alpha.kubernetes.io/ttl": "0"}), 0)).actions


def test_every_node_of_a_growing_cluster_is_told_anew():
    with simulate(0, nodes=1) as cluster:
        cluster.run_for(2)
        (only,) = cluster.objects(NODES)
        assert only["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] == "0"
        for number in range(100):
            metadata = {"name": f"other-{number}"}
            cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        cluster.run_for(5)
        told = {each["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] for each in cluster.objects(NODES)}
        assert told == {"15"}
