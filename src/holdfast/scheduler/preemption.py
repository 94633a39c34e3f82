"""Which pods make room for one of a higher priority, and on which node (N227). Pure.

Source: Kubernetes, pkg/scheduler/framework/preemption and plugins/defaultpreemption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest
from holdfast.api.times import parse_time

from .filters import Objection
from .view import ClusterView, NodeView, priority_of

NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
BY_SCHEDULER = "PreemptionByScheduler"

Objects = Callable[[NodeView], Objection | None]
"""What is in the pod's way on a node as it would be then."""


@dataclass(frozen=True, slots=True)
class Preemption:
    """The pods of the node that are to go."""

    node: str
    victims: tuple[Manifest, ...]
    violations: int = 0
    """How many of them their budgets would keep."""


def waits_for_victims(pod: Manifest, nominated: NodeView | None) -> bool:
    """Whether pods are on their way out for it already."""
    mine = priority_of(pod)
    return nominated is not None and any(
        other["metadata"].get("deletionTimestamp") and priority_of(other) < mine and _is_preempted(other)
        for other in nominated.pods.values()
    )


def look(
    pod: Manifest, refused: Mapping[str, tuple[NodeView, Objection]], objects: Objects, budgets: Sequence[Manifest]
) -> Preemption | Counter[str]:
    """On nodes that are `refused`, by name; or how often which reason keeps it from helping."""
    reasons: Counter[str] = Counter()
    found: list[Preemption] = []
    for node, objection in refused.values():
        outcome = (NOT_HELPFUL,) if objection.is_final else _on(pod, node, objects, budgets)
        if isinstance(outcome, Preemption):
            found.append(outcome)
        else:
            reasons.update(outcome)
    return min(found, key=_loss) if found else reasons


def _on(pod: Manifest, node: NodeView, objects: Objects, budgets: Sequence[Manifest]) -> Preemption | tuple[str, ...]:
    """Without all lesser pods first; then each that still fits beside it stays, the most important first."""
    mine = priority_of(pod)
    lesser = sorted((each for each in node.pods.values() if priority_of(each) < mine), key=_importance)
    if not lesser:
        return (NO_VICTIMS,)
    there = ClusterView()
    there.set_node(node.name, node.manifest)
    for each in node.pods.values():
        if priority_of(each) >= mine:
            there.assume(each, node.name)
    if objection := objects(there.nodes[0]):
        return objection.reasons
    guarded = _guarded(lesser, budgets)
    victims = []
    for each in sorted(lesser, key=lambda one: one["metadata"]["uid"] not in guarded):
        there.assume(each, node.name)
        if objects(there.nodes[0]):
            there.forget(each)
            victims.append(each)
    violations = sum(each["metadata"]["uid"] in guarded for each in victims)
    return Preemption(node.name, tuple(sorted(victims, key=_importance)), violations)


def _guarded(pods: Iterable[Manifest], budgets: Sequence[Manifest]) -> set[str]:
    """The uids of those that their budgets would keep, if all were to go in this order."""
    left = [(budget.get("status") or {}).get("disruptionsAllowed", 0) for budget in budgets]
    guarded = set()
    for pod in pods:
        for i, budget in enumerate(budgets):
            if _covers(budget, pod):
                left[i] -= 1
                if left[i] < 0:
                    guarded.add(pod["metadata"]["uid"])
    return guarded


def _covers(budget: Manifest, pod: Manifest) -> bool:
    metadata, selector = pod["metadata"], budget["spec"].get("selector")
    is_counted = metadata["name"] in ((budget.get("status") or {}).get("disruptedPods") or {})
    if not selector or is_counted or budget["metadata"]["namespace"] != metadata["namespace"]:
        return False
    return selector_from_manifest(selector).matches(metadata.get("labels"))


def _loss(preemption: Preemption) -> tuple[float, ...]:
    """What is lost on the node; of equals, those go that have run the least."""
    victims = preemption.victims
    highest = max(map(priority_of, victims))
    longest = min(_start(each) for each in victims if priority_of(each) == highest)
    total = sum(priority_of(each) + (1 << 31) for each in victims)
    return preemption.violations, highest, total, len(victims), -longest


def _importance(pod: Manifest) -> tuple[float, float]:
    return -priority_of(pod), _start(pod)


def _start(pod: Manifest) -> float:
    start = (pod.get("status") or {}).get("startTime")
    return parse_time(start).timestamp() if start else float("inf")


def _is_preempted(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "DisruptionTarget" and each.get("reason") == BY_SCHEDULER for each in conditions)
