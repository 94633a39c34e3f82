"""A CronJob and its Jobs as the plan reads them."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

from holdfast.api.conditions import is_true
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.controllers.views import Workload


class CronJob(Workload):
    """A CronJob, already defaulted by the API server."""

    @property
    def schedule(self) -> str:
        return str(self.spec.get("schedule") or "")

    @property
    def time_zone(self) -> str:
        return str(self.spec.get("timeZone") or "")

    @property
    def is_suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def concurrency(self) -> str:
        """`Allow`, `Forbid` or `Replace`."""
        return str(self.spec.get("concurrencyPolicy") or "Allow")

    @property
    def starting_deadline_s(self) -> int | None:
        seconds = self.spec.get("startingDeadlineSeconds")
        return None if seconds is None else int(seconds)

    def history_limit(self, *, of_success: bool) -> int | None:
        limit = self.spec.get("successfulJobsHistoryLimit" if of_success else "failedJobsHistoryLimit")
        return None if limit is None else int(limit)

    @property
    def template(self) -> Manifest:
        template: Manifest = self.spec["jobTemplate"]
        return template

    @cached_property
    def created_at(self) -> datetime:
        return parse_time(self.manifest["metadata"]["creationTimestamp"])

    @cached_property
    def last_scheduled_at(self) -> datetime | None:
        moment = self.status.get("lastScheduleTime")
        return parse_time(moment) if moment else None

    @property
    def active(self) -> list[Any]:
        """References to the Jobs that run, as status has them."""
        return list(self.status.get("active") or ())


def outcome(job: Manifest) -> str:
    """`Complete` or `Failed`; empty while it runs."""
    return next((kind for kind in ("Complete", "Failed") if is_true(job, kind)), "")
