"""The directories of local volumes on this machine's filesystem."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from .effects import ShareWork

MOUNT_TABLE = Path("/proc/self/mountinfo")


class LocalDirectories:
    """Creates and removes below the given roots only, whatever path it is handed (V136).

    File work runs in asyncio's executor: removing a large volume must not stop the event loop.
    """

    def __init__(
        self,
        roots: Sequence[str],
        mount_table: Path = MOUNT_TABLE,
        empty_share: Callable[[ShareWork], Awaitable[None]] | None = None,
    ) -> None:
        """`empty_share` does that part of `VolumeDirectories`, which needs an NFS client."""
        self._roots = tuple(os.path.realpath(root) for root in roots)
        self._mount_table = mount_table
        self._empty_share = empty_share

    async def create(self, path: str) -> None:
        await asyncio.to_thread(self._create, path)

    async def remove(self, path: str) -> None:
        await asyncio.to_thread(self._remove, path)

    async def empty(self, path: str) -> None:
        await asyncio.to_thread(self._empty, path)

    async def empty_share(self, work: ShareWork) -> None:
        if self._empty_share is None:
            raise OSError(errno.ENOSYS, "there is no NFS client")
        await self._empty_share(work)

    def _create(self, path: str) -> None:
        self._require_below_root(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.mkdir(path)
        except FileExistsError:
            if os.path.islink(path) or not os.path.isdir(path):
                raise
            return
        os.chmod(path, 0o777)  # mkdir's own mode is cut by the umask

    def _remove(self, path: str) -> None:
        self._require_below_root(path)
        if not os.path.lexists(path):
            return
        self._require_no_mounts(path)
        _remove_contents(path)
        os.rmdir(path)

    def _empty(self, path: str) -> None:
        """Anywhere: an administrator names the path of a volume to be recycled. Never through a symbolic link."""
        if os.path.realpath(path) != os.path.normpath(path) or os.path.normpath(path) == "/":
            raise PermissionError(errno.EPERM, "not a directory of its own", path)
        self._require_no_mounts(path)
        _remove_contents(path)

    def _require_below_root(self, path: str) -> None:
        parent = os.path.realpath(os.path.dirname(path))
        name = os.path.basename(path)
        inside = any(parent == root or parent.startswith(root.rstrip("/") + "/") for root in self._roots)
        if not inside or name in ("", ".", ".."):
            raise PermissionError(errno.EPERM, "not below the directory of volumes", path)

    def _require_no_mounts(self, path: str) -> None:
        """A bind mount may be of the same device, so comparing devices would not find it (N201)."""
        below = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        try:
            table = self._mount_table.read_text(errors="surrogateescape")
        except FileNotFoundError:
            return
        for line in table.splitlines():
            mounted = _unescape(line.split(" ", 5)[4])
            if mounted == below or mounted.startswith(below + "/"):
                raise OSError(errno.EBUSY, "still mounted", mounted)


def _unescape(text: str) -> str:
    """Mount points with blanks and backslashes as the kernel prints them: octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _remove_contents(path: str) -> None:
    """Deletes by directory descriptors, so that no path is resolved twice and no link is followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _remove_below(descriptor, os.fstat(descriptor).st_dev)
    finally:
        os.close(descriptor)


def _remove_below(directory: int, device: int) -> None:
    for name in os.listdir(directory):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=directory)
            continue
        child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            if os.fstat(child).st_dev != device:
                raise OSError(errno.EXDEV, "another filesystem is mounted here", name)
            _remove_below(child, device)
        finally:
            os.close(child)
        os.rmdir(name, dir_fd=directory)
