"""Who may read what is written: files for their owner alone, whole whenever somebody looks; all others."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

USUAL_UMASK = 0o022


def set_usual_umask() -> None:
    """For this process and those that it starts: what is made for pods is read by whomever pods run as.

    Some machines give their users 077. What is private says so itself, and all is below a directory that is.
    """
    os.umask(USUAL_UMASK)


def write_private(path: Path, data: bytes) -> None:
    """Writes such a file, whole or not at all; what is there already takes no room.

    It is on disk before it gets its name: some file systems have an empty one otherwise after a power failure.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data and stat.S_IMODE(path.stat().st_mode) == 0o600:
            return
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
