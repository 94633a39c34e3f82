"""A set's conditions, where it asks for them, in the words of KEP-2804 (docs/beyond.md).

`Progressing` is about changes under way, `Available` about the pods; the message of either says what is waited for.
A set's conditions have one time only: that of `Progressing` is when it last got on, which its deadline counts from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time

from . import pause
from .observed import Observed
from .ordering import Work
from .replicas import Replicas
from .status import Status
from .views import StatefulSet

AVAILABLE, PROGRESSING = "Available", "Progressing"
COMPLETE, UPDATING, PAUSED, TIMED_OUT = (
    "RolloutComplete",
    "RolloutProgressing",
    "RolloutPaused",
    "ProgressDeadlineExceeded",
)
ENOUGH, TOO_FEW = "AllReplicasAvailable", "ReplicasUnavailable"

OURS = {(AVAILABLE, ENOUGH), (AVAILABLE, TOO_FEW)} | {
    (PROGRESSING, reason) for reason in (COMPLETE, UPDATING, PAUSED, TIMED_OUT)
}
"""Type and reason of those that this controller writes: by these it knows what to take away when they are no longer
asked for, and leaves alone what others wrote (S139)."""


@dataclass(frozen=True, slots=True)
class _Sync:
    """How one sync found the set."""

    statefulset: StatefulSet
    counted: Status
    available: int
    """Slots whose pod is available and stays."""
    reason: str
    """What the plan does or waits for, or else which pod the set is not yet available for."""
    done: Work
    is_settled: bool
    """The pods are those that are wanted, available or not, and nothing is to be done."""
    is_held_back: bool
    """An update is due, and paused."""
    now: datetime


def judge(observed: Observed, replicas: Replicas, counted: Status, done: Work) -> Sequence[Manifest] | None:
    """The conditions to write; None if they are none of our business (S126, S139)."""
    statefulset = observed.statefulset
    present = statefulset.status.get("conditions") or []
    if not statefulset.beyond.has_conditions:
        others = [one for one in present if not _is_ours(one)]
        return others if len(others) < len(present) else None
    sync = _Sync(
        statefulset,
        counted,
        available=statefulset.replicas - len(replicas.unfit),
        reason=done.reason or _unfit(replicas),
        done=done,
        is_settled=not done.actions and _is_settled(statefulset, replicas, counted),
        is_held_back=pause.holds_back(statefulset, replicas, counted.update_revision),
        now=observed.now,
    )
    others = [one for one in present if one["type"] not in (AVAILABLE, PROGRESSING)]
    return [*others, _availability(sync), _progress(sync)]


def _unfit(replicas: Replicas) -> str:
    return "" if replicas.unfit.first is None else f"waiting for pod {replicas.unfit.first} to be available"


def _is_ours(condition: Manifest) -> bool:
    return (condition["type"], condition.get("reason")) in OURS


def _is_settled(statefulset: StatefulSet, replicas: Replicas, counted: Status) -> bool:
    if counted.replicas != statefulset.replicas or replicas.condemned:
        return False
    return statefulset.is_updated_by_deletion or not (replicas.outdated(counted.update_revision) or replicas.not_grown)


def due_in_s(statefulset: StatefulSet, conditions: Sequence[Manifest], now: datetime) -> float | None:
    """Seconds until the lack of progress is a failure; None if nothing is under way, or for ever."""
    deadline_s = statefulset.beyond.progress_deadline_s
    present = _find(conditions, PROGRESSING)
    if deadline_s is None or present is None or present["reason"] != UPDATING:
        return None
    return max(0.0, (_deadline(present, deadline_s) - now).total_seconds())


def with_failure(conditions: Sequence[Manifest] | None) -> list[Manifest] | None:
    """The same for a sync of which an action failed: the runner puts its error into the text. None if none is ours."""
    if not any(map(_is_ours, conditions or ())):
        return None
    return [
        {**one, "message": f"{one['message']}: {{error}}"} if one.get("reason") in (UPDATING, TIMED_OUT) else one
        for one in conditions or ()
    ]


def _availability(sync: _Sync) -> Manifest:
    wanted, available = sync.statefulset.replicas, sync.available
    present = _find(sync.statefulset.status.get("conditions") or (), AVAILABLE)
    message = f"{available} of {wanted} pods are available"
    if available >= wanted:
        return _condition(AVAILABLE, "True", ENOUGH, message, present, sync.now)
    return _condition(AVAILABLE, "False", TOO_FEW, f"{message}: {sync.reason}", present, sync.now)


def _progress(sync: _Sync) -> Manifest:
    statefulset, reason, now = sync.statefulset, sync.reason, sync.now
    present = _find(statefulset.status.get("conditions") or (), PROGRESSING)
    before = present.get("reason") if present is not None else ""
    if sync.is_settled and (sync.available >= statefulset.replicas or before == COMPLETE):
        return _condition(PROGRESSING, "True", COMPLETE, "every pod is as updated as it shall be", present, now)
    if sync.is_held_back:
        return _condition(PROGRESSING, "Unknown", PAUSED, reason, present, now)
    if present is None or before not in (UPDATING, TIMED_OUT) or _got_on(sync, present):
        return _condition(PROGRESSING, "True", UPDATING, reason, None, now)
    deadline_s = statefulset.beyond.progress_deadline_s
    if deadline_s is None:
        return _condition(PROGRESSING, "True", UPDATING, reason, present, now)
    if before == UPDATING and now < _deadline(present, deadline_s):
        return _condition(PROGRESSING, "True", UPDATING, reason, present, now)
    message = f"no progress within {deadline_s} s: {reason}"
    return _condition(PROGRESSING, "False", TIMED_OUT, message, present, now)


def _got_on(sync: _Sync, present: Manifest) -> bool:
    """A pod became ready or available, a surplus one left, the next claim grows; or something else is wanted now."""
    statefulset, after, before = sync.statefulset, sync.counted, sync.statefulset.status
    if int(before.get("observedGeneration") or 0) < statefulset.generation:
        return True
    if sync.done.is_growing and sync.reason not in present.get("message", ""):
        return True
    if statefulset.replicas <= after.replicas < int(before.get("replicas") or 0):
        return True
    ready, available = (int(before.get(name) or 0) for name in ("readyReplicas", "availableReplicas"))
    return after.ready_replicas > ready or after.available_replicas > available


def _condition(type: str, status: str, reason: str, message: str, present: Manifest | None, now: datetime) -> Manifest:
    """`present` gives the time if it has the same status."""
    turned = format_time(now)
    if present is not None and present["status"] == status:
        turned = present.get("lastTransitionTime") or turned
    return {"type": type, "status": status, "lastTransitionTime": turned, "reason": reason, "message": message}


def _deadline(condition: Manifest, deadline_s: int) -> datetime:
    return parse_time(condition["lastTransitionTime"]) + timedelta(seconds=deadline_s)


def _find(conditions: Sequence[Manifest], type: str) -> Manifest | None:
    return next((one for one in conditions if one["type"] == type), None)
