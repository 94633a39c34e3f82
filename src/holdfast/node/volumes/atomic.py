"""A directory of small files that changes all at once for whoever watches it (V100, V104).

Real files lie in a hidden directory with a time for a name; `..data` is a link to it that is replaced by
rename, and the visible names are links through `..data`. Source: Kubernetes, pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

from holdfast.world import user_namespace

DATA = "..data"
NEW_DATA = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    mode: int
    uid: int | None = None
    """The owner, where it is not the agent."""


def write(directory: Path, files: Mapping[str, File], *, gid: int | None, now: datetime, random: Random) -> bool:
    """Makes `directory` show exactly `files`, by relative path. False if it did already: nothing is touched.

    Safe to stop anywhere: readers see the old state or the new one. Raises OSError.
    """
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        _give(directory, None, gid, 0o777 if gid is None else 0o2777)
    old = _current(directory)
    if old is not None and _holds(directory / old, files, gid):
        _link_names(directory, files)
        return False
    new = f"..{now:%Y_%m_%d_%H_%M_%S}.{random.randrange(10**9):09d}"
    _fill(directory / new, files, gid)
    link = directory / NEW_DATA
    link.unlink(missing_ok=True)
    link.symlink_to(new)
    os.replace(link, directory / DATA)
    _link_names(directory, files)
    for entry in os.scandir(directory):
        if entry.name.startswith("..2") and entry.name != new:
            shutil.rmtree(entry.path, ignore_errors=True)
    return True


def _current(directory: Path) -> str | None:
    try:
        return os.readlink(directory / DATA)
    except OSError:
        return None


def _holds(directory: Path, files: Mapping[str, File], gid: int | None) -> bool:
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    if found.keys() != files.keys():
        return False
    for name, path in found.items():
        status = path.stat()
        if status.st_mode & 0o7777 != files[name].mode or (gid is not None and status.st_gid != gid):
            return False
        if path.read_bytes() != files[name].content:
            return False
    return True


def _fill(directory: Path, files: Mapping[str, File], gid: int | None) -> None:
    directory.mkdir(mode=0o755)
    _give(directory, None, gid, 0o755 if gid is None else 0o2775)
    for name, file in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_bytes(file.content)
        _give(path, file.uid, gid, file.mode)


def _give(path: Path, uid: int | None, gid: int | None, mode: int) -> None:
    if uid is not None or gid is not None:
        user_namespace.give(path, -1 if uid is None else uid, -1 if gid is None else gid)
    path.chmod(mode)


def _link_names(directory: Path, files: Mapping[str, File]) -> None:
    """First path elements only; links of names that are gone are removed."""
    wanted = {name.split("/", 1)[0] for name in files}
    for name in wanted:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in os.scandir(directory):
        if not entry.name.startswith("..") and entry.name not in wanted:
            os.unlink(entry.path)
