"""What is mounted where in this thread's mount namespace, read without touching any mount, for that may hang (V94).

The kernel keeps the table by what it knows itself, so a dead server or a stopped file system does not hold up a reader.
A mount point that was removed takes its mounts with it: only the root of a mount, which nobody here asks for, can be
marked as deleted.

Source: Linux, fs/proc_namespace.c; proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/thread-self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    point: str
    device: str
    """`major:minor`: the same for all mounts of one file system."""
    root: str
    """What of the file system is mounted: `/` for all of it."""
    kind: str
    source: str
    is_read_only: bool


def mounts(table: Path = TABLE) -> list[Mount]:
    """All, those that were mounted last at the end. Raises OSError."""
    return [_parsed(line) for line in _lines(table)]


def points(table: Path = TABLE) -> list[str]:
    """All mount points in the same order. Names that are not UTF-8 are as `os.fsdecode` has them. Raises OSError."""
    return [_plain(line.split(" ", 5)[4]) for line in _lines(table)]


def below(top: str | os.PathLike[str], table: Path = TABLE) -> list[str]:
    """Mount points at or below `top`, in the order in which they can be unmounted. Raises OSError.

    Links on the way to `top` are followed; `top` itself, which may be a mount that hangs, is not looked at.
    """
    parent, name = os.path.split(os.path.abspath(top))
    place = os.path.join(os.path.realpath(parent), name).rstrip("/")
    found = [point for point in points(table) if point == (place or "/") or point.startswith(f"{place}/")]
    return sorted(found, key=len, reverse=True)


def _lines(table: Path) -> Iterator[str]:
    with table.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        yield from file


def _parsed(line: str) -> Mount:
    """Between the sixth field and the hyphen are as many as the kernel likes."""
    head, _, tail = line.rstrip("\n").partition(" - ")
    fields, (kind, source, *_) = head.split(" "), tail.split(" ")
    return Mount(
        point=_plain(fields[4]),
        device=fields[2],
        root=_plain(fields[3]),
        kind=kind,
        source=_plain(source),
        is_read_only="ro" in fields[5].split(","),
    )


def _plain(text: str) -> str:
    """Blanks, line ends, backslashes and some more stand in it as octal numbers."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text) if "\\" in text else text
