"""Volumes mounted, unmounted, and grown while they are mounted."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from holdfast.world import linux

from . import Disk, images, loops
from .locking import locked

OPTIONS = "errors=remount-ro,noinit_itable,discard"
"""Inode tables of a sparse image are zero as they are: nobody needs to write them. The disk gets back what is
deleted."""
_FLAGS = {
    "ro": linux.MS_RDONLY,
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "rw": 0,
    "defaults": 0,
}
_RESIZE = 0x40086610
ERRORS = Path("/sys/fs/ext4")


def mount(disk: Disk, directory: Path, options: Sequence[str] = ()) -> None:
    """Mounts the volume on `directory`; nothing happens if it is mounted there already.

    What of the file system was left to grow grows now, unless another mount has it (V66). `options` are mount(8)'s.
    Raises OSError.
    """
    with locked(disk.path) as lock:
        file = os.open(disk.image, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not _is_mounted(disk, directory):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                _mount(disk, file, lock, directory, options)
        finally:
            os.close(file)


def unmount(directory: Path) -> None:
    """Raises OSError."""
    linux.unmount(str(directory))


def grow(disk: Disk, directory: Path) -> bool:
    """Has the file system mounted on `directory` fill its image; False where this process may not (R128).

    Then it grows with the next mount that is the only one. Raises OSError.
    """
    with locked(disk.path):
        if not _is_mounted(disk, directory):
            raise OSError(errno.EINVAL, "the volume is not mounted", str(directory))
        if not images.has_room(disk.image):
            return True
        loops.take_in_size(loops.find(disk.image))
        return resize_mounted(directory, disk.image.stat().st_size)


def resize_mounted(directory: Path, size_bytes: int) -> bool:
    """Online growth of the ext4 that is mounted there; False without the right to. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        blocks = size_bytes // os.fstatvfs(descriptor).f_bsize
        fcntl.ioctl(descriptor, _RESIZE, struct.pack("=Q", blocks))
        linux.syncfs(str(directory))  # what is grown is to be read from the image
    except PermissionError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_mounted(disk: Disk, directory: Path) -> bool:
    """Whether the volume is mounted there. Raises OSError if something else is (V143)."""
    if not os.path.ismount(directory):
        return False
    device = loops.find(disk.image)
    if device and os.stat(directory).st_dev == loops.number_of(device):
        return True
    raise OSError(errno.EBUSY, "something else is mounted here", str(directory))


def _mount(disk: Disk, file: int, lock: int, directory: Path, options: Sequence[str]) -> None:
    flags, data = _parsed(options)

    def mount_from(device: str) -> None:
        if _has_stopped(device):
            raise OSError(
                errno.EUCLEAN, "its file system met an error and stopped; waiting for other pods to let go of it"
            )
        linux.mount(device, str(directory), "ext4", flags, data)

    def fill() -> int:
        images.fill(disk.image, lock)
        block_bytes = images.block_bytes(disk.image)
        return block_bytes if block_bytes < images.BLOCK_BYTES else 0

    loops.use(disk.image, file, mount_from, before=fill)


def _has_stopped(device: str) -> bool:
    """Whether its file system is read-only for an error, such as a full disk below it, until nobody has it any more."""
    try:
        return int((ERRORS / device.rpartition("/")[2] / "errors_count").read_text()) > 0
    except OSError:
        return False  # nobody has it


def _parsed(options: Sequence[str]) -> tuple[int, str]:
    flags, data = _FLAGS["noatime"], [OPTIONS]
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            data.append(option)
    return flags, ",".join(data)
