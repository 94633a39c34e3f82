"""One sync of a CronJob, from start to end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time
from holdfast.controllers.actions import Action, Create, Delete, Emit, Plan, Report, Update
from holdfast.controllers.owners import owner_reference

from .missed import NeverDue, missed, next_in_s
from .schedule import Schedule, parse, zone_named
from .views import CronJob, outcome

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    cron_job: CronJob
    jobs: Sequence[Manifest]
    """Those it controls."""
    others: Sequence[str]
    """Names of the namespace's Jobs that it does not control."""
    is_namespace_terminating: bool
    now: datetime
    zone: tzinfo = UTC
    """Of schedules that name none: the machine's, as kube-controller-manager takes its own."""


def plan(observed: Observed) -> Plan:
    """Takes note of what its Jobs came to, cleans up, and starts the Job that is due (W65-W67)."""
    sync = Sync(observed)
    sync.note_jobs()
    if not observed.cron_job.is_being_deleted:
        sync.clean_up()
        sync.schedule()
    return sync.planned()


class Sync:
    """One plan in the making."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._cron_job = observed.cron_job
        self._now = observed.now
        self._zone = observed.zone
        self._jobs = sorted(observed.jobs, key=_by_start)
        self._active = self._cron_job.active
        self._last_scheduled = self._cron_job.last_scheduled_at
        self._last_success = self._cron_job.status.get("lastSuccessfulTime")
        self._events: list[Action] = []
        self._actions: list[Action] = []
        self._reason = "nothing is due"
        self._again_after_s: float | None = None

    # What became of its Jobs

    def note_jobs(self) -> None:
        listed = {reference.get("uid") for reference in self._active}
        for job in sorted(self._jobs, key=_scheduled_text):
            ended = outcome(job)
            if job["metadata"]["uid"] in listed:
                if ended:
                    self._forget(job)
                    message = f"Saw completed job: {job['metadata']['name']}, condition: {ended}"
                    self._say("Normal", "SawCompletedJob", message)
            elif self._is_new(job):
                self._take_note_of(job, ended)
            elif not ended:
                message = f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}"
                self._say("Warning", "UnexpectedJob", message)
            if ended == "Complete":
                self._note_success(job["status"].get("completionTime"))
        self._note_missing()

    def _is_new(self, job: Manifest) -> bool:
        """Whether it was created for a time that the status does not know of yet."""
        at = _scheduled_at(job)
        if at is None or job["metadata"]["name"] != job_name(self._cron_job, at):
            return False
        return self._last_scheduled is None or at > self._last_scheduled

    def _take_note_of(self, job: Manifest, ended: str) -> None:
        self._last_scheduled = _scheduled_at(job)
        if ended:
            name = job["metadata"]["name"]
            self._say("Normal", "SawCompletedJob", f"Saw completed job: {name}, condition: {ended}")
        else:
            self._active.append(_reference(job))

    def _note_success(self, at: str | None) -> None:
        if at and (not self._last_success or parse_time(at) > parse_time(self._last_success)):
            self._last_success = at

    def _note_missing(self) -> None:
        present = {job["metadata"]["uid"] for job in self._jobs}
        for reference in [each for each in self._active if each.get("uid") not in present]:
            self._say("Normal", "MissingJob", f"Active job went missing: {reference.get('name')}")
            self._active.remove(reference)

    def clean_up(self) -> None:
        """Of the Jobs that ended only the latest are kept. One that status does not know of yet is not touched."""
        for kind in ("Complete", "Failed"):
            limit = self._cron_job.history_limit(of_success=kind == "Complete")
            ended = [job for job in self._jobs if outcome(job) == kind]
            if limit is not None and len(ended) > limit:
                known = [job for job in ended[: len(ended) - limit] if self._is_known(job)]
                self._actions += [self._delete(job) for job in known if "deletionTimestamp" not in job["metadata"]]

    def _is_known(self, job: Manifest) -> bool:
        at, last = _scheduled_at(job), self._cron_job.last_scheduled_at
        return at is None or (last is not None and at <= last)

    # What is due

    def schedule(self) -> None:
        schedule = self._read_schedule()
        if schedule is None:
            return
        due = self._due(schedule)
        since = self._last_scheduled or self._cron_job.created_at
        if due is not None and self._may_start(due):
            since = due
            self._start(due)
        self._again_after_s = next_in_s(schedule, since, self._now)

    def _read_schedule(self) -> Schedule | None:
        """None if there is nothing to go by, until the spec changes."""
        cron_job = self._cron_job
        try:
            zone = zone_named(cron_job.time_zone) if cron_job.time_zone else self._zone
        except (ValueError, OSError) as error:
            self._say("Warning", "UnknownTimeZone", f'invalid timeZone: "{cron_job.time_zone}": {error}')
            return None
        if cron_job.is_suspended:
            self._reason = "suspended"
            return None
        try:
            return parse(cron_job.schedule, zone)
        except ValueError as error:
            message = f'unparseable schedule: "{cron_job.schedule}" : {error}'
            self._say("Warning", "UnparseableSchedule", message)
            return None

    def _due(self, schedule: Schedule) -> datetime | None:
        since, deadline_s = self._last_scheduled or self._cron_job.created_at, self._cron_job.starting_deadline_s
        in_time = since if deadline_s is None else max(since, self._now - timedelta(seconds=deadline_s))
        try:
            found = missed(schedule, since, self._now)
            are_many = found.latest is not None and missed(schedule, in_time, self._now).are_many
        except NeverDue as error:
            self._say("Warning", "InvalidSchedule", f"invalid schedule: {self._cron_job.schedule} : {error}")
            return None
        if are_many:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._say("Warning", "TooManyMissedTimes", message)
        return found.latest

    def _may_start(self, due: datetime) -> bool:
        cron_job, deadline_s = self._cron_job, self._cron_job.starting_deadline_s
        name = job_name(cron_job, due)
        if deadline_s is not None and due + timedelta(seconds=deadline_s) < self._now:
            at = due.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S %z")
            self._say("Warning", "MissSchedule", f"Missed scheduled time to start a job: {at}")
            return False
        if due == self._last_scheduled or any(each.get("name") == name for each in self._active):
            return False
        if any(job["metadata"]["name"] == name for job in self._jobs):
            self._last_scheduled = due  # a time in the same minute, which has had its job
            return False
        if self._observed.is_namespace_terminating or name in self._observed.others:
            return False
        if cron_job.concurrency == "Forbid" and self._active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._say("Normal", "JobAlreadyActive", message)
            return False
        return True

    def _start(self, due: datetime) -> None:
        self._reason = f"{format_time(due)} is due"
        if self._cron_job.concurrency == "Replace":
            running = {reference.get("uid") for reference in self._active}
            replaced = [job for job in self._jobs if job["metadata"]["uid"] in running]
            for job in replaced:
                self._forget(job)
            self._actions += [self._delete(job) for job in replaced]
        self._actions.append(
            Create(
                JOBS,
                build_job(self._cron_job, due, zone_named(self._cron_job.time_zone)),
                may_exist=True,
                on_success=Report("Normal", "SuccessfulCreate", "Created job {name}"),
                on_failure=Report("Warning", "FailedCreate", "Error creating job: {error}"),
            )
        )

    # The plan

    def planned(self) -> Plan:
        status: dict[str, Any] = {
            "active": self._active,
            "lastScheduleTime": format_time(self._last_scheduled) if self._last_scheduled else None,
            "lastSuccessfulTime": self._last_success,
        }
        status = {name: value for name, value in status.items() if value}
        write = None
        if status != self._cron_job.status:
            write = Update(CRON_JOBS, {**self._cron_job.manifest, "status": status}, subresource="status")
        return Plan(
            self._reason,
            actions=[*self._events, *self._actions],
            status=write,
            subject=self._cron_job.manifest,
            again_after_s=self._again_after_s,
        )

    def _say(self, type: str, reason: str, message: str) -> None:
        self._events.append(Emit(Report(type, reason, message)))

    def _forget(self, job: Manifest) -> None:
        uid = job["metadata"]["uid"]
        self._active = [reference for reference in self._active if reference.get("uid") != uid]

    def _delete(self, job: Manifest) -> Delete:
        metadata = job["metadata"]
        return Delete(
            JOBS,
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            propagation="Background",
            on_success=Report("Normal", "SuccessfulDelete", f"Deleted job {metadata['name']}"),
            on_failure=Report("Warning", "FailedDelete", "Deleted job: {error}"),
        )


def job_name(cron_job: CronJob, at: datetime) -> str:
    """By the minutes since 1970: one name for one time (W66)."""
    return f"{cron_job.name}-{int(at.timestamp()) // 60}"


def build_job(cron_job: CronJob, at: datetime, zone: tzinfo) -> Manifest:
    """The Job for that time, which it carries as the zone's clock shows it."""
    template = cron_job.template
    metadata = template.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), SCHEDULED_AT: _show(at.astimezone(zone))}
    made: dict[str, Any] = {
        "name": job_name(cron_job, at),
        "namespace": cron_job.namespace,
        "annotations": annotations,
        "ownerReferences": [owner_reference(CRON_JOBS, cron_job.manifest)],
    }
    if metadata.get("labels"):
        made["labels"] = metadata["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": template.get("spec") or {}}


def _show(moment: datetime) -> str:
    text = moment.isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _scheduled_text(job: Manifest) -> tuple[str, str]:
    at = _scheduled_at(job)
    return format_time(at) if at else "", job["metadata"]["name"]


def _scheduled_at(job: Manifest) -> datetime | None:
    text = (job["metadata"].get("annotations") or {}).get(SCHEDULED_AT, "")
    try:
        return parse_time(text)
    except ValueError:
        return None


def _reference(job: Manifest) -> Manifest:
    metadata = job["metadata"]
    reference = {name: metadata[name] for name in ("name", "namespace", "resourceVersion", "uid") if name in metadata}
    return {"apiVersion": JOBS.api_version, "kind": JOBS.kind, **reference}


def _by_start(job: Manifest) -> tuple[bool, str, str]:
    """The oldest first; what never started last."""
    started = (job.get("status") or {}).get("startTime") or ""
    return not started, started, job["metadata"]["name"]
