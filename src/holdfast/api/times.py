"""Times as Kubernetes writes them (A4), and as Go's parser reads and refuses them (A62)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

SECONDS_LAYOUT = "2006-01-02T15:04:05Z07:00"
MICROSECONDS_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
"""Go's layouts of Time and MicroTime; they appear in error messages."""

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)

_ELEMENTS = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d?"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
    ("05", r"\d\d(?:[.,]\d+)?"),
    ("Z07:00", r"Z|[+-]\d\d:\d\d"),
)


def format_time(moment: datetime) -> str:
    """`2026-01-02T03:04:05Z`: UTC, fractions cut off."""
    return f"{_plain(moment).isoformat(timespec='seconds')}Z"


def format_micro_time(moment: datetime) -> str:
    """`2026-01-02T03:04:05.000000Z`: UTC, always six fraction digits."""
    return f"{_plain(moment).isoformat(timespec='microseconds')}Z"


def _plain(moment: datetime) -> datetime:
    """In UTC, without saying so. isoformat, unlike strftime, writes the year 1 as 0001."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def parse_time(text: str) -> datetime:
    """The aware moment an RFC 3339 text names; digits below the microsecond are cut off.

    Raises ValueError in the words of Go's time.Parse.
    """
    return _parse(text, SECONDS_LAYOUT)


def canonical_time(text: str) -> str:
    """How the API server would write back a Time that a client sent. Raises ValueError as parse_time."""
    return format_time(_parse(text, SECONDS_LAYOUT))


def canonical_micro_time(text: str) -> str:
    """How the API server would write back a MicroTime that a client sent. Raises ValueError as parse_time."""
    return format_micro_time(_parse(text, MICROSECONDS_LAYOUT))


@lru_cache(1024)  # the same few moments are read again for every row of a table
def _parse(text: str, layout: str) -> datetime:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(_refusal(text, layout))
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    if out_of_range := _out_of_range(month, hour, minute, second):
        raise ValueError(f'parsing time "{text}": {out_of_range} out of range')
    zone = UTC if match[8] is None else _zone(match[8], int(match[9]), int(match[10]))
    microsecond = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(year, month, day, hour, minute, second, microsecond, zone)
    except ValueError:
        raise ValueError(f'parsing time "{text}": day out of range') from None
    try:
        return moment.astimezone(UTC)  # a time zone may lead out of the years that there are
    except OverflowError:
        raise ValueError(f'parsing time "{text}": year out of range') from None


def _zone(sign: str, hours: int, minutes: int) -> timezone:
    offset = timedelta(hours=hours, minutes=minutes)
    if offset >= timedelta(hours=24):
        raise ValueError("time zone offset hour out of range")
    return timezone(-offset if sign == "-" else offset)


def _out_of_range(month: int, hour: int, minute: int, second: int) -> str:
    for name, value, least, most in (
        ("month", month, 1, 12),
        ("hour", hour, 0, 23),
        ("minute", minute, 0, 59),
        ("second", second, 0, 59),
    ):
        if not least <= value <= most:
            return name
    return ""


def _refusal(text: str, layout: str) -> str:
    """Which element of the layout Go would trip over."""
    rest = text
    for element, pattern in _ELEMENTS:
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"'
        rest = rest[match.end() :]
    return f'parsing time "{text}": extra text: "{rest}"'
