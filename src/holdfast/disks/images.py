"""ext4 in a sparse file: made whole or not at all, grown while nothing has it attached (R126, R128).

Its root directory is as a provisioned directory's would be: empty, and writable for everyone (V44). Databases refuse
to start in a directory with `lost+found` in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path

from . import DEVICE, IMAGE, Disk, loops
from .locking import locked
from .programs import run

LEAST_BYTES = 1 << 20
BLOCK_BYTES = 4096
SMALL_BYTES, SMALL_BLOCK_BYTES = 64 << 20, 1024
"""Below this size a journal of large blocks would take most of a volume."""
_SUPERBLOCK, _MAGIC = 1024, 0xEF53
_ERRORS = 0x2
_CORRECTED = (0, 1)
"""What e2fsck may return: nothing was wrong, or all that was is corrected."""


def image_bytes(wanted_bytes: int) -> int:
    """The size of an image for a volume of `wanted_bytes`: whole blocks, and no less than a file system needs."""
    return max(LEAST_BYTES, -(-wanted_bytes // BLOCK_BYTES) * BLOCK_BYTES)


def make(disk: Disk, wanted_bytes: int) -> None:
    """An empty volume of that size; nothing happens if there is one already. Raises OSError."""
    disk.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(disk.path) as lock:
        if disk.exists:
            return
        start_draft(disk, image_bytes(wanted_bytes))
        options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        blocks = SMALL_BLOCK_BYTES if wanted_bytes < SMALL_BYTES else BLOCK_BYTES
        run(["mkfs.ext4", "-q", "-F", "-m0", "-b", str(blocks), "-E", options, str(disk.draft)], keeps=[lock])
        _tidy(disk.draft, lock, "sif <2> mode 040777")
        publish(disk)


def make_device(disk: Disk, wanted_bytes: int) -> None:
    """A block volume of that size; nothing happens if there is a volume already. Raises OSError."""
    disk.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(disk.path):
        if not disk.exists:
            start_draft(disk, image_bytes(wanted_bytes))
            publish(disk, DEVICE)


def grow(disk: Disk, wanted_bytes: int) -> bool:
    """Makes the image at least that large; whether the file system fills it now.

    It does unless the volume is attached: then its node makes the file system grow. A device shows its size at once.
    Raises OSError.
    """
    with locked(disk.path) as lock:
        if image_bytes(wanted_bytes) > disk.image.stat().st_size:
            os.truncate(disk.image, image_bytes(wanted_bytes))
        if disk.is_device:
            if device := loops.find(disk.image):
                loops.take_in_size(device)
            return True
        if loops.find(disk.image):
            return not has_room(disk.image)
        fill(disk.image, lock)
        return True


def fill(image: Path, lock: int) -> None:
    """Makes the file system whole, and as large as its image, which must not be attached. Raises OSError.

    One that met an error, such as a full disk below it, is not to be written to before it has been looked through.
    """
    if has_errors(image):
        run(["e2fsck", "-f", "-p", str(image)], keeps=[lock], accepts=_CORRECTED)
    if not has_room(image):
        return
    run(["e2fsck", "-f", "-p", str(image)], keeps=[lock], accepts=_CORRECTED)
    run(["resize2fs", str(image)], keeps=[lock])
    _tidy(image, lock)  # e2fsck wants one to be there


def has_room(image: Path) -> bool:
    """Whether the image is larger than the file system in it. Raises OSError if there is none."""
    return image.stat().st_size >= filesystem_bytes(image) + BLOCK_BYTES


def has_errors(image: Path) -> bool:
    """Whether the kernel has met an error in the file system. Raises OSError if there is none."""
    state: int = struct.unpack_from("<H", _superblock(image), 0x3A)[0]
    return bool(state & _ERRORS)


def filesystem_bytes(image: Path) -> int:
    """As the superblock on disk has it. Raises OSError if there is none."""
    low, high = (struct.unpack_from("<I", _superblock(image), at)[0] for at in (0x4, 0x150))
    count: int = low | high << 32
    return count * block_bytes(image)


def block_bytes(image: Path) -> int:
    """In what blocks its file system writes. Raises OSError if there is none."""
    logarithm: int = struct.unpack_from("<I", _superblock(image), 0x18)[0]
    return 1024 << logarithm


def was_mounted(disk: Disk) -> bool:
    """Whether anybody ever could write to the volume. Raises OSError if there is no file system."""
    if disk.is_device:
        return disk.used.exists()
    count: int = struct.unpack_from("<H", _superblock(disk.image), 0x34)[0]
    return count > 0


def _superblock(image: Path) -> bytes:
    with image.open("rb") as file:
        file.seek(_SUPERBLOCK)
        superblock = file.read(1024)
    if len(superblock) < 1024 or struct.unpack_from("<H", superblock, 0x38)[0] != _MAGIC:
        raise OSError(errno.EUCLEAN, "no ext4 file system", str(image))
    return superblock


def require_detached(disk: Disk) -> None:
    """Raises OSError while anything has the volume mounted."""
    if disk.exists and (device := loops.find(disk.image)):
        raise OSError(errno.EBUSY, f"the volume is still mounted from {device}", str(disk.path))


def publish(disk: Disk, name: str = IMAGE) -> None:
    """The draft is whole: from now on it is the volume, also after a power failure."""
    descriptor = os.open(disk.draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(disk.draft, disk.path / name)
    directory = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def start_draft(disk: Disk, size_bytes: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        disk.draft.unlink()
    descriptor = os.open(disk.draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def _tidy(image: Path, lock: int, *requests: str) -> None:
    """What is in `lost+found` stays there: then debugfs refuses, and says so where nobody listens."""
    run(["debugfs", "-w", "-f", "-", str(image)], keeps=[lock], text="\n".join(["rmdir lost+found", *requests, ""]))
