"""What a budget's status says of its pods, and what becomes of marks that nothing followed (W75, W76).

Source: Kubernetes, pkg/controller/disruption/disruption.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api import conditions
from holdfast.api.core.pod import PODS
from holdfast.api.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS, with_condition
from holdfast.api.resource import Manifest
from holdfast.api.selectors import go_text
from holdfast.api.times import format_time, parse_time
from holdfast.controllers.actions import Action, Emit, Patch, Plan, Report, Update

from .expected import Defined, Expected, Lookup, Uncountable, expected_pods, none_defined

DELETION_WITHIN_S = 120
"""A pod that was to be evicted and is still there after this time is counted again."""
SOONEST_S = 0.1

STRATEGIC = "application/strategic-merge-patch+json"
DISRUPTION = "DisruptionTarget"


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision about a budget reads."""

    budget: Manifest
    pods: Sequence[Manifest]
    """Those it selects, in any order."""
    lookup: Lookup
    now: datetime
    defined: Defined = none_defined


@dataclass(frozen=True, slots=True)
class Wanted:
    expected: int
    healthy: int
    unmanaged: Sequence[str] = ()


def plan(observed: Observed) -> Plan:
    """The status as it should be, and events about what is odd."""
    budget = observed.budget
    actions: list[Action] = []
    if not observed.pods:
        actions.append(Emit(Report("Normal", "NoPods", "No matching pods found")))
    try:
        wanted = _wanted(observed)
    except Uncountable as error:
        failed = f"Failed to calculate the number of expected pods: {error}"
        actions.append(Emit(Report("Warning", "CalculateExpectedPodCountFailed", failed)))
        status = _failed(observed, str(error))
        return Plan("its pods cannot be counted", actions, _write(budget, status), subject=budget)
    if wanted.unmanaged:
        actions.append(Emit(Report("Warning", "UnmanagedPods", _unmanaged(budget))))
    disrupted = _disrupted(observed, actions)
    status = _status(observed, wanted, disrupted)
    reason = f"{status['currentHealthy']} healthy, {status['desiredHealthy']} needed"
    return Plan(reason, actions, _write(budget, status), subject=budget, again_after_s=_recheck(observed, disrupted))


def _wanted(observed: Observed) -> Wanted:
    spec = observed.budget["spec"]
    if "maxUnavailable" in spec:
        expected = expected_pods(observed.pods, observed.lookup, observed.defined)
        most = _scaled(spec["maxUnavailable"], expected)
        return Wanted(expected.count, max(0, expected.count - most), expected.unmanaged)
    least = spec.get("minAvailable")
    if isinstance(least, int):
        return Wanted(len(observed.pods), least)
    if least is None:
        return Wanted(0, 0)
    expected = expected_pods(observed.pods, observed.lookup, observed.defined)
    return Wanted(expected.count, _scaled(least, expected), expected.unmanaged)


def _scaled(value: int | str, expected: Expected) -> int:
    """A number, or a percentage of what is expected, rounded up."""
    if isinstance(value, int):
        return value
    return -(-expected.count * int(value[:-1]) // 100)


def _disrupted(observed: Observed, actions: list[Action]) -> dict[str, str]:
    """Evictions that were granted and are to be seen yet; one that did not come in time is reported and forgotten."""
    granted: Mapping[str, str] = (observed.budget.get("status") or {}).get("disruptedPods") or {}
    metadata = observed.budget["metadata"]
    waiting = {}
    for pod in observed.pods:
        name = pod["metadata"]["name"]
        if not granted.get(name) or conditions.is_terminating(pod):
            continue
        if _expiry(granted[name]) < observed.now:
            message = f"Pod was expected by PDB {metadata['namespace']}/{metadata['name']} to be deleted but it wasn't"
            actions.append(Emit(Report("Warning", "NotDeleted", message, pod)))
        else:
            waiting[name] = granted[name]
    return waiting


def _expiry(granted: str) -> datetime:
    return parse_time(granted) + timedelta(seconds=DELETION_WITHIN_S)


def _recheck(observed: Observed, disrupted: Mapping[str, str]) -> float | None:
    if not disrupted:
        return None
    first = min(map(_expiry, disrupted.values()))
    return max((first - observed.now).total_seconds(), 0) + SOONEST_S


def _status(observed: Observed, wanted: Wanted, disrupted: Mapping[str, str]) -> Manifest:
    """Nothing may be disrupted where nothing is expected: the first pods may have come a moment ago."""
    budget = observed.budget
    healthy = sum(
        conditions.is_ready(pod) and not conditions.is_terminating(pod) and pod["metadata"]["name"] not in disrupted
        for pod in observed.pods
    )
    allowed = max(0, healthy - wanted.healthy) if wanted.expected > 0 else 0
    status = {
        **({"disruptedPods": dict(disrupted)} if disrupted else {}),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": wanted.healthy,
        "expectedPods": wanted.expected,
        **_generation(budget["metadata"].get("generation")),
        "conditions": (budget.get("status") or {}).get("conditions") or [],
    }
    return with_condition(status, format_time(observed.now))


def _generation(generation: int | None) -> Manifest:
    return {"observedGeneration": generation} if generation else {}


def _failed(observed: Observed, error: str) -> Manifest:
    """Nothing is to be disrupted as long as nobody knows how many pods there should be."""
    status = {**(observed.budget.get("status") or {}), "disruptionsAllowed": 0}
    return with_condition(status, format_time(observed.now), reason="SyncFailed", message=error)


def _write(budget: Manifest, status: Manifest) -> Update | None:
    """Conditional on what was seen: an eviction may have been granted meanwhile (W123)."""
    if status == budget.get("status"):
        return None
    return Update(POD_DISRUPTION_BUDGETS, {**budget, "status": status}, "status")


def _unmanaged(budget: Manifest) -> str:
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {go_text(budget['spec'].get('selector') or {})}) were "
        "found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in "
        'undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer '
        "value."
    )


def is_marked(pod: Manifest) -> bool:
    """Whether it is said to be about to be disrupted and is not; a node agent may take its time (N33)."""
    mark = conditions.condition(pod, DISRUPTION)
    if mark is None or mark.get("status") != "True" or mark.get("reason") == "TerminationByKubelet":
        return False
    return not conditions.is_terminating(pod) and not conditions.is_finished(pod)


@dataclass(frozen=True, slots=True)
class ObservedMark:
    """A pod that may be marked."""

    pod: Manifest
    now: datetime


def plan_mark(observed: ObservedMark) -> Plan:
    """Takes back the mark of a disruption that has not come."""
    pod, now = observed.pod, observed.now
    mark = conditions.condition(pod, DISRUPTION) if is_marked(pod) else None
    if mark is None:
        return Plan("not marked", subject=pod)
    since = mark.get("lastTransitionTime")
    left_s = (parse_time(since) - now).total_seconds() + DELETION_WITHIN_S if since else 0
    if left_s > 0:
        return Plan("about to be disrupted", subject=pod, again_after_s=max(left_s, SOONEST_S))
    metadata = pod["metadata"]
    unmarked = {
        "type": DISRUPTION,
        "status": "False",
        "reason": None,
        "message": None,
        "lastTransitionTime": format_time(now),
    }
    lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    patch = {"metadata": lock, "status": {"conditions": [unmarked]}}
    write = Patch(PODS, metadata["namespace"], metadata["name"], patch, STRATEGIC, "status")
    return Plan("was not disrupted after all", [write], subject=pod)
