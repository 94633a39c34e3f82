"""How much of a disk a directory takes. Blocks: call it in a thread."""

from __future__ import annotations

import os
from pathlib import Path


def tree_bytes(top: Path) -> int:
    """Blocks taken by everything below `top` on its own file system; a file with several names counts once.

    What vanishes meanwhile, or cannot be read, counts as nothing.
    """
    total, seen, waiting = 0, set[tuple[int, int]](), [os.fspath(top)]
    try:
        device = os.lstat(top).st_dev
    except OSError:
        return 0
    while waiting:
        path = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                is_directory = entry.is_dir(follow_symlinks=False)
            except OSError:
                continue
            if status.st_dev != device or (status.st_nlink > 1 and (status.st_dev, status.st_ino) in seen):
                continue
            if status.st_nlink > 1 and not is_directory:
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            if is_directory:
                waiting.append(entry.path)
    return total
