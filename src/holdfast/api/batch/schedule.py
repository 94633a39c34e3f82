"""Schedules of CronJobs: five fields, or `@hourly` and the like (W65). Here is what is wrong with one.

The words are those of the parser upstream uses, robfig/cron.
"""

from __future__ import annotations

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = "@every "


def schedule_error(schedule: str) -> str:
    """What is wrong, empty if nothing is."""
    if schedule.startswith("@"):
        if schedule in _DESCRIPTORS or schedule.startswith(_EVERY):
            return ""
        return f"unrecognized descriptor: {schedule}"
    words = schedule.split()
    if len(words) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]"
    try:
        for word, (least, most, names) in zip(words, _FIELDS, strict=True):
            for part in word.split(","):
                _check(part, least, most, names)
    except ValueError as error:
        return str(error)
    return ""


def _check(part: str, least: int, most: int, names: dict[str, int]) -> None:
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
    if slash and _number(step, {}) == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {part}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
