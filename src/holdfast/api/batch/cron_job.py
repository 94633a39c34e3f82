"""CronJobs: Jobs by a schedule. `controllers/cronjob` makes them."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, template_warnings
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import label_map, not_negative, required_and_supported
from holdfast.api.resource import STATUS, Manifest, Resource

from .batch_table import CRON_JOB_COLUMNS, cron_job_cells
from .job_validation import validate_job_spec
from .schedule import schedule_error

_MOST_NAME = 52
"""Names of its jobs add eleven characters."""
_HISTORY = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def default(cron_job: Manifest) -> None:
    spec = cron_job.setdefault("spec", {})
    spec.setdefault("schedule", "")
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    default_template(template.setdefault("spec", {}).setdefault("template", {}))
    cron_job.setdefault("status", {})


def validate(cron_job: Manifest) -> list[FieldError]:
    spec = cron_job["spec"]
    errors = [*_schedule("spec.schedule", spec["schedule"])]
    errors += _time_zone("spec.timeZone", spec.get("timeZone"))
    errors += not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    policies = ("Allow", "Forbid", "Replace")
    errors += required_and_supported("spec.concurrencyPolicy", spec["concurrencyPolicy"], policies)
    errors += label_map("spec.jobTemplate.metadata.labels", spec["jobTemplate"]["metadata"].get("labels", {}))
    errors += validate_job_spec("spec.jobTemplate.spec", spec["jobTemplate"]["spec"])
    for limit in _HISTORY:
        errors += not_negative(f"spec.{limit}", spec.get(limit))
    return errors


def validate_name(name: str) -> str:
    if len(name) > _MOST_NAME:
        return f"must be no more than {_MOST_NAME} characters"
    return names.dns_subdomain(name)


def _schedule(field: str, schedule: str) -> Iterator[FieldError]:
    if not schedule:
        yield required(field)
    elif "TZ=" in schedule:
        yield invalid(field, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif error := schedule_error(schedule):
        yield invalid(field, schedule, error)


def _time_zone(field: str, zone: str | None) -> Iterator[FieldError]:
    if zone is None:
        return
    if not zone:
        yield invalid(field, zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        yield invalid(
            field, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
    elif not _is_time_zone(zone):
        yield invalid(field, zone, f"unknown time zone {zone}")


def _is_time_zone(zone: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def warnings(cron_job: Manifest) -> list[str]:
    template = cron_job["spec"].get("jobTemplate", {}).get("spec", {}).get("template") or {}
    return template_warnings("spec.jobTemplate.spec.template", template)


CRON_JOBS = Resource(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    short_names=("cj",),
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    validate_name=validate_name,
    create_warnings=new_workload_warnings,
    warnings=warnings,
    columns=CRON_JOB_COLUMNS,
    cells=cron_job_cells,
    initial_status={},
    has_generation=True,
)
