"""Cells of tables that several kinds share: ages in human form (A190, S199).

Source: Kubernetes, k8s.io/apimachinery/pkg/util/duration.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from .times import parse_time

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY


def age(creation_timestamp: str | None, now: datetime) -> str:
    """How long ago that was; `<unknown>` without a time."""
    if not creation_timestamp:
        return "<unknown>"
    return human_duration(now - parse_time(creation_timestamp))


def human_duration(duration: timedelta) -> str:
    """Few characters, two units at most: `119s`, `2m1s`, `179m`, `7h59m`, `47h`, `2d2h`, `500d`, `3y20d`, `9y`."""
    seconds = int(duration / timedelta(seconds=1))
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if seconds < 10 * _MINUTE:
        return _two(seconds, _MINUTE, "m", 1, "s")
    if seconds < 3 * _HOUR:
        return f"{seconds // _MINUTE}m"
    if seconds < 8 * _HOUR:
        return _two(seconds, _HOUR, "h", _MINUTE, "m")
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR}h"
    if seconds < 8 * _DAY:
        return _two(seconds, _DAY, "d", _HOUR, "h")
    if seconds < 2 * _YEAR:
        return f"{seconds // _DAY}d"
    if seconds < 8 * _YEAR:
        return _two(seconds, _YEAR, "y", _DAY, "d")
    return f"{seconds // _YEAR}y"


def _two(seconds: int, large: int, large_name: str, small: int, small_name: str) -> str:
    """Two units, the smaller left out when it is zero."""
    rest = seconds % large // small
    return f"{seconds // large}{large_name}" + (f"{rest}{small_name}" if rest else "")
