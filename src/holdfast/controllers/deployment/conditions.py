"""A Deployment's conditions: reasons, messages, and when they turn (W7, W27, W28)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
PAUSED, RESUMED, TIMED_OUT = "DeploymentPaused", "DeploymentResumed", "ProgressDeadlineExceeded"
COMPLETE, UPDATED = "NewReplicaSetAvailable", "ReplicaSetUpdated"


class Conditions:
    """A list of conditions being worked on; the one set last stands last."""

    def __init__(self, present: Iterable[Manifest], now: datetime) -> None:
        self.list = list(present)
        self._now = now

    def get(self, type: str) -> Manifest | None:
        return next((one for one in self.list if one["type"] == type), None)

    def set(self, type: str, status: str, reason: str, message: str) -> None:
        """Nothing changes if status and reason are as before."""
        present = self.get(type)
        if present is not None and (present["status"], present.get("reason")) == (status, reason):
            return
        self.renew(type, status, reason, message)

    def renew(self, type: str, status: str, reason: str, message: str) -> None:
        """The time of the last update is now, whatever was there before."""
        present = self.get(type)
        moment = format_time(self._now)
        turned = present["lastTransitionTime"] if present is not None and present["status"] == status else moment
        self.remove(type)
        self.list.append(
            {
                "type": type,
                "status": status,
                "lastUpdateTime": moment,
                "lastTransitionTime": turned,
                "reason": reason,
                "message": message,
            }
        )

    def remove(self, type: str) -> None:
        self.list = [one for one in self.list if one["type"] != type]

    def overdue_in_s(self, deadline_s: int) -> float | None:
        """Seconds until a rollout without progress is called stuck; None while there is none to call so."""
        present = self.get(PROGRESSING)
        if present is None or present.get("reason") in (COMPLETE, TIMED_OUT):
            return None
        since = parse_time(present.get("lastUpdateTime") or present["lastTransitionTime"])
        return (since + timedelta(seconds=deadline_s) - self._now).total_seconds()
