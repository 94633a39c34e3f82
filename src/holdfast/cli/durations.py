"""How long, on the command line."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import click

_UNITS = {"h": "hours", "m": "minutes", "s": "seconds"}


class Seconds(click.ParamType[float]):
    """How long to wait, with a fraction if need be."""

    name = "seconds"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class Duration(click.ParamType[timedelta]):
    """As upstream's commands take it: 24h, 1h30m, 90s; 0."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta) or value == "0":
            return value if isinstance(value, timedelta) else timedelta()
        found = re.findall(r"(\d{1,6})([hms])", value)
        if not found or "".join(number + unit for number, unit in found) != value:
            self.fail(f"{value!r} is no duration such as 24h, 1h30m or 90s", param, ctx)
        return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in found), timedelta())
