"""What CronJobs may say, in upstream's words (W65)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest

NOT_IN_SCHEDULE = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"


def cron_job(name: str = "often", job: Manifest | None = None, **spec: Any) -> Manifest:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/app:1"}]}
    template = {"spec": {"template": {"spec": pod}, **(job or {})}}
    body = {"metadata": {"name": name}, "spec": {"schedule": "* * * * *", "jobTemplate": template, **spec}}
    manifest, _ = decode_body(CRON_JOBS, json.dumps(body).encode(), "application/json")
    CRON_JOBS.default(manifest)
    return manifest


def errors(**spec: Any) -> list[str]:
    return [str(error) for error in CRON_JOBS.validate(cron_job(**spec))]


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        ({"timeZone": "Europe/Berlin"}, []),
        ({"timeZone": ""}, ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
        ({"timeZone": "a//b"}, ['spec.timeZone: Invalid value: "a//b": unknown time zone a//b']),
        ({"timeZone": "../x"}, ['spec.timeZone: Invalid value: "../x": unknown time zone ../x']),
        (
            {"timeZone": "Local"},
            [
                'spec.timeZone: Invalid value: "Local": '
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            ],
        ),
        (
            {"schedule": "TZ=UTC hourly"},
            [
                'spec.schedule: Invalid value: "TZ=UTC hourly": expected exactly 5 fields, found 1: [hourly]',
                f'spec.schedule: Invalid value: "TZ=UTC hourly": {NOT_IN_SCHEDULE}',
            ],
        ),
        (
            {"job": {"selector": {"matchLabels": {"a": "b"}}, "manualSelector": True}},
            [
                'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: '
                "`selector` will be auto-generated",
                'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
            ],
        ),
    ],
)
def test_a_cron_job_is_refused(spec: Manifest, refusals: list[str]) -> None:
    assert errors(**spec) == refusals


def test_what_was_stored_under_older_rules_may_stay() -> None:
    def refusals(old: Manifest, **spec: Any) -> list[str]:
        return [str(error) for error in CRON_JOBS.validate_update(cron_job(**spec), old)]

    zoned = cron_job(schedule="CRON_TZ=UTC * * * * *", timeZone="Mars/Crater")
    assert refusals(zoned, schedule="TZ=UTC 1 * * * *") == []
    assert refusals(zoned, timeZone="Mars/Crater") == []
    assert refusals(zoned, schedule="TZ=UTC 1 * * * *", timeZone="Mars/Crater") == [
        'spec.schedule: Invalid value: "TZ=UTC 1 * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule'
    ]
    assert refusals(cron_job(), schedule="TZ=UTC 1 * * * *") == [
        f'spec.schedule: Invalid value: "TZ=UTC 1 * * * *": {NOT_IN_SCHEDULE}'
    ]


def test_a_new_name_leaves_room_for_those_of_its_jobs() -> None:
    long = cron_job(name="a" * 53)
    (error,) = CRON_JOBS.validate_create(long)
    assert error.message.endswith("must be no more than 52 characters")
    assert CRON_JOBS.validate_update(long, long) == []
