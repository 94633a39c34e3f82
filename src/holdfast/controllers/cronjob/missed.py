"""Which of the times a schedule names is due, and when the next one comes (W66)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .schedule import Schedule

MANY = 100
AFTER_S = 0.1
"""The next look comes so long after the time itself."""


class NeverDue(Exception):
    """The schedule names no time."""


@dataclass(frozen=True, slots=True)
class Missed:
    latest: datetime | None
    """The latest time that has passed; None if none has."""
    are_many: bool = False
    """So many have passed that something must be wrong."""


def missed(schedule: Schedule, since: datetime, now: datetime) -> Missed:
    """The times later than `since` that have passed. Raises NeverDue.

    How many there are is estimated by the distance of the first two, so that it takes no longer after a long time.
    """
    first = schedule.after(since)
    if first is None:
        raise NeverDue("time difference between two schedules is less than 1 second")
    if now < first:
        return Missed(None)
    second = schedule.after(first)
    if second is None or now < second:
        return Missed(first)
    times = (now - first) // (second - first) + 1
    return Missed(_latest(schedule, first, second - first, times, now), times > MANY)


def _latest(schedule: Schedule, first: datetime, distance: timedelta, times: int, now: datetime) -> datetime:
    """Looked for from ever farther back: times may be far apart just now. In whole distances, for `@every`'s sake."""
    back, latest = 2, now
    at = schedule.after(latest)
    while at is None or at > now:
        latest = first + max(0, times - back) * distance
        at = schedule.after(latest)
        back *= 2
    while at is not None and at <= now:
        latest, at = at, schedule.after(at)
    return latest


def next_in_s(schedule: Schedule, since: datetime, now: datetime) -> float | None:
    """Seconds until the next time is due; None if there is none."""
    try:
        coming = schedule.after(missed(schedule, since, now).latest or since)
    except NeverDue:
        return None
    return None if coming is None else (coming - now) / timedelta(seconds=1) + AFTER_S
