"""Numbers that may be written as a share of something: `maxSurge: 1`, `maxSurge: 25%`."""

from __future__ import annotations


def resolve(value: int | str, of: int, *, rounds_up: bool) -> int:
    """How many the value means if there are `of`. It has been validated."""
    if isinstance(value, int):
        return value
    hundredths = int(value.removesuffix("%")) * of
    return -(-hundredths // 100) if rounds_up else hundredths // 100
