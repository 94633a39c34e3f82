"""The programs that know file systems: e2fsprogs."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
NEEDED = ("mkfs.ext4", "e2fsck", "resize2fs", "debugfs")
WITHIN_S = 3600.0


def missing() -> list[str]:
    """Those that are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=SEARCH_PATH) is None]


def run(
    command: Sequence[str],
    *,
    keeps: Sequence[int] = (),
    text: str = "",
    accepts: Sequence[int] = (0,),
    forgives: str = "",
) -> str:
    """What the program prints. It inherits the descriptors in `keeps`, such as a lock.

    Complaints that end with `forgives` do not count. Blocks its thread. Raises OSError with the program's own words.
    """
    name = command[0]
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        package = "xfsprogs" if name.endswith("xfs") else "e2fsprogs"
        raise OSError(errno.ENOENT, f"{name} is not installed (apt install {package})")
    try:
        done = subprocess.run(
            [path, *command[1:]],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=tuple(keeps),
            start_new_session=True,
            timeout=WITHIN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"{name} did not end within {WITHIN_S:g} s") from error
    if done.returncode not in accepts:
        words = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        if forgives and words and all(line.endswith(forgives) for line in words):
            return done.stdout
        raise OSError(errno.EIO, f"{name} failed: {words[-1] if words else f'exit status {done.returncode}'}")
    return done.stdout
