"""The mount table: what is mounted where, read without touching any mount, for that may hang (V94)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.nfs import FILE_SYSTEM

KINDS = frozenset({"nfs", "nfs4", FILE_SYSTEM})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    point: str
    device: str
    """`major:minor`: the same for all mounts of one file system."""
    kind: str
    source: str
    is_read_only: bool


def read(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kinds = head.split(" "), tail.split(" ")
        yield Mount(
            point=_plain(fields[4]),
            device=fields[2],
            kind=kinds[0],
            source=_plain(kinds[1]),
            is_read_only="ro" in fields[5].split(","),
        )


def mounts(path: Path = Path("/proc/thread-self/mountinfo")) -> list[Mount]:
    """Of NFS, in this thread's mount namespace."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return [mount for mount in read(text) if mount.kind in KINDS]


def at(point: Path) -> Mount | None:
    """The topmost NFS mount there."""
    return next((mount for mount in reversed(mounts()) if mount.point == str(point)), None)


def below(directory: Path) -> list[Mount]:
    """At or below, deepest first."""
    top = str(directory)
    found = [mount for mount in mounts() if mount.point == top or mount.point.startswith(f"{top}/")]
    return sorted(found, key=lambda mount: len(mount.point), reverse=True)


def _plain(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
