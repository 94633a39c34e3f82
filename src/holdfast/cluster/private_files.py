"""Files that only their owner may read, which are whole whenever somebody looks."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


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
