"""Schedules of CronJobs (W65)."""

from __future__ import annotations

import pytest

from holdfast.api.batch.schedule import schedule_error


@pytest.mark.parametrize(
    "schedule", ["* * * * *", "*/5 0-12 1,15 jan-MAR mon", "0 0 1 1 0", "@hourly", "@every 5m", "5/15 * ? * *"]
)
def test_schedules_that_can_be_read(schedule: str) -> None:
    assert schedule_error(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "refusal"),
    [
        ("hourly", "expected exactly 5 fields, found 1: [hourly]"),
        ("@fortnightly", "unrecognized descriptor: @fortnightly"),
        ("70 * * * *", "end of range (70) above maximum (59): 70"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/1/2 * * * *", "too many slashes: */1/2"),
        ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_schedules_that_cannot_be_read(schedule: str, refusal: str) -> None:
    assert schedule_error(schedule) == refusal
