"""Which of a cluster's processes runs: a file that a process holds locked for as long as it lives.

The kernel lets go of the lock however the process ends, so a stale file never looks alive, and a
process id in it is never taken for somebody else's.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
from pathlib import Path
from typing import Any

LOOKS, LOOK_EVERY_S = 10, 0.01


class Held(Exception):
    """Another process holds the lock."""


class ProcessLock:
    """Held by one process; beside it, what others may want to know of that process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._written = 0

    def acquire(self) -> None:
        """Raises Held."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor):
            os.close(descriptor)
            raise Held(str(self._path))
        self._descriptor = descriptor
        self._written = os.fstat(descriptor).st_size
        self.describe()

    def take_over(self, descriptor: int) -> None:
        """From the process that has started this one with it."""
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._written = os.fstat(descriptor).st_size

    def describe(self, **facts: Any) -> None:
        """Replaces what `holder` tells about this process, or of `pid`, at every moment with something whole."""
        data = json.dumps({"pid": os.getpid(), **facts}).encode()
        os.pwrite(self._descriptor, data.ljust(self._written), 0)
        os.ftruncate(self._descriptor, len(data))
        self._written = len(data)

    def outlive_exec(self) -> int:
        """Whatever program this process becomes, or starts with this descriptor, holds it on."""
        os.set_inheritable(self._descriptor, True)
        return self._descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(descriptor: int) -> bool:
    """Who only looks (`holder`) has it for a moment too, and does not count."""
    for _ in range(LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            select.select([], [], [], LOOK_EVERY_S)
        else:
            return True
    return False


def holder(path: Path) -> dict[str, Any] | None:
    """What the process that holds the lock says of itself, at least `pid`; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        facts: dict[str, Any] = json.loads(os.pread(descriptor, 65536, 0) or b"{}")
        return facts
    finally:
        os.close(descriptor)
    return None


def last_words(path: Path) -> dict[str, Any]:
    """What the last process that held the lock said of itself: how it ended, if it came to say so."""
    try:
        words: dict[str, Any] = json.loads(path.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    return words
