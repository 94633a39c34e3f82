"""When schedules are due (W65, W66)."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.controllers.cronjob.missed import Missed, NeverDue, missed, next_in_s
from holdfast.controllers.cronjob.schedule import parse, zone_named


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def after(schedule, text, zone=""):
    found = parse(schedule, zone_named(zone)).after(at(text))
    return None if found is None else found.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("schedule", "now", "coming"),
    [
        ("* * * * *", "2026-01-01T12:00:00", "2026-01-01T12:01:00"),
        ("* * * * *", "2026-01-01T12:00:59", "2026-01-01T12:01:00"),
        ("*/15 * * * *", "2026-01-01T12:46:00", "2026-01-01T13:00:00"),
        ("5/20 * * * *", "2026-01-01T12:26:00", "2026-01-01T12:45:00"),
        ("30 6-16/4 * * 1-5", "2026-01-02T14:30:00", "2026-01-05T06:30:00"),
        ("0 0 1 1 *", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("59 23 31 2 *", "2026-01-01T00:00:00", None),
        ("0 0 31 * *", "2026-02-01T00:00:00", "2026-03-31T00:00:00"),
        ("0 0 13 * fri", "2026-03-01T00:00:00", "2026-03-06T00:00:00"),
        ("0 0 13 * *", "2026-03-01T00:00:00", "2026-03-13T00:00:00"),
        ("0 0 */2 * fri", "2026-03-01T00:00:00", "2026-03-03T00:00:00"),
        ("0 0 */1 * fri", "2026-03-01T00:00:00", "2026-03-06T00:00:00"),
        ("0 0 * DEC Sun", "2026-03-01T00:00:00", "2026-12-06T00:00:00"),
        ("@hourly", "2026-01-01T12:00:00", "2026-01-01T13:00:00"),
        ("@weekly", "2026-01-01T12:00:00", "2026-01-04T00:00:00"),
        ("@monthly", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("@every 90s", "2026-01-01T12:00:10", "2026-01-01T12:01:40"),
        ("@every 1h30m", "2026-01-01T12:00:00", "2026-01-01T13:30:00"),
        ("@every 10ms", "2026-01-01T12:00:00", "2026-01-01T12:00:01"),
    ],
)
def test_w65_a_schedule_names_its_times(schedule, now, coming):
    assert after(schedule, now) == coming


@pytest.mark.parametrize(
    ("schedule", "zone", "now", "coming"),
    [
        pytest.param("0 9 * * *", "Asia/Tokyo", "2026-01-01T12:00:00", "2026-01-02T00:00:00", id="another zone"),
        pytest.param("0 0 1 * *", "Asia/Tokyo", "2026-01-15T00:00:00", "2026-01-31T15:00:00", id="another month"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-30T00:30:00", id="left out"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", "2026-10-25T00:30:00", id="first of two"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T01:30:00", id="second of two"),
        pytest.param("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00", "2026-03-29T01:00:00", id="every hour"),
        pytest.param("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", "2018-11-05T02:00:00", id="no midnight"),
        pytest.param("30 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00", "2026-04-04T14:30:00", id="half hour"),
    ],
)
def test_w65_a_schedule_follows_the_clock_of_its_zone(schedule, zone, now, coming):
    assert after(schedule, now, zone) == coming


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises((ValueError, OSError)):
        zone_named(zone)


def look(schedule, since, now):
    return missed(parse(schedule, UTC), at(since), at(now))


def test_w66_nothing_is_due_before_its_time():
    assert look("@hourly", "2026-01-01T12:00:00", "2026-01-01T12:59:59") == Missed(None)
    assert look("@hourly", "2026-01-01T12:00:00", "2026-01-01T13:00:00") == Missed(at("2026-01-01T13:00:00"))


@pytest.mark.parametrize(
    ("schedule", "since", "now", "latest", "are_many"),
    [
        ("@hourly", "2026-01-01T12:00:00", "2026-01-01T17:30:00", "2026-01-01T17:00:00", False),
        ("* * * * *", "2026-01-01T12:00:00", "2026-01-01T13:40:30", "2026-01-01T13:40:00", False),
        ("* * * * *", "2026-01-01T12:00:00", "2026-01-01T13:41:00", "2026-01-01T13:41:00", True),
        ("* 9 * * *", "2026-01-01T09:00:00", "2026-03-01T15:00:00", "2026-03-01T09:59:00", True),
        ("0 9-17 * * 1-5", "2026-01-02T10:30:00", "2026-01-03T12:00:00", "2026-01-02T17:00:00", False),
        ("@every 7m", "2026-01-01T12:00:00", "2026-01-01T13:00:00", "2026-01-01T12:56:00", False),
        ("0 0 29 2 *", "2020-01-01T00:00:00", "2026-01-01T00:00:00", "2024-02-29T00:00:00", False),
    ],
)
def test_w66_of_missed_times_the_latest_counts(schedule, since, now, latest, are_many):
    assert look(schedule, since, now) == Missed(at(latest), are_many)


def test_a_schedule_without_times_is_an_error():
    with pytest.raises(NeverDue):
        look("59 23 31 2 *", "2026-01-01T00:00:00", "2026-01-02T00:00:00")
    assert next_in_s(parse("59 23 31 2 *", UTC), at("2026-01-01T00:00:00"), at("2026-01-02T00:00:00")) is None


def test_the_next_look_is_a_moment_after_the_next_time():
    now = at("2026-01-01T12:00:30")
    assert next_in_s(parse("* * * * *", UTC), now - timedelta(hours=1), now) == 30.1
    assert next_in_s(parse("@every 50s", UTC), at("2026-01-01T12:00:00"), now) == 20.1
