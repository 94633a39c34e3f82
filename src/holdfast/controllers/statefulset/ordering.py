"""What happens per slot, and to the pods beyond (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Waves
from holdfast.controllers.revisions import name_of, template_of

from . import claims, growth, identity, pause, update, writes
from .observed import Observed
from .replicas import Replicas
from .revisions import History
from .views import Pod

MOST_SLOTS = 5000
"""So many slots of a parallel set are planned in one sync; what was written wakes the set for the rest."""


@dataclass(frozen=True, slots=True)
class Work:
    """What to do now, and whether something has to happen first before anything else may be done."""

    actions: Sequence[Action] = ()
    reason: str = ""
    ends_here: bool = False
    updated: Sequence[Pod] = ()
    """The pods that go to come back in another revision."""
    is_growing: bool = False
    """It is claims that grow, or are waited for to do so."""


def plan_slot(observed: Observed, replicas: Replicas, ordinal: int, history: History) -> Work:
    """One slot, the steps of S41 in order; `ends_here` counts in ordered sets only."""
    statefulset, pod = observed.statefulset, replicas.get(ordinal)
    if pod is None or not pod.is_created:
        return _fill(observed, ordinal, history)
    if pod.has_ended:
        if pod.is_terminating:
            return Work(reason=f"waiting for pod {ordinal}, which has ended, to leave", ends_here=True)
        return Work([writes.delete_pod(statefulset, pod)], f"pod {ordinal} has ended", ends_here=True)
    pending = writes.complete_claims(observed, ordinal, pod) if pod.is_pending else []
    if statefulset.is_ordered and (waits := _wait_reason(replicas, ordinal, pod)):
        if update.is_stuck(statefulset, replicas, ordinal, history):
            reason = f"pod {ordinal} is outdated and not ready"
            return Work([writes.delete_pod(statefulset, pod)], reason, ends_here=True, updated=[pod])
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
    revision = _revision_for(observed, ordinal, history)
    actions = writes.create_pod(observed, ordinal, template_of(revision), name_of(revision))
    if statefulset.beyond.grows_claims and statefulset.is_updated_by_deletion:
        actions += growth.grow(observed, ordinal)[0]  # its turn is now; a claim that cannot grow keeps no pod away
    return Work(actions, f"pod {ordinal} is missing", ends_here=True)


def _revision_for(observed: Observed, ordinal: int, history: History) -> Manifest:
    if observed.statefulset.beyond.is_paused:
        return pause.revision_for(observed.statefulset, ordinal, history, observed.revisions)
    if observed.recreates:
        return history.update
    return update.revision_for(observed.statefulset, ordinal, history)


def _wait_reason(replicas: Replicas, ordinal: int, pod: Pod) -> str:
    """Why nothing further may happen in an ordered set; empty if nothing hinders (S41.4-6)."""
    if pod.is_terminating:
        return f"waiting for pod {ordinal} to leave"
    if not pod.is_ready:
        return f"waiting for pod {ordinal} to be ready"
    if not replicas.is_available(ordinal):
        return f"waiting for pod {ordinal} to be available"
    return ""


def plan_slots(observed: Observed, replicas: Replicas, history: History) -> Work:
    """All slots: ordered from the first up to the one that acts or waits, parallel all of them, in waves (S45, S46)."""
    if not observed.statefulset.is_ordered:
        works = (plan_slot(observed, replicas, ordinal, history) for ordinal in replicas.wanting)
        return _together(list(islice((work for work in works if work.actions), MOST_SLOTS)))
    actions: list[Action] = []
    reasons: list[str] = []
    for ordinal in _in_turn(replicas):
        work = plan_slot(observed, replicas, ordinal, history)
        actions += work.actions
        reasons += [work.reason] if work.reason else []
        if work.ends_here:
            return Work(actions, ", ".join(reasons), ends_here=True, updated=work.updated)
    return Work(actions, ", ".join(reasons))


def _in_turn(replicas: Replicas) -> Iterator[int]:
    """The slots of an ordered set that act or wait, from the first on, up to the first that ends the work."""
    stop, first = replicas.unfit.first, replicas.wanting.first
    if first is not None and (stop is None or first < stop):
        yield from (ordinal for ordinal in replicas.wanting if stop is None or ordinal < stop)
    if stop is not None:
        yield stop


def plan_condemned(observed: Observed, replicas: Replicas) -> Work:
    """Pods beyond the slots: first the owners of all their claims, then the pods, highest first (S43-S46, S56)."""
    statefulset = observed.statefulset
    if not replicas.condemned:
        return Work()
    owning = [
        Work(writes.condemn_claims(observed, ordinal, pod))
        for ordinal in replicas.condemned_wanting
        if (pod := replicas.get(ordinal))
    ]
    if not statefulset.is_ordered:
        pods = [pod for ordinal in replicas.condemned if (pod := replicas.get(ordinal)) and not pod.is_terminating]
        deletions = [Work([writes.delete_pod(statefulset, pod)]) for pod in pods]
        reason = f"{len(deletions)} pods are surplus" if deletions else ""
        return Work([*_together(owning).actions, *_together(deletions).actions], reason)
    actions = [action for work in owning for action in work.actions]
    work = _next_condemned(observed, replicas)
    return Work([*actions, *work.actions], work.reason, ends_here=True)


def _next_condemned(observed: Observed, replicas: Replicas) -> Work:
    """One at a time, from the top, each gone before the next; of the broken ones only the lowest may go (S43, S44)."""
    highest = replicas.condemned.first
    pod = replicas.get(highest) if highest is not None else None
    if highest is None or pod is None:
        return Work()
    if pod.is_terminating:
        return Work(reason=f"waiting for surplus pod {highest} to leave")
    lowest_broken = replicas.condemned_unavailable.first
    if lowest_broken != highest and highest in replicas.condemned_unavailable:
        return Work(reason=f"surplus pod {highest} is not available, and {lowest_broken} is neither")
    return Work([writes.delete_pod(observed.statefulset, pod)], f"pod {highest} is surplus")


def _together(works: Sequence[Work]) -> Work:
    lists = [work.actions for work in works if work.actions]
    reasons = [work.reason for work in works if work.reason]
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return Work([Waves(lists)] if lists else [], ", ".join(reasons[:3]) + more)
