"""What `kubectl get` shows of Jobs and CronJobs (W57)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.conditions import is_terminating, is_true
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.selectors import selector_from_manifest
from holdfast.api.table import age, human_duration
from holdfast.api.times import parse_time

_CONTAINERS = Column("Containers", priority=1, text="Names of each container in the template.")
_IMAGES = Column("Images", priority=1, text="Images referenced by each container in the template.")
_SELECTOR = Column("Selector", priority=1, documents="batch.v1.JobSpec.selector")

JOB_COLUMNS = (
    NAME,
    Column("Status", text="Status of the job."),
    Column("Completions", documents="batch.v1.JobStatus.succeeded"),
    Column("Duration", text="Time required to complete the job."),
    AGE,
    _CONTAINERS,
    _IMAGES,
    _SELECTOR,
)
CRON_JOB_COLUMNS = (
    NAME,
    Column("Schedule", documents="batch.v1.CronJobSpec.schedule"),
    Column("Timezone", documents="batch.v1.CronJobSpec.timeZone"),
    Column("Suspend", "boolean", documents="batch.v1.CronJobSpec.suspend"),
    Column("Active", "integer", documents="batch.v1.CronJobStatus.active"),
    Column("Last Schedule", documents="batch.v1.CronJobStatus.lastScheduleTime"),
    AGE,
    _CONTAINERS,
    _IMAGES,
    _SELECTOR,
)


def job_cells(job: Manifest, now: datetime) -> list[Any]:
    return [
        job["metadata"]["name"],
        _status(job),
        _completions(job),
        _duration(job.get("status", {}), now),
        age(job["metadata"].get("creationTimestamp"), now),
        *_template(job["spec"]),
    ]


def cron_job_cells(cron_job: Manifest, now: datetime) -> list[Any]:
    spec, status = cron_job["spec"], cron_job.get("status", {})
    last = status.get("lastScheduleTime")
    return [
        cron_job["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone", "<none>"),
        str(bool(spec.get("suspend"))),
        len(status.get("active", ())),
        age(last, now) if last else "<none>",
        age(cron_job["metadata"].get("creationTimestamp"), now),
        *_template(spec.get("jobTemplate", {}).get("spec", {})),
    ]


def _status(job: Manifest) -> str:
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if is_true(job, condition):
            return word
    if is_terminating(job):
        return "Terminating"
    return next((c for c in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if is_true(job, c)), "Running")


def _completions(job: Manifest) -> str:
    spec, succeeded = job["spec"], job.get("status", {}).get("succeeded", 0)
    if "completions" in spec:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Manifest, now: datetime) -> str:
    started, ended = status.get("startTime"), status.get("completionTime")
    if not started:
        return ""
    return human_duration((parse_time(ended) if ended else now) - parse_time(started))


def _template(spec: Manifest) -> tuple[str, str, str]:
    containers = spec.get("template", {}).get("spec", {}).get("containers", ())
    selector = spec.get("selector")
    return (
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        (str(selector_from_manifest(selector)) if selector else "") or "<none>",
    )
