"""CronJobs: Jobs by a schedule. `controllers/cronjob` makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdfast.api.apps.workload_validation import shown_selector
from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, template_warnings
from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.field_rules import not_negative, required_and_supported
from holdfast.api.resource import STATUS, Manifest, Resource

from .batch_table import CRON_JOB_COLUMNS, cron_job_cells
from .job_validation import validate_job_spec
from .schedule import schedule_error

_MOST_NAME = 52
"""Names of its jobs add eleven characters."""
_ZONES = ("TZ=", "CRON_TZ=")
_is_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch
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
    return [*_spec(cron_job["spec"])]


def validate_create(cron_job: Manifest) -> list[FieldError]:
    name = cron_job["metadata"].get("name", "")
    if len(name) <= _MOST_NAME:
        return []
    return [invalid("metadata.name", name, f"must be no more than {_MOST_NAME} characters")]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """What was stored under older rules, a zone in the schedule or one that is gone, may stay."""
    return [*_spec(new["spec"], old["spec"])]


def _spec(spec: Manifest, before: Manifest | None = None) -> Iterator[FieldError]:
    may_have_zone = before is not None and "TZ" in before.get("schedule", "")
    yield from _schedule("spec.schedule", spec["schedule"], spec.get("timeZone"), may_have_zone)
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if before is None or spec.get("timeZone") != before.get("timeZone"):
        yield from _time_zone("spec.timeZone", spec.get("timeZone"))
    policies = ("Allow", "Forbid", "Replace")
    yield from required_and_supported("spec.concurrencyPolicy", spec["concurrencyPolicy"], policies)
    yield from _job_template("spec.jobTemplate.spec", spec["jobTemplate"]["spec"])
    for limit in _HISTORY:
        yield from not_negative(f"spec.{limit}", spec.get(limit))


def _job_template(field: str, spec: Manifest) -> Iterator[FieldError]:
    yield from validate_job_spec(field, spec)
    if spec.get("selector") is not None:
        yield invalid(f"{field}.selector", shown_selector(spec["selector"]), "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield not_supported(f"{field}.manualSelector", True, ("nil", "false"))


def _schedule(field: str, schedule: str, zone: str | None, may_have_zone: bool) -> Iterator[FieldError]:
    if not schedule:
        yield required(field)
        return
    times = schedule.partition(" ")[2] if schedule.startswith(_ZONES) else schedule
    if error := schedule_error(times):
        yield invalid(field, schedule, error)
    if "TZ" in schedule and not may_have_zone:
        yield invalid(field, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif "TZ" in schedule and zone is not None:
        yield invalid(field, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _time_zone(field: str, zone: str | None) -> Iterator[FieldError]:
    if zone is None:
        return
    unknown = f"unknown time zone {zone}"
    if not zone:
        yield invalid(field, zone, "timeZone must be nil or non-empty string")
    elif not all(_is_zone_part(part) and part not in (".", "..") and part[0] != "-" for part in zone.split("/")):
        yield invalid(field, zone, unknown)
    elif zone == "Local" or not _is_time_zone(zone):
        if zone.lower() == "local":
            refusal = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            yield invalid(field, zone, refusal)
        if zone != "Local":
            yield invalid(field, zone, unknown)


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
    validate_create=validate_create,
    validate_update=validate_update,
    validates_updates_whole=False,
    create_warnings=new_workload_warnings,
    warnings=warnings,
    columns=CRON_JOB_COLUMNS,
    cells=cron_job_cells,
    initial_status={},
    has_generation=True,
)
