"""One at a time on each volume, across processes and across the death of any of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

PATIENCE_S, LOOK_EVERY_S = 5.0, 0.01


@contextlib.contextmanager
def locked(directory: Path, patience_s: float = PATIENCE_S) -> Iterator[int]:
    """Holds the volume's lock; what is yielded is to be handed on to every program that works on the volume.

    Such a program may outlive who started it, and the lock is held until it has ended too. Blocks its thread.
    Raises OSError: EBUSY if somebody else holds the lock for longer than `patience_s`, ENOENT without a directory.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _acquire(descriptor, directory, patience_s)
        if os.fstat(descriptor).st_ino != os.stat(directory).st_ino:
            raise OSError(errno.EBUSY, "the volume was replaced meanwhile", str(directory))
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, directory: Path, patience_s: float) -> None:
    waiting = threading.Event()
    for _ in range(max(1, round(patience_s / LOOK_EVERY_S))):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waiting.wait(LOOK_EVERY_S)
    raise OSError(errno.EBUSY, "something else is being done to the volume", str(directory))
