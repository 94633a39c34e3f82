"""Locks between processes that leave no file behind: what one process makes, the others wait for."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

LOOK_AGAIN_S = 0.1


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, waiting for it. It goes with the holder, however that ends."""
    while (held := _open(path, fcntl.LOCK_EX)) is None:
        pass
    with _released(path, held):
        yield


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Whether the lock could be had at once; held if so."""
    held = _open(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if held is None:
        yield False
        return
    with _released(path, held):
        yield True


@asynccontextmanager
async def locked_in_turn(path: Path) -> AsyncIterator[None]:
    """`locked`, without blocking the event loop. The kernel does not tell when another process lets go."""
    while (held := _open(path, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_AGAIN_S)
    with _released(path, held):
        yield


def _open(path: Path, how: int) -> int | None:
    """A descriptor that holds the lock; None if another one has it, or has just removed the file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def _released(path: Path, descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
