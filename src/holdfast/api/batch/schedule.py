"""Schedules of CronJobs: five fields, or `@hourly` and the like (W65). What they say, and what is wrong with one.

The words are those of the parser upstream uses, robfig/cron.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_SHORTEST = timedelta(seconds=1)
_DURATION = re.compile(r"[-+]?(0|(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Fields:
    """The numbers that each field allows; Sunday is 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_any_day: bool
    is_any_weekday: bool


def schedule_error(schedule: str) -> str:
    """What is wrong, empty if nothing is."""
    try:
        if delay_of(schedule) is None:
            fields_of(schedule)
    except ValueError as error:
        return str(error)
    return ""


def delay_of(schedule: str) -> timedelta | None:
    """What `@every` says, in whole seconds; None of other schedules. Raises ValueError."""
    if not schedule.startswith(_EVERY):
        return None
    text = schedule.removeprefix(_EVERY)
    if not _DURATION.fullmatch(text):
        raise ValueError(f'failed to parse duration {schedule}: time: {_refusal(text)} "{text}"')
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    try:
        delay = timedelta(seconds=int(-seconds if text.startswith("-") else seconds))
    except OverflowError:
        raise ValueError(f'failed to parse duration {schedule}: time: invalid duration "{text}"') from None
    return max(delay, _SHORTEST)


def _refusal(duration: str) -> str:
    return "missing unit in duration" if re.fullmatch(r"[-+]?\d+\.?\d*", duration, re.ASCII) else "invalid duration"


def fields_of(schedule: str) -> Fields:
    """Raises ValueError if it is not one of five fields, or `@hourly` and the like."""
    if schedule.startswith("@"):
        if schedule not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {schedule}")
        schedule = _DESCRIPTORS[schedule]
    words = schedule.split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    minutes, hours, days, months, weekdays = (
        _numbers(word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    return Fields(minutes, hours, days, months, weekdays, _is_any(words[2]), _is_any(words[4]))


def _numbers(word: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    return frozenset(number for part in word.split(",") for number in _range(part, least, most, names))


def _is_any(word: str) -> bool:
    """`*`, or a list with it; `*/2` leaves something out."""
    spans = (part.partition("/") for part in word.split(","))
    return any(span in ("*", "?") and (not step or int(step) == 1) for span, _, step in spans)


def _range(part: str, least: int, most: int, names: dict[str, int]) -> range:
    """`*`, `5`, `1-5`, `*/10`, `mon-fri`. Raises ValueError."""
    span, slash, step = part.partition("/")
    if "/" in step:
        raise ValueError(f"too many slashes: {part}")
    start, end = least, most
    if span not in ("*", "?"):
        low, dash, high = span.partition("-")
        if "-" in high:
            raise ValueError(f"too many hyphens: {part}")
        start = _number(low, names)
        end = _number(high, names) if dash else most if slash else start
    by = _number(step, {}) if slash else 1
    if by == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {part}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    return range(start, end + 1, by)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
