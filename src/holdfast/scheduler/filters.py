"""Which nodes a pod may go to: each filter names what is in the way, in the words of N222.

They run in this order and a node is out at the first that objects (N220).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.api.core import node_affinity
from holdfast.api.core.host_ports import HostPort, collide, host_ports
from holdfast.api.core.taints import Taint, tolerates
from holdfast.api.resource import Manifest

from .requests import Amounts, requests_of
from .view import NodeView


@dataclass(frozen=True, slots=True)
class Objection:
    """Why not this node."""

    reasons: tuple[str, ...]
    is_final: bool = False
    """Removing pods from the node would not help."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pod, with what is asked of every node computed once."""

    pod: Manifest
    requests: Amounts
    ports: Sequence[HostPort]

    @staticmethod
    def of(pod: Manifest) -> Wanted:
        return Wanted(pod, requests_of(pod), host_ports(pod))


Filter = Callable[[Wanted, NodeView], Objection | None]

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def unschedulable(wanted: Wanted, node: NodeView) -> Objection | None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node.manifest["spec"].get("unschedulable") and not tolerates(wanted.pod, taint):
        return Objection(("node(s) were unschedulable",), is_final=True)
    return None


def taints(wanted: Wanted, node: NodeView) -> Objection | None:
    """A node that is not Ready counts as tainted from the first moment, before anybody has written the taint."""
    present: list[Taint] = list(node.manifest["spec"].get("taints") or ())
    if not is_ready(node.manifest):
        present.append(NOT_READY)
    for taint in present:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(wanted.pod, taint):
            return Objection(("node(s) had untolerated taint(s)",), is_final=True)
    return None


def affinity(wanted: Wanted, node: NodeView) -> Objection | None:
    if node_affinity.pod_allows(wanted.pod, node.manifest):
        return None
    return Objection(("node(s) didn't match Pod's node affinity/selector",), is_final=True)


def ports(wanted: Wanted, node: NodeView) -> Objection | None:
    taken = [port for of_pod in node.ports.values() for port in of_pod]
    if any(collide(port, other) for port in wanted.ports for other in taken):
        return Objection(("node(s) didn't have free ports for the requested pod ports",))
    return None


def resources(wanted: Wanted, node: NodeView) -> Objection | None:
    """All that is short is named. What exceeds the whole node is final."""
    short = []
    is_final = False
    if len(node.pods) + 1 > node.allocatable.get("pods", 0):
        short.append("Too many pods")
    for name, amount in wanted.requests.items():
        if amount > 0 and amount > node.allocatable.get(name, 0) - node.requested.get(name, 0):
            short.append(f"Insufficient {name}")
            is_final = is_final or amount > node.allocatable.get(name, 0)
    return Objection(tuple(short), is_final) if short else None


FILTERS: tuple[Filter, ...] = (unschedulable, taints, affinity, ports, resources)


def is_ready(node: Manifest) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def first_objection(wanted: Wanted, node: NodeView, filters: Iterable[Filter]) -> Objection | None:
    for check in filters:
        if objection := check(wanted, node):
            return objection
    return None
