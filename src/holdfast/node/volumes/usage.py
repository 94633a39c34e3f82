"""What a volume holds, and what it could hold: for statistics, and for emptyDirs with a size (V87)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from holdfast.node.disk import tree_bytes


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """One volume of a pod. Claims use what their file system has in use, emptyDirs what is in them."""

    name: str
    used_bytes: int
    available_bytes: int
    capacity_bytes: int
    inodes: int
    inodes_free: int
    inodes_used: int
    claim: str = ""
    """The PersistentVolumeClaim's name; empty for an emptyDir."""
    is_in_memory: bool = False


def measure(name: str, path: Path, *, claim: str = "", is_in_memory: bool = False) -> VolumeUse | None:
    """Blocks. None if there is nothing there."""
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    size = status.f_frsize
    used = (status.f_blocks - status.f_bfree) * size if claim else tree_bytes(path)
    return VolumeUse(
        name=name,
        used_bytes=used,
        available_bytes=status.f_bavail * size,
        capacity_bytes=status.f_blocks * size,
        inodes=status.f_files,
        inodes_free=status.f_ffree,
        inodes_used=status.f_files - status.f_ffree,
        claim=claim,
        is_in_memory=is_in_memory,
    )
