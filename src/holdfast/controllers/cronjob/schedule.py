"""When a schedule is due (W65).

The rules are those of the parser upstream uses, robfig/cron: a time that the clock leaves out when summer begins
is skipped, and one that it shows twice in autumn is due twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from holdfast.api.batch.schedule import Fields, delay_of, fields_of

MOST_YEARS = 5
"""A schedule without a time in so many years has none at all."""
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


class Schedule(Protocol):
    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`, aware, in UTC; None if there is none for years."""


def parse(text: str, zone: tzinfo) -> Schedule:
    """Raises ValueError, in the words of `schedule_error`, if it cannot be read."""
    delay = delay_of(text)
    return Every(delay) if delay is not None else Calendar(fields_of(text), zone)


def zone_named(name: str) -> tzinfo:
    """UTC without a name, which is how upstream writes the time of a job into its annotation.

    Raises ValueError, or OSError, if nobody knows the zone.
    """
    if not name:
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except KeyError as error:  # as zoneinfo says that there is no such file
        raise ValueError(f"unknown time zone {name}") from error


@dataclass(frozen=True, slots=True)
class Every:
    """So long after the time before, whenever that was; in whole seconds."""

    delay: timedelta

    def after(self, moment: datetime) -> datetime | None:
        return moment.replace(microsecond=0) + self.delay


@dataclass(frozen=True, slots=True)
class Calendar:
    """Whole minutes whose reading on the zone's clock and calendar fits the fields."""

    fields: Fields
    zone: tzinfo

    def after(self, moment: datetime) -> datetime | None:
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        last_year = at.astimezone(self.zone).year + MOST_YEARS
        while (reading := at.astimezone(self.zone)).year <= last_year:
            later = self._not_before(at, reading)
            if later is None:
                return at
            at = later
        return None

    def _not_before(self, at: datetime, reading: datetime) -> datetime | None:
        """A later moment up to which nothing is due; None if `at` itself is."""
        if reading.month not in self.fields.months:
            return max(_midnight(reading.replace(day=28) + 4 * _DAY, day=1), at + _MINUTE)
        if not self._is_day(reading):
            return max(_midnight(reading + _DAY), at + _MINUTE)
        if reading.hour not in self.fields.hours:
            return at + (60 - reading.minute) * _MINUTE
        return None if reading.minute in self.fields.minutes else at + _MINUTE

    def _is_day(self, reading: datetime) -> bool:
        """Day and weekday are alternatives where both are given."""
        fields = self.fields
        in_month, in_week = reading.day in fields.days, reading.isoweekday() % 7 in fields.weekdays
        if fields.is_any_day or fields.is_any_weekday:
            return in_month and in_week
        return in_month or in_week


def _midnight(reading: datetime, day: int | None = None) -> datetime:
    """When that day of the reading begins, or another day of its month; in UTC."""
    begin = reading.replace(day=day or reading.day, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return begin.astimezone(UTC)
