"""What the agent reads of the machine it runs on, and the lock that keeps it the only one there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .hosts import Resolver, parse_resolver
from .image_garbage import Disk


def disk_of(directory: Path) -> Disk:
    status = os.statvfs(directory)
    return Disk(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def node_resolver(path: Path) -> Resolver:
    """The node's resolver; behind a local stub, the file of the real servers (N168)."""
    own = parse_resolver(read_text(path))
    if own.nameservers and all(address.startswith("127.") for address in own.nameservers):
        real = parse_resolver(read_text("/run/systemd/resolve/resolv.conf"))
        return real if real.nameservers else own
    return own


def read_text(path: str | Path) -> str:
    """Empty if it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@contextmanager
def only_one(state: Path | None) -> Iterator[None]:
    """Raises RuntimeError if another agent uses the directory (N203)."""
    if state is None:
        yield
        return
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(f"another agent uses {state}") from error
        yield
    finally:
        os.close(descriptor)
