"""One sync of a StatefulSet, from start to end (chapter 1). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Plan
from holdfast.controllers.revisions import delete

from . import conditions, growth, ordering, ownership, pause, recreate, revisions, status, update, writes
from .observed import Observed
from .ordering import Work
from .replicas import Replicas
from .revisions import History


def plan(observed: Observed) -> Plan:
    """What to do now for the set; nothing if all is as wanted (S2-S14)."""
    statefulset = observed.statefulset
    if statefulset.selector.matches_nothing:
        return Plan("the selector cannot be understood")
    claimed = ownership.claim(statefulset, observed.others, observed.revisions)
    replicas = observed.replicas.with_pods(claimed.pods) if claimed.pods else observed.replicas
    history = revisions.decide(statefulset, observed.revisions, observed.revision_named)
    done, counted = Work(reason="being deleted"), status.count(replicas, history)
    if not statefulset.is_being_deleted:
        done = work(observed, replicas, history)
    counted = status.completed(statefulset, counted.without(done.updated))
    told = conditions.judge(observed, replicas, counted, done)
    before = (*claimed.before, *history.before, *pause.note(statefulset, replicas))
    is_on_the_way = bool(done.actions or replicas.unfit or replicas.condemned)
    return Plan(
        reason=done.reason or "all as wanted",
        before=() if statefulset.is_being_deleted else before,
        actions=done.actions,
        status=status.write(statefulset, counted, history.collisions, told),
        status_may_wait=is_on_the_way and told is None and status.only_counts(statefulset, counted),
        failed_status=status.write_failed(statefulset, counted, history.collisions, conditions.with_failure(told)),
        cleanup=trim(observed, {*replicas.labels, *(pod.revision for pod in claimed.pods)}, history),
        again_after_s=again_after_s(observed, replicas, told),
        subject=statefulset.manifest,
    )


def work(observed: Observed, replicas: Replicas, history: History) -> Work:
    """Slots, then surplus pods, then the update; whatever waits ends it in an ordered set (S8-S11, S47)."""
    if (recreation := recreate.plan_recreation(observed, replicas, history)).ends_here:
        return recreation
    slots = ordering.plan_slots(observed, replicas, history)
    if slots.ends_here:
        return slots
    works = [slots, ordering.plan_condemned(observed, replicas)]
    if not works[-1].ends_here:
        works.append(plan_update(observed, replicas, history))
    reason = ", ".join(each.reason for each in works if each.reason)
    actions = [action for each in works for action in each.actions]
    return replace(works[-1], actions=actions, reason=reason)


def plan_update(observed: Observed, replicas: Replicas, history: History) -> Work:
    """Pods to replace; where claims grow, a pod's claims before the pod (S96-S103)."""
    statefulset = observed.statefulset
    if statefulset.is_updated_by_deletion:
        return Work()
    if statefulset.beyond.is_paused:
        return Work(reason="updates are paused" if pause.holds_back(statefulset, replicas, history.update_name) else "")
    growing, outdated = replicas.not_grown.first, replicas.highest_not_updated(history.update_name)
    if growing is not None and (outdated is None or growing >= outdated):
        return Work(*growth.grow(observed, growing), is_growing=True)
    pods, reason = update.next_outdated(
        statefulset, replicas, history, in_batches=MAX_UNAVAILABLE_STATEFUL_SET in observed.gates
    )
    pods = [pod for pod in pods if growing is None or (pod.ordinal or 0) > growing]
    return Work([writes.delete_pod(statefulset, pod) for pod in pods], reason, updated=pods)


def trim(observed: Observed, of_pods: set[str], history: History) -> list[Action]:
    """Deletes the oldest revisions beyond the limit that no pod, and no update, stands on (S84, S85)."""
    live = {history.current_name, history.update_name} | of_pods
    live |= {name for _, name in pause.noted(observed.statefulset)}
    return [delete(revision) for revision in revisions.superfluous(observed.statefulset, observed.revisions, live)]


def again_after_s(observed: Observed, replicas: Replicas, told: Sequence[Manifest] | None) -> float | None:
    """When something is due by the passing of time alone: a pod's availability, the end of the set's patience."""
    moments = (
        next_available_in_s(replicas),
        conditions.due_in_s(observed.statefulset, told or (), observed.now),
    )
    return min((moment for moment in moments if moment is not None), default=None)


def next_available_in_s(replicas: Replicas) -> float | None:
    """When the next ready pod becomes available; of a pod of which that is not known, at the latest by then (S14)."""
    min_ready_s = replicas.statefulset.min_ready_s
    if min_ready_s == 0 or replicas.ready == replicas.available:
        return None
    wait_s = replicas.next_available_in_s()
    return float(min_ready_s) if wait_s is None else min(wait_s, float(min_ready_s))
