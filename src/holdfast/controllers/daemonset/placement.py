"""Which nodes a daemon belongs on, and how its pod is bound there (W40)."""

from __future__ import annotations

from enum import Enum

from holdfast.api.core import node_affinity
from holdfast.api.core.node_affinity import NODE_NAME
from holdfast.api.core.taints import tolerates
from holdfast.api.resource import Manifest

_TAINTS = {
    "node.kubernetes.io/not-ready": "NoExecute",
    "node.kubernetes.io/unreachable": "NoExecute",
    "node.kubernetes.io/disk-pressure": "NoSchedule",
    "node.kubernetes.io/memory-pressure": "NoSchedule",
    "node.kubernetes.io/pid-pressure": "NoSchedule",
    "node.kubernetes.io/unschedulable": "NoSchedule",
}
_HOST_NETWORK_TAINTS = {"node.kubernetes.io/network-unavailable": "NoSchedule"}
"""A pod on the host's network needs none of its own."""


class Fit(Enum):
    """What a node is to a DaemonSet."""

    WANTED = "is to have a pod"
    KEPT = "gets none, but keeps the one it has"
    REFUSED = "is to have none"


def tolerant(template: Manifest) -> Manifest:
    """A pod template that stays, without limit, on nodes in trouble, and comes to those that are cordoned."""
    spec = template["spec"]
    taints = {**_TAINTS, **(_HOST_NETWORK_TAINTS if spec.get("hostNetwork") else {})}
    automatic = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in taints.items()]
    known = {_identity(one) for one in automatic}
    present = spec.get("tolerations") or ()
    # A toleration that is there already, but with a limit, loses the limit where it stands.
    kept = [_unlimited(one) if _identity(one) in known else one for one in present]
    there = {_identity(one) for one in kept}
    added = [one for one in automatic if _identity(one) not in there]
    return {**template, "spec": {**spec, "tolerations": [*kept, *added]}}


def _unlimited(toleration: Manifest) -> Manifest:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _identity(toleration: Manifest) -> tuple[str, ...]:
    return tuple(toleration.get(member) or "" for member in ("key", "operator", "value", "effect"))


def fit(template: Manifest, node: Manifest) -> Fit:
    """What the node is to pods of a template that `tolerant` has made."""
    wanted_name = template["spec"].get("nodeName") or ""
    if wanted_name not in ("", node["metadata"]["name"]) or not node_affinity.pod_allows(template, node):
        return Fit.REFUSED
    taints = (node.get("spec") or {}).get("taints") or ()
    in_the_way = {one.get("effect") for one in taints if not tolerates(template, one)}
    if "NoExecute" in in_the_way:
        return Fit.REFUSED
    return Fit.KEPT if "NoSchedule" in in_the_way else Fit.WANTED


def bound_to(template: Manifest, node: str) -> Manifest:
    """The template for a pod that the scheduler can only bind to that node.

    Required node affinity of its own has been looked at when the node was chosen: the name takes its place.
    """
    affinity = template["spec"].get("affinity") or {}
    of_nodes = affinity.get("nodeAffinity") or {}
    name = {"key": NODE_NAME, "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [name]}]}
    of_nodes = {**of_nodes, "requiredDuringSchedulingIgnoredDuringExecution": required}
    return {**template, "spec": {**template["spec"], "affinity": {**affinity, "nodeAffinity": of_nodes}}}


def node_of(pod: Manifest) -> str:
    """The node that a pod is on, or was made for; empty if it was made for none."""
    spec = pod["spec"]
    if name := spec.get("nodeName"):
        return str(name)
    of_nodes = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = of_nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == NODE_NAME and field["operator"] == "In":
                values = field.get("values") or []
                return str(values[0]) if len(values) == 1 else ""
    return ""
