"""Which of several nodes is best: apart from its own kind first, then where most is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.api.core import node_affinity
from holdfast.api.core.taints import tolerates
from holdfast.api.resource import Manifest

from . import affinity
from .requests import Amounts, requests_of
from .view import NodeView, owner_of

MOST = 100.0
SPREAD_WEIGHT, AFFINITY_WEIGHT, POD_AFFINITY_WEIGHT, TAINT_WEIGHT = 2.0, 2.0, 2.0, 3.0


def score(
    pod: Manifest, feasible: Sequence[NodeView], nodes: Sequence[NodeView], namespaces: affinity.Namespaces
) -> dict[str, float]:
    """The score of every feasible node; the highest is best."""
    requests = requests_of(pod)
    spread = _normalised({node.name: -_siblings(pod, node) for node in feasible})
    preferred = _normalised({node.name: node_affinity.preference(pod, node.manifest) for node in feasible})
    company = _normalised({node.name: affinity.preference(pod, node, nodes, namespaces) for node in feasible})
    repelled = _normalised({node.name: -_soft_taints(pod, node) for node in feasible})
    return {
        node.name: _least_allocated(requests, node)
        + SPREAD_WEIGHT * spread[node.name]
        + AFFINITY_WEIGHT * preferred[node.name]
        + POD_AFFINITY_WEIGHT * company[node.name]
        + TAINT_WEIGHT * repelled[node.name]
        for node in feasible
    }


def _normalised(raw: Mapping[str, float]) -> dict[str, float]:
    """From 0 for the worst to 100 for the best; all 0 where they do not differ."""
    least, most = min(raw.values()), max(raw.values())
    if least == most:
        return dict.fromkeys(raw, 0.0)
    return {name: MOST * (value - least) / (most - least) for name, value in raw.items()}


def _least_allocated(requests: Amounts, node: NodeView) -> float:
    """The mean share of CPU and memory that stays free. A container that asks for nothing still takes something."""
    shares = []
    for name, least in (("cpu", 100), ("memory", 200 << 20)):
        capacity = node.allocatable.get(name, 0)
        if capacity:
            taken = node.requested.get(name, 0) + max(requests.get(name, 0), least)
            shares.append(max(0.0, (capacity - taken) / capacity))
    return MOST * sum(shares) / len(shares) if shares else 0.0


def _siblings(pod: Manifest, node: NodeView) -> int:
    """Pods of the same owner on the node; without an owner, pods with the same labels."""
    labels = pod["metadata"].get("labels")
    namespace = pod["metadata"]["namespace"]
    if owner := owner_of(pod):
        return node.owners[owner]
    if not labels:
        return 0
    return sum(
        other["metadata"].get("labels") == labels and other["metadata"]["namespace"] == namespace
        for other in node.pods.values()
    )


def _soft_taints(pod: Manifest, node: NodeView) -> int:
    taints = node.manifest["spec"].get("taints") or ()
    return sum(each.get("effect") == "PreferNoSchedule" and not tolerates(pod, each) for each in taints)
