"""fsGroup: a volume's files are made the group's (V108). Errors are logged, not fatal. Also a program of its own."""

from __future__ import annotations

import argparse
import logging
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.world import user_namespace

log = logging.getLogger(__name__)

READ_WRITE = 0o660
READ_ONLY = 0o440
SET_GID = 0o2000
EXECUTE = 0o110


def give_to_group(top: Path, gid: int, *, is_read_only: bool, policy: str) -> None:
    """Group and bits for everything below `top`, symbolic links not followed.

    `policy` OnRootMismatch leaves everything as it is if the root already fits.
    """
    bits = READ_ONLY if is_read_only else READ_WRITE
    if policy == "OnRootMismatch" and _fits(top, gid, bits):
        return
    for directory, _, files in os.walk(top, topdown=False):
        for name in files:
            _give(os.path.join(directory, name), gid, bits)
        _give(directory, gid, bits | SET_GID | EXECUTE)


def _fits(top: Path, gid: int, bits: int) -> bool:
    status = top.stat()
    wanted = bits | SET_GID | EXECUTE
    return status.st_gid == gid and status.st_mode & wanted == wanted


def _give(path: str, gid: int, bits: int) -> None:
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return
        if status.st_gid != gid:
            user_namespace.give(path, -1, gid)
        if status.st_mode & bits != bits:
            os.chmod(path, stat.S_IMODE(status.st_mode) | bits)
    except OSError as error:
        log.warning("fsGroup not applied path=%s error=%s", path, error)


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.node.volumes.ownership")
    parser.add_argument("path", type=Path)
    parser.add_argument("gid", type=int)
    parser.add_argument("policy")
    parser.add_argument("--read-only", action="store_true")
    arguments = parser.parse_args(given)
    give_to_group(arguments.path, arguments.gid, is_read_only=arguments.read_only, policy=arguments.policy)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
