"""When the pods of a set come and go (chapters 4 and 7)."""

from __future__ import annotations

from holdfast.api import feature_gates
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET
from holdfast.controllers.statefulset.views import Pod, StatefulSet
from holdfast.simulation.observation import Facts, Observation

from .moments import CONTROLLER, Moment, moments, set_of


class PodsStartInTurn:
    """A pod is made for a slot that is empty, in an ordered set once all lower ones are available, of the revision
    that strategy and partition ask for (S41, S42, S92-S95, S201)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Pod" or seen.old is not None or seen.by != CONTROLLER:
            return ""
        pod, reasons = Pod(seen.manifest), list[str]()
        for moment in moments(seen, facts, set_of(seen.manifest)):
            reason = _why_not_made(moment, pod)
            if not reason:
                return ""
            reasons.append(reason)
        return f"{seen.key} was created {reasons[0] if reasons else 'for no set'}"


def _why_not_made(moment: Moment, pod: Pod) -> str:
    statefulset, ordinal = moment.set, pod.ordinal
    if statefulset.is_being_deleted:
        return "for a set that is being deleted"
    if ordinal is None or ordinal not in statefulset.slots:
        return f"for no slot of {statefulset.slots}"
    if ordinal in moment.pods:
        return "beside the pod that was there"
    unfit = moment.first_unfit
    if statefulset.is_ordered and unfit is not None and unfit < ordinal:
        return f"before {statefulset.name}-{unfit} was available"
    return _why_not_of_revision(moment, ordinal, pod.revision)


def _why_not_of_revision(moment: Moment, ordinal: int, name: str) -> str:
    """Of the current revision below the partition, else of the newest."""
    statefulset = moment.set
    if statefulset.beyond.is_paused:
        return ""  # what it was when the set was paused
    is_new = moment.revisions.may_be(name, statefulset.template)
    current = str(statefulset.status.get("currentRevision") or "")
    staying = statefulset.partition
    if not statefulset.has_partition:
        staying = int(statefulset.status.get("currentReplicas") or 0)
    if statefulset.is_updated_by_deletion or statefulset.slots.index(ordinal) >= staying:
        return "" if is_new else f"of revision {name}, which is not the newest"
    if name == current and moment.revisions.versions(name) != [None]:
        return ""
    return "" if is_new and moment.revisions.may_be_missing(current) else f"of revision {name} instead of {current}"


class PodsStopForAReason:
    """The controller deletes a pod that has ended, one beyond the slots (ordered: the highest, once all slots are
    available and higher ones gone), or one that is outdated: at or above the partition, the highest, one at a time,
    never by OnDelete (S41-S45, S47, S89, S91, S96-S101)."""

    def __init__(self) -> None:
        self._own: dict[str, int] = {}
        """The revision of the newest deletion that the controller must know of, since each was a sync's last act."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Pod" or seen.by != CONTROLLER or not seen.starts_to_go:
            return ""
        key, pod, reasons = set_of(seen.manifest), Pod(seen.manifest), list[str]()
        for moment in moments(seen, facts, key, self._own.get(key, 0)):
            reason = _why_not_deleted(moment, pod)
            if not reason:
                if (moment.set.is_ordered or _is_update(moment, pod)) and not _goes_with_others(moment.set):
                    self._own[key] = seen.revision
                return ""
            reasons.append(reason)
        return f"{seen.key} was deleted {reasons[0] if reasons else 'for no set'}"


def _goes_with_others(statefulset: StatefulSet) -> bool:
    """Whether one sync may delete several pods of an update (S103, docs/beyond.md)."""
    return statefulset.is_recreated or feature_gates.is_enabled(MAX_UNAVAILABLE_STATEFUL_SET)


def _is_update(moment: Moment, pod: Pod) -> bool:
    return pod.ordinal is not None and pod.ordinal in moment.set.slots and not moment.pods[pod.ordinal].has_ended


def _why_not_deleted(moment: Moment, pod: Pod) -> str:
    statefulset, ordinal = moment.set, pod.ordinal
    if statefulset.is_being_deleted:
        return "by a set that is being deleted"
    seen = moment.pods.get(ordinal) if ordinal is not None else None
    if ordinal is None or seen is None or seen.uid != pod.uid:
        return "and was not the set's"
    if seen.is_terminating:
        return "again"
    if ordinal not in statefulset.slots:
        return _why_not_condemned(moment, ordinal) if statefulset.is_ordered else ""
    if seen.has_ended:
        unfit = moment.first_unfit
        waits = statefulset.is_ordered and unfit is not None and unfit < ordinal
        return f"before {statefulset.name}-{unfit} was available" if waits else ""
    return _why_not_updated(moment, ordinal, seen)


def _why_not_condemned(moment: Moment, ordinal: int) -> str:
    """Of an ordered set."""
    name = moment.set.name
    if moment.first_unfit is not None:
        return f"although {name}-{moment.first_unfit} was not available"
    if moment.condemned[0] != ordinal:
        return f"before {name}-{moment.condemned[0]} was gone"
    lowest_broken = next((one for one in reversed(moment.condemned) if not moment.is_fit(one)), None)
    if not moment.is_fit(ordinal) and lowest_broken != ordinal:
        return f"although neither it nor {name}-{lowest_broken} was available"
    return ""


def _why_not_updated(moment: Moment, ordinal: int, pod: Pod) -> str:
    statefulset, name = moment.set, moment.set.name
    if statefulset.is_updated_by_deletion:
        return "for an update that is the user's to make"
    if statefulset.slots.index(ordinal) < statefulset.partition:
        return f"below the partition {statefulset.partition}"
    if not moment.may_be_outdated(pod):
        return "without a reason"
    if statefulset.beyond.is_paused:
        return "for an update although updates are paused"
    if statefulset.is_recreated:
        return ""
    unfit = [one for one in statefulset.slots if one != ordinal and not moment.is_fit(one)]
    if statefulset.beyond.unsticks and not pod.is_ready:
        return ""
    if _goes_with_others(statefulset):
        most = statefulset.max_unavailable
        return f"for an update although {len(unfit)} pods were not available" if len(unfit) >= most else ""
    if statefulset.is_ordered:
        if moment.first_unfit is not None:
            return f"for an update although {name}-{moment.first_unfit} was not available"
        if moment.condemned:
            return f"for an update before {name}-{moment.condemned[0]} was gone"
    for higher in (other for other in statefulset.slots if other > ordinal):
        other = moment.pods.get(higher)
        if other is None or not moment.is_fit(higher) or not moment.may_be_updated(other):
            return f"for an update before {name}-{higher} was updated and available"
    return ""
