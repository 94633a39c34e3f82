"""The directories of local volumes on this machine's filesystem."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from holdfast.disks import Disk, images
from holdfast.disks.capability import Sizing, find_out
from holdfast.disks.locking import locked
from holdfast.disks.pool import Pool
from holdfast.world import mount_table, removal

from . import copies, marks
from .effects import Backing, Cut, ShareWork

KEPT_BYTES, KEPT_SHARE = 512 << 20, 20
"""Where less of the disk is free, and less than that part of it, no volumes are made: half of when pods are evicted."""


class LocalDirectories:
    """Creates and removes below the given roots only, whatever path it is handed (V136).

    File work runs in asyncio's executor: removing a large volume must not stop the event loop.
    """

    def __init__(
        self,
        roots: Sequence[str],
        mount_table: Path = mount_table.TABLE,
        *,
        may_size: bool = False,
        obstacle: str = "",
        on_share: Callable[[ShareWork], Awaitable[Any]] | None = None,
    ) -> None:
        """Volumes are made below the first root. `may_size` is whether nodes here can mount images.

        `obstacle` is why not, where that has to be told.
        `on_share` does that part of `VolumeDirectories`, which needs an NFS client.
        """
        self._roots = tuple(os.path.realpath(root) for root in roots)
        self._pool = Pool(Path(roots[0]))
        self._mount_table = mount_table
        self._sizing = None if may_size else Sizing(obstacle, grows_mounted=False)
        self._may_size = may_size
        self._on_share = on_share
        self._taking = asyncio.Lock()

    async def backing(self, size_bytes: int) -> Backing:
        """Images wherever they can be had, but not of what the disk could never hold; nothing on a disk that is full.

        Images may promise more than the disk has: the last of it is for what they hold already.
        """
        status = os.statvfs(self._roots[0])
        free_bytes, disk_bytes = (blocks * status.f_frsize for blocks in (status.f_bavail, status.f_blocks))
        left = f"only {free_bytes >> 20}Mi of {self._roots[0]} are free"
        if free_bytes < min(KEPT_BYTES, disk_bytes // KEPT_SHARE):
            return Backing(refusal=f"rpc error: code = ResourceExhausted desc = {left}")
        if self._sizing is None:
            self._sizing = await asyncio.to_thread(find_out, Path(self._roots[0]))
        if not self._may_size or self._sizing.obstacle:
            return Backing(False, self._sizing.obstacle and f"volumes with a size need {self._sizing.obstacle}")
        if size_bytes > free_bytes:
            return Backing(False, left)
        return Backing(is_sized=True)

    async def create(self, path: str) -> None:
        await asyncio.to_thread(self._create, path)

    async def create_sized(self, path: str, size_bytes: int, is_device: bool = False) -> None:
        await asyncio.to_thread(self._create_sized, path, size_bytes, is_device=is_device)

    async def is_image(self, path: str) -> bool:
        return await asyncio.to_thread(lambda: copies.is_image(self._place(path)))

    async def fill(self, path: str, source: str, size_bytes: int, is_device: bool = False) -> None:
        await asyncio.to_thread(self._fill, path, source, size_bytes, is_device=is_device)

    async def cut(self, path: str, source: str, of_image: bool) -> Cut:
        return await asyncio.to_thread(self._cut, path, source, of_image=of_image)

    async def cut_together(self, path: str, group: str, members: Sequence[tuple[str, str]]) -> Cut:
        async with self._taking:  # each member's turn comes, and the first takes all
            return await asyncio.to_thread(self._cut_together, path, group, members)

    async def look(self, path: str) -> Cut:
        return await asyncio.to_thread(lambda: copies.look(self._place(path)))

    async def grow(self, path: str, size_bytes: int) -> bool:
        return await asyncio.to_thread(lambda: images.grow(Disk(Path(self._place(path))), size_bytes))

    async def discard(self, path: str) -> None:
        await asyncio.to_thread(self._discard, path)

    async def settle(self, path: str) -> None:
        self._require_below_root(path)
        marks.take_away(path)

    def is_unsettled(self, path: str) -> bool:
        return marks.is_there(path)

    def remains(self, path: str) -> str:
        return marks.read(path)

    def unsettled(self, root: str) -> list[str]:
        return marks.all_below(root)

    async def remove(self, path: str) -> None:
        await asyncio.to_thread(self._remove, path)

    async def empty(self, path: str, deadline_s: float) -> None:
        """A thread cannot be ended from outside: were it to go on, it would delete what the next user writes."""
        overdue = threading.Event()
        timer = asyncio.get_running_loop().call_later(deadline_s, overdue.set)
        try:
            await asyncio.to_thread(self._empty, path, overdue)
        finally:
            timer.cancel()
            overdue.set()

    async def on_share(self, work: ShareWork) -> Any:
        if self._on_share is None:
            raise OSError(errno.ENOSYS, "there is no NFS client")
        if work.remains:
            self._require_below_root(work.settles)
            marks.put(work.settles, work.remains)
        return await self._on_share(work)

    def _create(self, path: str) -> None:
        self._require_below_root(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        marks.put(path)
        try:
            os.mkdir(path)
        except FileExistsError:
            if os.path.islink(path) or not os.path.isdir(path):
                raise
            return
        os.chmod(path, 0o777)  # mkdir's own mode is cut by the umask

    def _create_sized(self, path: str, size_bytes: int, *, is_device: bool) -> None:
        self._require_below_root(path)
        marks.put(path)
        self._pool.make()
        make = images.make_device if is_device else images.make
        make(Disk(Path(self._place(path))), size_bytes)

    def _fill(self, path: str, source: str, size_bytes: int, *, is_device: bool) -> None:
        origin = self._place(source)
        place = self._place(path, like=origin)
        if copies.is_image(origin) and not self._may_size:
            raise OSError(
                errno.EOPNOTSUPP, "the source has a size of its own, and nodes here cannot mount such", source
            )
        marks.put(path)
        copies.fill(place, origin, size_bytes, is_device=is_device)

    def _cut(self, path: str, source: str, *, of_image: bool) -> Cut:
        origin = self._place(source)
        return copies.cut(self._place(path, like=origin), origin, of_image=of_image)

    def _cut_together(self, path: str, group: str, members: Sequence[tuple[str, str]]) -> Cut:
        places = [(handle, self._place(volume)) for handle, volume in members]
        outside = next((place for (_, place), (_, path) in zip(places, members, strict=True) if place == path), None)
        taken = self._place(path, like=outside or places[0][1])
        copies.cut_together(os.path.dirname(os.path.dirname(taken)), group, places)
        return copies.look(taken)

    def _discard(self, path: str) -> None:
        """Its volume may have been there for a moment, and may have been deleted so that its data stays."""
        copies.discard_drafts(path)
        disk = Disk(Path(self._place(path)))
        if disk.draft.exists() or (disk.exists and not images.was_mounted(disk)):
            self._remove(path)
            return
        self._require_below_root(path)
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise

    def _remove(self, path: str) -> None:
        place = self._place(path)
        for each in {path, place}:
            copies.forget(each)
        if not os.path.lexists(place):
            return
        removal.require_no_mounts(place, self._mount_table)
        with locked(Path(place)):
            images.require_detached(Disk(Path(place)))
            _remove_contents(place)
            os.rmdir(place)

    def _empty(self, path: str, overdue: threading.Event) -> None:
        """Anywhere: an administrator names the path of a volume to be recycled. Never through a symbolic link."""
        if os.path.realpath(path) != os.path.normpath(path) or os.path.normpath(path) == "/":
            raise PermissionError(errno.EPERM, "not a directory of its own", path)
        removal.require_no_mounts(path, self._mount_table)
        _remove_contents(path, overdue)

    def _place(self, path: str, like: str = "") -> str:
        """Where what the API knows by that path is, or would be made; what is like another one is beside it.

        Raises OSError.
        """
        self._require_below_root(path)
        return str(self._pool.place(Path(path), Path(like) if like else None))

    def _require_below_root(self, path: str) -> None:
        parent = os.path.realpath(os.path.dirname(path))
        name = os.path.basename(path)
        inside = any(parent == root or parent.startswith(root.rstrip("/") + "/") for root in self._roots)
        if not inside or name in ("", ".", ".."):
            raise PermissionError(errno.EPERM, "not below the directory of volumes", path)


def _remove_contents(path: str, overdue: threading.Event | None = None) -> None:
    """Raises TimeoutError as soon as `overdue` is set."""

    def go_on() -> None:
        if overdue is not None and overdue.is_set():
            raise TimeoutError

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        removal.empty(descriptor, go_on)
    finally:
        os.close(descriptor)
