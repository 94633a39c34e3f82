"""The mounts of NFS, by the kernel and by our own process, in the mount table."""

from __future__ import annotations

from pathlib import Path

from holdfast.nfs import FILE_SYSTEM
from holdfast.world import mount_table
from holdfast.world.mount_table import Mount

KINDS = frozenset({"nfs", "nfs4", FILE_SYSTEM})


def mounts(table: Path = mount_table.TABLE) -> list[Mount]:
    """In this thread's mount namespace."""
    return [mount for mount in mount_table.mounts(table) if mount.kind in KINDS]


def at(point: Path) -> Mount | None:
    """The topmost NFS mount there."""
    return next((mount for mount in reversed(mounts()) if mount.point == str(point)), None)


def below(directory: Path) -> list[Mount]:
    """At or below, deepest first."""
    top = str(directory)
    found = [mount for mount in mounts() if mount.point == top or mount.point.startswith(f"{top}/")]
    return sorted(found, key=lambda mount: len(mount.point), reverse=True)
