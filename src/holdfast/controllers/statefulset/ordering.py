"""What happens per slot, and to the pods beyond (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.controllers.actions import Action, Waves

from . import claims, identity, revisions, update, writes
from .revisions import History
from .views import Observed, Pod, StatefulSet


@dataclass(frozen=True, slots=True)
class Replicas:
    """The claimed pods, distributed (S6)."""

    slots: Mapping[int, Pod]
    condemned: Sequence[Pod]
    """Pods outside the slots, from the highest ordinal down."""

    @property
    def pods(self) -> Iterable[Pod]:
        """All that is counted."""
        return (*self.slots.values(), *self.condemned)


def distribute(statefulset: StatefulSet, pods: Iterable[Pod]) -> Replicas:
    """Pods whose ordinal does not parse are in neither list."""
    slots: dict[int, Pod] = {}
    condemned: list[tuple[int, Pod]] = []
    for pod in pods:
        ordinal = pod.ordinal
        if ordinal is None:
            continue
        if ordinal not in statefulset.slots:
            condemned.append((ordinal, pod))
        elif ordinal not in slots or pod.name == identity.pod_name(statefulset, ordinal):
            slots[ordinal] = pod
    condemned.sort(key=lambda entry: entry[0], reverse=True)
    return Replicas(slots, [pod for _, pod in condemned])


@dataclass(frozen=True, slots=True)
class Work:
    """What to do now, and whether something has to happen first before anything else may be done."""

    actions: Sequence[Action] = ()
    reason: str = ""
    ends_here: bool = False


def plan_slot(observed: Observed, ordinal: int, pod: Pod | None, history: History) -> Work:
    """One slot, the steps of S41 in order; `ends_here` counts in ordered sets only."""
    statefulset = observed.statefulset
    if pod is None or not pod.is_created:
        return _fill(observed, ordinal, history)
    if pod.has_ended:
        if pod.is_terminating:
            return Work(reason=f"waiting for pod {ordinal}, which has ended, to leave", ends_here=True)
        return Work([writes.delete_pod(statefulset, pod)], f"pod {ordinal} has ended", ends_here=True)
    pending = writes.complete_claims(observed, ordinal, pod) if pod.is_pending else []
    if statefulset.is_ordered and (waits := _wait_reason(observed, ordinal, pod)):
        return Work(pending, waits, ends_here=True)
    repair = writes.repair_pod(observed, ordinal, pod)
    reason = f"pod {ordinal} is not as it should be" if repair else f"pod {ordinal} waits for its claims"
    return Work([*pending, *repair], reason if pending or repair else "")


def _fill(observed: Observed, ordinal: int, history: History) -> Work:
    statefulset = observed.statefulset
    name = identity.pod_name(statefulset, ordinal)
    if statefulset.deletes_claims_when_scaled:
        for claim_name in claims.claim_names(statefulset, ordinal):
            claim = observed.claim_named(claim_name)
            if claim is not None and claims.is_on_its_way_out(claim, name):
                return Work(reason=f"waiting for claim {claim_name} of an earlier pod {ordinal} to go", ends_here=True)
    revision = update.revision_for(statefulset, ordinal, history)
    actions = writes.create_pod(observed, ordinal, revisions.template_of(revision), revisions.name_of(revision))
    return Work(actions, f"pod {ordinal} is missing", ends_here=True)


def _wait_reason(observed: Observed, ordinal: int, pod: Pod) -> str:
    """Why nothing further may happen in an ordered set; empty if nothing hinders (S41.4-6)."""
    if pod.is_terminating:
        return f"waiting for pod {ordinal} to leave"
    if not pod.is_ready:
        return f"waiting for pod {ordinal} to be ready"
    if not pod.is_available(observed.statefulset.min_ready_s, observed.now):
        return f"waiting for pod {ordinal} to be available"
    return ""


def plan_slots(observed: Observed, replicas: Replicas, history: History) -> Work:
    """All slots: ordered from the first up to the one that acts or waits, parallel all of them, in waves (S45, S46)."""
    if not observed.statefulset.is_ordered:
        works = [
            plan_slot(observed, ordinal, replicas.slots.get(ordinal), history) for ordinal in observed.statefulset.slots
        ]
        return _together(works)
    actions: list[Action] = []
    reasons: list[str] = []
    for ordinal in observed.statefulset.slots:
        work = plan_slot(observed, ordinal, replicas.slots.get(ordinal), history)
        actions += work.actions
        reasons += [work.reason] if work.reason else []
        if work.ends_here:
            return Work(actions, ", ".join(reasons), ends_here=True)
    return Work(actions, ", ".join(reasons))


def plan_condemned(observed: Observed, replicas: Replicas) -> Work:
    """Pods beyond the slots: first the owners of all their claims, then the pods, highest first (S43-S46, S56)."""
    statefulset = observed.statefulset
    owning = [writes.condemn_claims(observed, pod.ordinal or 0, pod) for pod in replicas.condemned]
    if not statefulset.is_ordered:
        deletions = [
            Work([writes.delete_pod(statefulset, pod)]) for pod in replicas.condemned if not pod.is_terminating
        ]
        first, then = _together([Work(actions) for actions in owning]), _together(deletions)
        reason = f"{len(deletions)} pods are surplus" if deletions else ""
        return Work([*first.actions, *then.actions], reason)
    actions: list[Action] = [action for actions in owning for action in actions]
    if not replicas.condemned:
        return Work()
    work = _next_condemned(observed, replicas.condemned)
    return Work([*actions, *work.actions], work.reason, ends_here=True)


def _next_condemned(observed: Observed, condemned: Sequence[Pod]) -> Work:
    """One at a time, from the top, each gone before the next; of the broken ones only the lowest may go (S43, S44)."""
    statefulset, now = observed.statefulset, observed.now
    highest = condemned[0]
    if highest.is_terminating:
        return Work(reason=f"waiting for surplus pod {highest.ordinal} to leave")
    if not highest.is_available(statefulset.min_ready_s, now):
        broken = [pod for pod in condemned if pod.is_unavailable(statefulset.min_ready_s, now)]
        if broken[-1] is not highest:
            return Work(reason=f"surplus pod {highest.ordinal} is not available, and {broken[-1].ordinal} is neither")
    return Work([writes.delete_pod(statefulset, highest)], f"pod {highest.ordinal} is surplus")


def _together(works: Sequence[Work]) -> Work:
    lists = [work.actions for work in works if work.actions]
    reasons = [work.reason for work in works if work.reason]
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return Work([Waves(lists)] if lists else [], ", ".join(reasons[:3]) + more)
