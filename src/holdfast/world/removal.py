"""Removing trees in which others may put links and mounts: never through a mount, never along a symbolic link (N201).

All is done by descriptors of directories, so that no path is resolved twice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from . import mount_table

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StillMounted(OSError):
    """Something is mounted below: unmount it first."""


def remove_tree(top: Path) -> None:
    """Removes `top` and what is in it, as long as all of it lies on the file system of `top`'s parent.

    No error if there is nothing. Raises StillMounted before anything is removed, OSError.
    """
    require_no_mounts(top)
    try:
        parent = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove(parent, top.name, os.fstat(parent).st_dev)
    finally:
        os.close(parent)


def require_no_mounts(top: str | os.PathLike[str], table: Path = mount_table.TABLE) -> None:
    """Raises StillMounted if there is a mount at or below `top`.

    A bind mount may be of the same device, so comparing devices would not find it.
    """
    if mounts := mount_table.below(top, table):
        raise StillMounted(errno.EBUSY, "still mounted", mounts[0])


def remove(parent: int, name: str, device: int = 0) -> None:
    """Removes what has that name in an open directory: a file, or a tree on one file system.

    That is the one of `device`, else the one that the tree's top is on. No error if there is nothing. Raises OSError.
    """
    try:
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            os.unlink(name, dir_fd=parent)
            return
    except FileNotFoundError:
        return
    try:
        _require_device(directory, device, name)
        empty(directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)


def empty(directory: int, go_on: Callable[[], None] = lambda: None) -> None:
    """Removes all that is in an open directory, which stays. `go_on` is called before each step and may raise.

    Raises OSError for the first thing that cannot be removed, StillMounted at another file system.
    """
    _empty(directory, os.fstat(directory).st_dev, go_on)


def _empty(directory: int, device: int, go_on: Callable[[], None]) -> None:
    with os.scandir(directory) as found:
        entries = list(found)  # all before any is removed: a server's cookies need not survive removals
    for entry in entries:
        go_on()
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
            continue
        below = os.open(entry.name, _DIRECTORY, dir_fd=directory)
        try:
            _require_device(below, device, entry.name)
            _empty(below, device, go_on)
        finally:
            os.close(below)
        os.rmdir(entry.name, dir_fd=directory)


def _require_device(directory: int, device: int, name: str) -> None:
    if device and os.fstat(directory).st_dev != device:
        raise StillMounted(errno.EXDEV, "another filesystem is mounted here", name)
