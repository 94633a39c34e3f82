"""subPath: a part of a volume, which no symbolic link may lead out of (V106, V107)."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

NO_SUBPATH = 3
"""Exit status of this module as a program: the output says why."""


class SubpathFailure(Exception):
    """The path cannot be had, or leads out of its volume."""


def resolve(volume: Path, subpath: str, *, is_read_only: bool = False) -> Path:
    """The real path of `subpath` inside `volume`; missing directories are made like the volume's root.

    The walk goes by file descriptors, one name at a time; a link is followed only where it stays inside.
    Raises SubpathFailure.
    """
    parts = Path(subpath).parts
    if Path(subpath).is_absolute() or ".." in parts:
        raise SubpathFailure(f'subpath "{subpath}" must be relative and must not contain ".."')
    if not volume.is_dir():
        raise SubpathFailure(f"{volume} is not a directory")
    root = os.path.realpath(volume)
    target = os.path.realpath(os.path.join(root, subpath))
    if target != root and not target.startswith(root.rstrip("/") + "/"):
        raise SubpathFailure(f'subpath "{subpath}" leads out of the volume')
    try:
        _make(root, Path(target).relative_to(root).parts, is_read_only)
    except OSError as error:
        raise SubpathFailure(f'subpath "{subpath}": {error.strerror}') from error
    return Path(target)


def read_text(volume: Path, path: str, most_bytes: int) -> str | None:
    """What a file of the volume says, as far as that; None if it is not there, or not inside."""
    root, target = os.path.realpath(volume), os.path.realpath(volume / path)
    if not target.startswith(root.rstrip("/") + "/"):
        return None
    try:
        with open(target, "rb") as file:
            return file.read(most_bytes).decode(errors="replace")
    except OSError:
        return None


def _make(root: str, names: tuple[str, ...], is_read_only: bool) -> None:
    """Directories that are missing, never through a link that appeared since the path was resolved."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        for position, name in enumerate(names):
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                if is_read_only:
                    raise
                os.mkdir(name, dir_fd=directory)
                os.chmod(name, mode, dir_fd=directory)
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if position == len(names) - 1 and not stat.S_ISDIR(status.st_mode):
                return
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = below
    finally:
        os.close(directory)


def main(given: Sequence[str]) -> int:
    """`resolve` as a program, for volumes that may hang."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.node.volumes.subpath")
    parser.add_argument("volume", type=Path)
    parser.add_argument("subpath")
    parser.add_argument("--read-only", action="store_true")
    arguments = parser.parse_args(given)
    try:
        found = resolve(arguments.volume, arguments.subpath, is_read_only=arguments.read_only)
    except SubpathFailure as failure:
        sys.stdout.write(f"{failure}\n")
        return NO_SUBPATH
    sys.stdout.buffer.write(os.fsencode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
