"""Whether what was printed is what a page shows, apart from what differs from run to run. Pure.

A line `...` stands for any lines, none included; `...` in a line for any text. Addresses, ages, times, generated names
and the width of columns are no difference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ANY = "..."

SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes generates names of: no vowels, so that no words come out."""

VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "<address>"),
    (re.compile(rf"-{SAFE}{{8,10}}-{SAFE}{{5}}\b"), "-<template>-<generated>"),
    (re.compile(rf"-{SAFE}{{8,10}}\b"), "-<template>"),
    (re.compile(r"(?<![^\s(])(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(?![^\s)])"), "<age>"),
    # What kubectl tells since 1.34 of the objects it deletes.
    (re.compile(r'(" (?:force )?deleted) from \S+ namespace$'), r"\1"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first that was found; None: the output or the page ends there."""

    expected: str | None
    seen: str | None

    def __str__(self) -> str:
        return f"the page shows  {_or_end(self.expected)}\nit was          {_or_end(self.seen)}"


def _or_end(line: str | None) -> str:
    return "(no further line)" if line is None else line


def first_difference(expected: Sequence[str], seen: Sequence[str]) -> Difference | None:
    """None if what was seen is what was expected."""
    patterns = [None if line.strip() == ANY else _pattern(line) for line in expected]
    reached = _past_gaps({0}, patterns)
    for line in seen:
        plain = settled(line)
        after = {at for at in reached if at < len(patterns) and patterns[at] is None}
        after |= {at + 1 for at in reached if at < len(patterns) and _is_like(patterns[at], plain)}
        if not after:
            return Difference(_line_at(expected, max(reached)), line)
        reached = _past_gaps(after, patterns)
    return None if len(patterns) in reached else Difference(_line_at(expected, max(reached)), None)


def settled(line: str) -> str:
    """The line without what differs from run to run."""
    for varying, instead in VARYING:
        line = varying.sub(instead, line)
    return line.strip()


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(settled_part) for settled_part in settled(line).split(ANY)))


def _is_like(pattern: re.Pattern[str] | None, line: str) -> bool:
    return pattern is not None and pattern.fullmatch(line) is not None


def _past_gaps(reached: set[int], patterns: Sequence[re.Pattern[str] | None]) -> set[int]:
    """The places, and those behind gaps that may be empty."""
    found = set(reached)
    for at in range(min(reached), len(patterns)):
        if at in found and patterns[at] is None:
            found.add(at + 1)
    return found


def _line_at(expected: Sequence[str], at: int) -> str | None:
    return expected[at] if at < len(expected) else None
