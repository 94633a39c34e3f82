"""Copies of plain directories: files that share their blocks where the disk can, else plain copies.

Nothing is made to stand still: what is written while the copy is made may be in it or not (V124).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .locking import locked
from .programs import run

_GONE = "No such file or directory"


def copy(source: Path, target: Path, drafts: Path) -> None:
    """`target` becomes a directory with what is in `source`; nothing happens if it is there already.

    It is made in `drafts`, a directory of its own on the same disk, and has its name once it is whole. What is removed
    from `source` meanwhile is left out. Blocks its thread. Raises OSError; then there is no target.
    """
    drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(drafts) as lock:
        if target.exists():
            return
        draft = drafts / "tree.new"
        if draft.exists():
            shutil.rmtree(draft)
        run(["cp", "-a", "--reflink=auto", "-T", str(source), str(draft)], keeps=[lock], forgives=_GONE)
        draft.rename(target)
