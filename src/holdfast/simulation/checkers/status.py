"""A set's status says what was seen (chapter 9)."""

from __future__ import annotations

from holdfast.api.resource import Manifest
from holdfast.simulation.observation import Facts, Observation

from .moments import CONTROLLER, Moment, moments


class StatusIsHonest:
    """Status is what its set and its pods were at one moment that could be seen, and `observedGeneration` the
    generation of then (DESIGN 4.5, S126-S135)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.new is None or seen.kind != "StatefulSet":
            return ""
        status: Manifest = seen.new.get("status") or {}
        observed, generation = status.get("observedGeneration", 0), seen.new["metadata"].get("generation", 0)
        if observed > generation:
            return f"{seen.key} observed generation {observed} of {generation}"
        if seen.by != CONTROLLER or seen.old is None or status == (seen.old.get("status") or {}):
            return ""
        reasons: list[str] = []
        for moment in moments(seen, facts, seen.key):
            reason = _why_dishonest(moment, status, facts)
            if not reason:
                return ""
            reasons.append(reason)
        return f"{seen.key} claims {reasons[0]}" if reasons else ""


def _why_dishonest(moment: Moment, status: Manifest, facts: Facts) -> str:
    statefulset, pods = moment.set, [pod for pod in moment.pods.values() if pod.is_created]
    staying = [pod for pod in pods if not pod.is_terminating]
    if status.get("observedGeneration", 0) != statefulset.generation:
        return f"generation {status.get('observedGeneration')}, it was {statefulset.generation}"
    update, current = status.get("updateRevision", ""), status.get("currentRevision", "")
    if not (statefulset.is_being_deleted or moment.revisions.may_be(update, statefulset.template)):  # S7
        return f"update revision {update}, which is not of the template"
    counts = {
        "replicas": len(pods),
        "readyReplicas": sum(pod.is_ready for pod in pods),
        "updatedReplicas": sum(pod.revision == update for pod in staying),
    }
    for name, count in counts.items():
        if status.get(name, 0) != count:
            return f"{name} {status.get(name, 0)}, there were {count}"
    if not _least_available(moment, facts) <= status.get("availableReplicas", 0) <= _available(moment, 0):
        return f"availableReplicas {status.get('availableReplicas', 0)}, there were {_available(moment, 0)}"
    return _why_not_current(moment, status, current, sum(pod.revision == current for pod in staying))


def _why_not_current(moment: Moment, status: Manifest, current: str, count: int) -> str:
    """The current revision stays until all is updated (S78, S133); one pod may be on its way to the update (S96)."""
    statefulset, before = moment.set, str(moment.set.status.get("currentRevision") or "")
    claimed = status.get("currentReplicas", 0)
    is_complete = not statefulset.is_updated_by_deletion and all(
        status.get(name, 0) == statefulset.replicas for name in ("replicas", "readyReplicas", "updatedReplicas")
    )
    if current != before and not (
        current == status.get("updateRevision") and (is_complete or moment.revisions.may_be_missing(before))
    ):
        return f"current revision {current}, it was {before}"
    if is_complete and current != status.get("updateRevision"):
        return f"current revision {current} although all was updated"
    if claimed not in (count, count - 1):
        return f"currentReplicas {claimed}, there were {count}"
    return ""


def _available(moment: Moment, ago_s: float) -> int:
    return sum(moment.was_available(pod, ago_s) for pod in moment.pods.values() if pod.is_created)


def _least_available(moment: Moment, facts: Facts) -> int:
    """What time alone made available since may not have been counted."""
    return _available(moment, facts.acting_s)
