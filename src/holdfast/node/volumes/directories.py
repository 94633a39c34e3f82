"""Volumes that are a directory of this machine: emptyDir, hostPath, local (V85-V87)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from holdfast.node.pod import Pod

from . import MountFailure, Source


class EmptyDir:
    """A directory of the pod's own, on the disk."""

    has_ownership = True
    is_in_memory = False

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        try:
            _make_writable_by_all(directory)
        except OSError as error:
            raise MountFailure(source.name, str(error)) from error
        return directory

    async def unmount(self, directory: Path) -> None: ...


class HostPath:
    """A path of this machine, by its type; fsGroup never applies."""

    has_ownership = False
    is_in_memory = False

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        path = Path(str(source.details.get("path") or "/"))
        check = _CHECKS.get(str(source.details.get("type") or ""))
        try:
            problem = check(path) if check else "has an unknown type"
        except OSError as error:
            raise MountFailure(source.spec_name, f"{error.strerror}: {path}") from error
        if problem:
            raise MountFailure(source.spec_name, f"hostPath type check failed: {path} {problem}")
        return path

    async def unmount(self, directory: Path) -> None: ...


class Local:
    """A PersistentVolume's directory of this node; it must be there (V86)."""

    has_ownership = True
    is_in_memory = False

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        path = Path(str(source.details.get("path") or "/"))
        if problem := _unfit(path):
            raise MountFailure(source.spec_name, f'path "{path}" {problem}')
        return path

    async def attach(self, source: Source, directory: Path) -> Path:
        path = Path(str(source.details.get("path") or "/"))
        if not path.is_block_device():
            problem = "is not a block device" if path.exists() else "does not exist"
            raise MountFailure(source.spec_name, f'path "{path}" {problem}', is_device=True)
        return path

    async def unmount(self, directory: Path) -> None: ...


def _make_writable_by_all(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) & 0o777 != 0o777:
        directory.chmod(0o777)


def _unfit(path: Path) -> str:
    if not path.exists():
        return "does not exist"
    return "" if path.is_dir() else "is not a directory"


def _unchecked(path: Path) -> str:
    """A missing directory is made, as a container runtime would (V85)."""
    if not os.path.lexists(path):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ""


def _directory_or_create(path: Path) -> str:
    if not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return _directory(path)


def _file_or_create(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o644)
    return _file(path)


def _directory(path: Path) -> str:
    return "" if path.is_dir() else "is not a directory"


def _file(path: Path) -> str:
    return "" if path.is_file() else "is not a file"


_CHECKS: dict[str, Callable[[Path], str]] = {
    "": _unchecked,
    "DirectoryOrCreate": _directory_or_create,
    "Directory": _directory,
    "FileOrCreate": _file_or_create,
    "File": _file,
    "Socket": lambda path: "" if path.is_socket() else "is not a socket file",
    "CharDevice": lambda path: "" if path.is_char_device() else "is not a character device",
    "BlockDevice": lambda path: "" if path.is_block_device() else "is not a block device",
}
