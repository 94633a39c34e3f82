"""Whether volumes can have a size here: found by making one (R70, R126)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.world import linux

from . import loops, programs
from .images import BLOCK_BYTES
from .mounting import resize_mounted

_TRIED_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Sizing:
    """What this machine can do for volumes with a size."""

    obstacle: str
    """Why there can be none, in words; empty if there can."""
    grows_mounted: bool
    """Whether file systems grow while they are mounted; if not, with their next mount."""


def find_out(directory: Path) -> Sizing:
    """Makes a small file system on the disk of `directory`, attaches and mounts it where nobody else sees.

    Leaves nothing, even if it is killed half-way: the file has no name. Blocks its thread, for some 50 ms.
    """
    if absent := programs.missing():
        return Sizing(f"not installed: {', '.join(absent)}", False)
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.truncate(_TRIED_BYTES)
            return _try(file.fileno(), directory)
    except OSError as error:
        return Sizing(error.strerror or str(error), False)


def _try(file: int, directory: Path) -> Sizing:
    programs.run(["mkfs.ext4", "-q", "-F", "-b", str(BLOCK_BYTES), f"/proc/self/fd/{file}"], keeps=[file])
    device, held = loops.attach(file)
    try:
        return linux.in_new_thread(_mounts(device, str(directory)))
    finally:
        os.close(held)


def _mounts(device: str, directory: str) -> Callable[[], Sizing]:
    def attempt() -> Sizing:
        linux.unshare(linux.CLONE_FS | linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        linux.mount(device, directory, "ext4")
        try:
            return Sizing("", resize_mounted(Path(directory), _TRIED_BYTES))
        finally:
            with contextlib.suppress(OSError):
                linux.unmount(directory)

    return attempt
