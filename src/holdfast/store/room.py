"""A full disk: room that is held for the store, and how SQLite says that there is none.

Whoever is to make room in a cluster does it by writing: a claim is deleted, a pod ended. So the store's files have
blocks behind their ends which nobody else gets, and while it is closed a file beside it has some for its log.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from holdfast.world import linux

HELD_BYTES = 8 << 20
"""For each of the database and its log: some thousand writes."""
SHARE = 100
"""Of a small disk no more than so much of a hundred."""
RETRY_S = 0.5
_SQLITE_FULL, _SQLITE_IOERR_SHMSIZE = 13, 4874


def hold(path: Path) -> None:
    """Behind the ends of the database and its log. Where that cannot be had there is none; raises nothing."""
    for file in (path, path.with_name(f"{path.name}-wal")):
        with contextlib.suppress(OSError):
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
            try:
                linux.reserve(descriptor, os.fstat(descriptor).st_size, _held_bytes(descriptor))
            finally:
                os.close(descriptor)


def keep(path: Path) -> None:
    """While the database is closed, which has no log then: in a file beside it. Raises nothing."""
    with contextlib.suppress(OSError):
        descriptor = os.open(_kept(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            linux.reserve(descriptor, 0, _held_bytes(descriptor))
        finally:
            os.close(descriptor)


def give_back(path: Path) -> None:
    """What was kept, for the log and whatever else a start writes. Raises OSError."""
    _kept(path).unlink(missing_ok=True)


def _kept(path: Path) -> Path:
    return path.with_name(f"{path.name}-room")


def is_wanting(error: Exception) -> bool:
    """Whether the transaction failed for want of room and was undone, so that it can be tried again."""
    code = getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0
    return code in (_SQLITE_FULL, _SQLITE_IOERR_SHMSIZE)


def _held_bytes(descriptor: int) -> int:
    status = os.fstatvfs(descriptor)
    return min(HELD_BYTES, status.f_blocks * status.f_frsize // SHARE)
