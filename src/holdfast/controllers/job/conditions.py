"""Conditions of a Job (W53, W54, W56)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time

SUCCESS_CRITERIA_MET, COMPLETE = "SuccessCriteriaMet", "Complete"
FAILURE_TARGET, FAILED = "FailureTarget", "Failed"
SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the Job ends. First it is announced, and holds from then on; it is final when every pod is counted."""

    is_success: bool
    reason: str
    message: str

    @property
    def announcement(self) -> str:
        return SUCCESS_CRITERIA_MET if self.is_success else FAILURE_TARGET

    @property
    def end(self) -> str:
        return COMPLETE if self.is_success else FAILED


def announced(conditions: Sequence[Manifest]) -> Verdict | None:
    """The verdict that stands already."""
    for kind in (SUCCESS_CRITERIA_MET, FAILURE_TARGET):
        for each in conditions:
            if each["type"] == kind and each["status"] == "True":
                return Verdict(kind == SUCCESS_CRITERIA_MET, each.get("reason", ""), each.get("message", ""))
    return None


def with_condition(
    conditions: Sequence[Manifest], kind: str, reason: str, message: str, now: datetime, status: str = "True"
) -> list[Any]:
    """The conditions with this one in them. One that says the same stays as it is.

    False is not said of what never was.
    """
    at = format_time(now)
    wanted = {
        "type": kind,
        "status": status,
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }
    present = next((each for each in conditions if each["type"] == kind), None)
    if present is None:
        return [*conditions, wanted] if status != "False" else list(conditions)
    if all(present.get(name) == wanted[name] for name in ("status", "reason", "message")):
        return list(conditions)
    return [wanted if each is present else each for each in conditions]
