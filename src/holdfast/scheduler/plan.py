"""One pod, all nodes: where it goes, or why nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from holdfast.api.core import node_affinity
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding

from . import affinity, volumes
from .filters import FILTERS, Objection, Wanted, first_objection
from .scores import score
from .view import NodeView
from .volumes import ClaimsOf, Reservation, StorageView

NOT_NAMED = Objection(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), is_final=True)
"""Of nodes that are not looked at, because the pod is for others by name, as daemons are (W40)."""
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


@dataclass(frozen=True, slots=True)
class Assign:
    """The pod goes to the node, once what the reservation asks for is written and its claims are bound."""

    node: str
    reservation: Reservation
    waits_for_volumes: bool


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Nowhere, for now."""

    message: str


def decide(
    pod: Manifest, nodes: Sequence[NodeView], storage: StorageView, random: Random, preferred: str = ""
) -> Assign | Unschedulable:
    """Filters, then scores; equals are drawn by lot. The `preferred` node wins if it will do."""
    if not nodes:
        return Unschedulable("no nodes available to schedule pods")
    if node_affinity.named_nodes(pod) == frozenset():
        return Unschedulable(_refused_everywhere("pod affinity terms conflict", pod, len(nodes)))
    claims = volumes.sort_out(pod, storage)
    if isinstance(claims, str):
        return Unschedulable(_refused_everywhere(claims, pod, len(nodes)))
    feasible, objections = _filter(pod, nodes, claims, storage)
    if not feasible:
        return Unschedulable(_message(pod, objections))
    node = _choose(pod, feasible, nodes, _wished(claims, preferred), random)
    reservation = volumes.reserve(claims, node, storage)
    assert reservation is not None  # a filter saw to it
    return Assign(node.name, reservation, bool(claims.delayed))


def _filter(
    pod: Manifest, nodes: Sequence[NodeView], claims: ClaimsOf, storage: StorageView
) -> tuple[list[NodeView], list[Objection]]:
    wanted = Wanted.of(pod)
    rules = affinity.gather(pod, nodes)
    named = node_affinity.named_nodes(pod)
    feasible, objections = [], []
    for node in nodes:
        if named is not None and node.name not in named:
            objections.append(NOT_NAMED)
            continue
        objection = (
            first_objection(wanted, node, FILTERS) or volumes.objection(claims, node, storage) or rules.objection(node)
        )
        if objection:
            objections.append(objection)
        else:
            feasible.append(node)
    return feasible, objections


def _choose(
    pod: Manifest, feasible: Sequence[NodeView], nodes: Sequence[NodeView], wished: set[str], random: Random
) -> NodeView:
    for node in feasible:
        if node.name in wished:
            return node
    if len(feasible) == 1:
        return feasible[0]
    scores = score(pod, feasible, nodes)
    best = max(scores.values())
    return random.choice([node for node in feasible if scores[node.name] == best])


def _wished(claims: ClaimsOf, preferred: str) -> set[str]:
    """Nodes that are chosen already: for the pod, or for the volumes that are being made for it."""
    selected = {binding.annotation(claim, binding.SELECTED_NODE) or "" for claim in claims.delayed}
    return {*selected, preferred} - {""}


def _message(pod: Manifest, objections: Sequence[Objection]) -> str:
    """N221: counted reasons in the order of their texts."""
    count = len(objections)
    reasons = Counter(reason for objection in objections for reason in objection.reasons)
    listed = ", ".join(sorted(f"{times} {reason}" for reason, times in reasons.items()))
    helpless = Counter(NOT_HELPFUL if objection.is_final else NO_VICTIMS for objection in objections)
    return f"0/{count} nodes are available: {listed}. {_preemption_note(pod, count, helpless)}"


def _refused_everywhere(problem: str, pod: Manifest, count: int) -> str:
    note = _preemption_note(pod, count, Counter({NOT_HELPFUL: count}))
    return f"0/{count} nodes are available: {problem}. {note}"


def _preemption_note(pod: Manifest, count: int, reasons: Counter[str]) -> str:
    if pod["spec"].get("preemptionPolicy") == "Never":
        return "preemption: not eligible due to preemptionPolicy=Never."
    listed = ", ".join(sorted(f"{times} {reason}" for reason, times in reasons.items()))
    return f"preemption: 0/{count} nodes are available: {listed}."
