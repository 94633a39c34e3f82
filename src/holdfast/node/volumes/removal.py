"""Removing a tree that may hold mounts: never through one, never along a symbolic link (N201)."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class StillMounted(OSError):
    """Something is mounted below: unmount it first."""


def remove_tree(top: Path) -> None:
    """Removes `top` and what is in it, as long as all of it lies on the file system of `top`'s parent.

    No error if there is nothing. Raises StillMounted before anything is removed, OSError.
    """
    mounts = mounts_below(top)
    if mounts:
        raise StillMounted(f"{mounts[0]} is still mounted")
    try:
        parent = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _remove(parent, top.name, os.fstat(parent).st_dev)
    finally:
        os.close(parent)


def mounts_below(top: Path) -> list[str]:
    """Mount points at or below `top` in this process's namespace, deepest first."""
    prefix = os.path.realpath(top)
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = _unescaped(line.split(" ")[4])
        if point == prefix or point.startswith(prefix + "/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _remove(parent: int, name: str, device: int) -> None:
    """By file descriptors, so that nobody can put a link in the way meanwhile."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if status.st_dev != device:
        raise StillMounted(f"{name} is on another file system")
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        for entry in os.listdir(directory):
            _remove(directory, entry, device)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)
