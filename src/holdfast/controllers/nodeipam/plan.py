"""Which slice of the pods' ranges a node of a machine that joins has. Pure.

The first machine's nodes have theirs by their number, whether they are there or not; all others get the first that is
free behind those. A slice is free when no Node says that it is its own: it comes back when the Node is deleted.

Source: Kubernetes, pkg/controller/nodeipam/ipam/range_allocator.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Emit, Patch, Plan, Report
from holdfast.network.pods.ranges import MOST_NODES_HERE, Network, node_range, overlap


@dataclass(frozen=True, slots=True)
class ObservedNode:
    node: Manifest
    taken: Sequence[Network]
    """What all Nodes say is theirs."""
    ranges: Sequence[Network]
    """The cluster's of pods, one for each family."""


def plan_slices(observed: ObservedNode) -> Plan:
    node = observed.node
    if slices(node):
        return Plan("has its slices", subject=node)
    found = free(observed.ranges, observed.taken)
    if not found:
        return Plan("no slice is free", (Emit(Report("Normal", "CIDRNotAvailable", _none_left(node))),), subject=node)
    texts = [str(each) for each in found]
    metadata = {"uid": node["metadata"]["uid"], "resourceVersion": node["metadata"]["resourceVersion"]}
    patch = {"metadata": metadata, "spec": {"podCIDR": texts[0], "podCIDRs": texts}}
    return Plan(f"gets {','.join(texts)}", (Patch(NODES, "", node["metadata"]["name"], patch),), subject=node)


def free(ranges: Sequence[Network], taken: Sequence[Network]) -> tuple[Network, ...]:
    """Slices of one number, of each of the ranges; empty if all are taken."""
    number = MOST_NODES_HERE
    while True:
        try:
            offered = tuple(node_range(each, number) for each in ranges)
        except ValueError:
            return ()
        if not any(overlap(one, other) for one in offered for other in taken):
            return offered
        number += 1


def slices(node: Manifest) -> list[Network]:
    spec = node.get("spec") or {}
    return [ip_network(each) for each in spec.get("podCIDRs") or [spec.get("podCIDR")] if each]


def _none_left(node: Manifest) -> str:
    return f"Node {node['metadata']['name']} status is now: CIDRNotAvailable"
