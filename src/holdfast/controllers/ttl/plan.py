"""Whether a finished Job is to go. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import condition, is_true
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.controllers.actions import Delete, Plan

SOONEST_S = 0.001
"""A timer that fires a moment early must not find the same moment again and again."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    job: Manifest
    now: datetime


def expires_at(job: Manifest) -> datetime | None:
    """When its time is over; None if it has not finished, or stays for good, or is going already."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None or "deletionTimestamp" in job["metadata"]:
        return None
    for kind in ("Complete", "Failed"):
        if is_true(job, kind):
            finished = (condition(job, kind) or {}).get("lastTransitionTime")
            return parse_time(finished) + timedelta(seconds=seconds) if finished else None
    return None


def plan(observed: Observed) -> Plan:
    """Its pods go with it, and before it. Only as it was seen: somebody may have granted it more time since."""
    job, moment = observed.job, expires_at(observed.job)
    if moment is None:
        return Plan("stays", subject=job)
    left_s = (moment - observed.now).total_seconds()
    if left_s > 0:
        return Plan("its time is not over", subject=job, again_after_s=max(left_s, SOONEST_S))
    metadata = job["metadata"]
    deletion = Delete(
        JOBS,
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        resource_version=metadata["resourceVersion"],
        propagation="Foreground",
    )
    return Plan("its time is over", (deletion,), subject=job)
