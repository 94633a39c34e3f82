"""The indexes of an indexed Job as text: `0-2,5`, each below the number of completions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from holdfast.api.errors import show


def check_indexes(text: str, below: int) -> int:
    """How many indexes `0-2,5` names. Raises ValueError."""
    total, last = 0, None
    for part in text.split(",") if text else ():
        first, end = _interval(part, below)
        if last is not None and last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        last = end
        total += end - first + 1
    return total


def overlap(one: str, other: str, below: int) -> int | None:
    """The first index that both texts name, each taken to be in order; malformed parts count for nothing."""
    ours, theirs = _well_formed(one, below), _well_formed(other, below)
    mine, its = next(ours, None), next(theirs, None)
    while mine and its:
        if mine[0] <= its[1] and its[0] <= mine[1]:
            return max(mine[0], its[0])
        if mine[0] <= its[0]:
            mine = next(ours, None)
        else:
            its = next(theirs, None)
    return None


def _well_formed(text: str, below: int) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        with suppress(ValueError):
            yield _interval(part, below)


def _interval(part: str, below: int) -> tuple[int, int]:
    limits = part.split("-")
    if len(limits) > 2:
        rule = "an index interval can have at most two parts separated by '-'"
        raise ValueError(f"the fragment {show(part)} violates the requirement that {rule}")
    first = _index(limits[0], below)
    if len(limits) == 1:
        return first, first
    end = _index(limits[1], below)
    if first >= end:
        raise ValueError(f"non-increasing order, previous: {first}, current: {end}")
    return first, end


def _index(text: str, below: int) -> int:
    if not re.fullmatch(r"\+?[0-9]+", text, re.ASCII):
        raise ValueError(f"cannot convert string to integer for index: {show(text)}")
    if int(text) >= below:
        raise ValueError(f"too large index: {show(text)}")
    return int(text)
