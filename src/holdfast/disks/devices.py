"""Block volumes: images without a file system, that pods have as devices.

A device of a mounted image is kept by the mounts. Nobody has these open when no program works with them, so each use
is marked by a mount of the device's node on a file of the pod's, and the device stays as long as there are marks: the
mount table is the record (R130). The first mark tells the device to stay, the last that goes tells it to go with
whoever has it open; in between, a lock on the device keeps others away. So whatever dies leaves a device with a mark,
or none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from holdfast.world import linux, mount_table

from . import Disk, loops
from .locking import locked

SECTOR_BYTES = 512
"""Of every block volume, its copies included: file systems that users make count on the size that they have seen."""


def attach(disk: Disk, point: Path) -> None:
    """Has the volume's device on `point`, a file that is made; nothing happens if it is there. Raises OSError."""
    with locked(disk.path):
        file = os.open(disk.image, os.O_RDWR | os.O_CLOEXEC)
        try:
            if is_device(point):
                if point.stat().st_rdev == _number(disk):
                    return
                release(point)  # of a device that went with an agent that died
            point.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            point.touch(mode=0o600)
            disk.used.touch()
            status = os.fstat(file)
            image = (status.st_dev, status.st_ino)
            loops.use(disk.image, file, lambda device: _mark(device, image, point), before=lambda: SECTOR_BYTES)
        finally:
            os.close(file)


def release(point: Path) -> None:
    """Takes the mark away, and the device if that was the last one. Raises OSError."""
    number = point.stat().st_rdev if is_device(point) else 0
    if os.major(number) != loops.MAJOR:
        linux.unmount(str(point))
        return
    with _held(loops.node_of(os.minor(number))) as device:  # by its mark it would keep that from being unmounted
        if _is_last(point):
            with contextlib.suppress(OSError):  # it is gone already
                loops.keep(device, stays=False)
        linux.unmount(str(point))


def is_device(point: Path) -> bool:
    """Whether a device is there."""
    try:
        return stat.S_ISBLK(point.stat().st_mode)
    except OSError:
        return False


def _number(disk: Disk) -> int:
    device = loops.find(disk.image)
    return loops.number_of(device) if device else 0


def _mark(device: str, image: tuple[int, int], point: Path) -> None:
    with _held(device) as descriptor:
        if loops.served_by(descriptor) != image:
            raise OSError(errno.ENXIO, "the device has just gone", device)
        linux.mount(device, str(point), flags=linux.MS_BIND)
        loops.keep(descriptor, stays=True)


def _is_last(point: Path) -> bool:
    mounts = mount_table.mounts()
    own = next((mount for mount in reversed(mounts) if mount.point == str(point)), None)
    return own is None or not any(
        (mount.device, mount.root) == (own.device, own.root) and mount.point != own.point for mount in mounts
    )


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    """The device, open and locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
