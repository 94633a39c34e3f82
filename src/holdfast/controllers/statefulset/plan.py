"""One sync of a StatefulSet, from start to end (chapter 1). Pure."""

from __future__ import annotations

from holdfast.controllers.actions import Action, Plan
from holdfast.controllers.revisions import delete

from . import ordering, ownership, revisions, status, update, writes
from .observed import Observed
from .replicas import Replicas
from .revisions import History
from .status import Status


def plan(observed: Observed) -> Plan:
    """What to do now for the set; nothing if all is as wanted (S2-S14)."""
    statefulset = observed.statefulset
    if statefulset.selector.matches_nothing:
        return Plan("the selector cannot be understood")
    claimed = ownership.claim(statefulset, observed.others, observed.revisions)
    replicas = observed.replicas.with_pods(claimed.pods) if claimed.pods else observed.replicas
    history = revisions.decide(statefulset, observed.revisions, observed.revision_named)
    counted = status.count(replicas, history)
    reason, actions = "being deleted", list[Action]()
    if not statefulset.is_being_deleted:
        reason, actions, counted = work(observed, replicas, history, counted)
    counted = status.completed(statefulset, counted)
    is_on_the_way = bool(actions or replicas.unfit or replicas.condemned)
    return Plan(
        reason=reason or "all as wanted",
        before=() if statefulset.is_being_deleted else (*claimed.before, *history.before),
        actions=actions,
        status=status.write(statefulset, counted, history.collisions),
        status_may_wait=is_on_the_way and status.only_counts(statefulset, counted),
        cleanup=trim(observed, {*replicas.labels, *(pod.revision for pod in claimed.pods)}, history),
        again_after_s=next_available_in_s(replicas),
        subject=statefulset.manifest,
    )


def work(observed: Observed, replicas: Replicas, history: History, counted: Status) -> tuple[str, list[Action], Status]:
    """Slots, then surplus pods, then the update; whatever waits ends it in an ordered set (S8-S11, S47)."""
    slots = ordering.plan_slots(observed, replicas, history)
    if slots.ends_here:
        return slots.reason, [*slots.actions], counted
    condemned = ordering.plan_condemned(observed, replicas)
    reasons, actions = [slots.reason, condemned.reason], [*slots.actions, *condemned.actions]
    if not condemned.ends_here and not observed.statefulset.is_updated_by_deletion:
        outdated, reason = update.next_outdated(observed.statefulset, replicas, history)
        reasons.append(reason)
        if outdated is not None:
            actions.append(writes.delete_pod(observed.statefulset, outdated))
            if outdated.revision == history.current_name:
                counted = counted.without_one_current()
    return ", ".join(reason for reason in reasons if reason), actions, counted


def trim(observed: Observed, of_pods: set[str], history: History) -> list[Action]:
    """Deletes the oldest revisions beyond the limit that no pod, and no update, stands on (S84, S85)."""
    live = {history.current_name, history.update_name} | of_pods
    return [delete(revision) for revision in revisions.superfluous(observed.statefulset, observed.revisions, live)]


def next_available_in_s(replicas: Replicas) -> float | None:
    """When the next ready pod becomes available; of a pod of which that is not known, at the latest by then (S14)."""
    min_ready_s = replicas.statefulset.min_ready_s
    if min_ready_s == 0 or replicas.ready == replicas.available:
        return None
    wait_s = replicas.next_available_in_s()
    return float(min_ready_s) if wait_s is None else min(wait_s, float(min_ready_s))
