"""One pod, all nodes: where it goes, or why nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from holdfast.api.core import node_affinity
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding

from . import affinity, preemption, volumes
from .filters import FILTERS, Objection, Wanted, first_objection
from .preemption import NOT_HELPFUL, Preemption
from .scores import score
from .view import NodeView
from .volumes import ClaimsOf, Reservation, StorageView

NOT_NAMED = Objection(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), is_final=True)
"""Of nodes that are not looked at, because the pod is for others by name, as daemons are (W40)."""
NEVER_PREEMPTS = "preemption: not eligible due to preemptionPolicy=Never."
WAITS_FOR_VICTIMS = "preemption: not eligible due to a terminating pod on the nominated node."


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
    preemption: Preemption | None = None
    """Who goes so that it can be tried again."""
    keeps_nomination: bool = False
    """Whether it waits for such to be gone."""


Budgets = Callable[[], Sequence[Manifest]]
"""Asked for only where somebody may have to go."""


def decide(
    pod: Manifest,
    nodes: Sequence[NodeView],
    storage: StorageView,
    random: Random,
    preferred: str = "",
    nominated: str = "",
    budgets: Budgets = tuple,
    namespaces: affinity.Namespaces = lambda selector: frozenset(),
) -> Assign | Unschedulable:
    """Filters, then scores; equals are drawn by lot. The `preferred` node wins if it will do, else that where others
    made room for the pod."""
    if not nodes:
        return Unschedulable("no nodes available to schedule pods")
    if node_affinity.named_nodes(pod) == frozenset():
        return Unschedulable(_refused_everywhere("pod affinity terms conflict", pod, len(nodes)))
    claims = volumes.sort_out(pod, storage)
    if isinstance(claims, str):
        return Unschedulable(_refused_everywhere(claims, pod, len(nodes)))
    search = _Search(pod, Wanted.of(pod), nodes, claims, storage, namespaces)
    feasible, refused = search.run()
    if not feasible:
        return _preempt(search, refused, nominated, budgets)
    node = _choose(search, feasible, _wished(claims, preferred or nominated), random)
    reservation = volumes.reserve(claims, node, storage)
    assert reservation is not None  # a filter saw to it
    return Assign(node.name, reservation, bool(claims.delayed))


@dataclass(frozen=True, slots=True)
class _Search:
    """One pod's filters."""

    pod: Manifest
    wanted: Wanted
    nodes: Sequence[NodeView]
    claims: ClaimsOf
    storage: StorageView
    namespaces: affinity.Namespaces

    def run(self) -> tuple[list[NodeView], dict[str, tuple[NodeView, Objection]]]:
        """The nodes that will do, and the others with what is in the way, by name."""
        rules = affinity.gather(self.pod, self.nodes, self.namespaces)
        named = node_affinity.named_nodes(self.pod)
        feasible, refused = [], {}
        for node in self.nodes:
            is_other = named is not None and node.name not in named
            if objection := NOT_NAMED if is_other else self._objection(node, rules):
                refused[node.name] = (node, objection)
            else:
                feasible.append(node)
        return feasible, refused

    def with_changed(self, changed: NodeView) -> Objection | None:
        """What would be in the way on a node if only these pods were on it."""
        nodes = [changed if node.name == changed.name else node for node in self.nodes]
        return self._objection(changed, affinity.gather(self.pod, nodes, self.namespaces))

    def _objection(self, node: NodeView, rules: affinity.PodRules) -> Objection | None:
        return (
            first_objection(self.wanted, node, FILTERS)
            or volumes.objection(self.claims, node, self.storage)
            or rules.objection(node)
        )


def _preempt(
    search: _Search, refused: Mapping[str, tuple[NodeView, Objection]], nominated: str, budgets: Budgets
) -> Unschedulable:
    pod = search.pod
    problem = _problem([objection for _, objection in refused.values()])
    if pod["spec"].get("preemptionPolicy") == "Never":
        return Unschedulable(f"{problem} {NEVER_PREEMPTS}")
    there = next((node for node in search.nodes if node.name == nominated), None)
    if preemption.waits_for_victims(pod, there):
        return Unschedulable(f"{problem} {WAITS_FOR_VICTIMS}", keeps_nomination=True)
    found = preemption.look(pod, refused, search.with_changed, budgets())
    if isinstance(found, Preemption):
        return Unschedulable(problem, found)
    return Unschedulable(f"{problem} {_preemption_note(len(refused), found)}")


def _choose(search: _Search, feasible: Sequence[NodeView], wished: set[str], random: Random) -> NodeView:
    for node in feasible:
        if node.name in wished:
            return node
    if len(feasible) == 1:
        return feasible[0]
    scores = score(search.pod, feasible, search.nodes, search.namespaces)
    best = max(scores.values())
    return random.choice([node for node in feasible if scores[node.name] == best])


def _wished(claims: ClaimsOf, preferred: str) -> set[str]:
    """Nodes that are chosen already: for the pod, or for the volumes that are being made for it."""
    selected = {binding.annotation(claim, binding.SELECTED_NODE) or "" for claim in claims.delayed}
    return {*selected, preferred} - {""}


def _problem(objections: Sequence[Objection]) -> str:
    """N221: counted reasons in the order of their texts."""
    reasons = Counter(reason for objection in objections for reason in objection.reasons)
    return f"0/{len(objections)} nodes are available: {_counted(reasons)}."


def _refused_everywhere(problem: str, pod: Manifest, count: int) -> str:
    is_eligible = pod["spec"].get("preemptionPolicy") != "Never"
    note = _preemption_note(count, Counter({NOT_HELPFUL: count})) if is_eligible else NEVER_PREEMPTS
    return f"0/{count} nodes are available: {problem}. {note}"


def _preemption_note(count: int, reasons: Counter[str]) -> str:
    return f"preemption: 0/{count} nodes are available: {_counted(reasons)}."


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(sorted(f"{times} {reason}" for reason, times in reasons.items()))
