"""Loop devices: one for each image, however many mounts there are, gone with the last of them.

Two devices on one image would be two file systems that do not know of each other, and the end of the data: whoever
attaches holds the volume's lock and looks for a device first. The kernel is the only record (R130); an image is
recognised by inode, since its path means another thing in each mount namespace.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

CONTROL = "/dev/loop-control"
BLOCK_DEVICES = Path("/sys/block")
ATTEMPTS = 50
ABOUT_TO_GO = (errno.ENXIO, errno.EBUSY)
GOING_TAKES_AT_MOST = 5

Result = TypeVar("Result")

_GET_FREE, _CONFIGURE, _SET_STATUS, _GET_STATUS, _SET_CAPACITY = 0x4C82, 0x4C0A, 0x4C04, 0x4C05, 0x4C07
_AUTOCLEAR, _DIRECT_IO = 4, 16
_STATUS = struct.Struct("=QQQQQIIII64s64s32sQQ")
_FLAGS_AT = 8
_CONFIG = struct.Struct("=II232s64x")
MAJOR = 7


def find(image: Path) -> str:
    """The device that serves the image; empty if none does. Raises OSError if there is no image."""
    status = image.stat()
    return attached().get((status.st_dev, status.st_ino), "")


def attached() -> dict[tuple[int, int], str]:
    """The devices in use, by device and inode of the file that they serve."""
    found = {}
    for entry in sorted(BLOCK_DEVICES.glob("loop*/loop"), reverse=True):
        device = f"/dev/{entry.parent.name}"
        if served := _served(device):
            found[served] = device
    return found


def attach(file: int, block_bytes: int = 0) -> tuple[str, int]:
    """A new device for an open image, and its descriptor: with its end, unless it is mounted by then, the device goes.

    Direct I/O where the disk below can do it for blocks of that size: otherwise memory would hold everything twice. By
    default the device has the blocks that suit direct I/O best: of a file that shares its blocks these may be larger
    than those of a file system that was made before. Raises OSError.
    """
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(ATTEMPTS):
            number = fcntl.ioctl(control, _GET_FREE)
            device = node_of(number)
            descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(descriptor, _CONFIGURE, _configuration(file, block_bytes))
                return device, descriptor
            except OSError as error:
                os.close(descriptor)
                if error.errno != errno.EBUSY:  # else somebody took it in between
                    raise
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free")


def use(image: Path, file: int, act: Callable[[str], Result], before: Callable[[], int] | None = None) -> Result:
    """What `act` makes of the image's device, such as a mount, which keeps the device from then on.

    `file` is the open image. Where there is no device yet, `before` comes first, and says in what blocks the image will
    be written (see `attach`). The caller holds the volume's lock. Raises OSError.
    """
    for attempt in range(GOING_TAKES_AT_MOST):
        device, held = find(image), -1
        if not device:
            device, held = attach(file, before() if before else 0)
        try:
            return act(device)
        except OSError as error:
            # The device was about to go when it was found.
            if held >= 0 or error.errno not in ABOUT_TO_GO or attempt == GOING_TAKES_AT_MOST - 1:
                raise
        finally:
            if held >= 0:
                os.close(held)
    raise AssertionError("unreachable")


def take_in_size(device: str) -> None:
    """Has the device notice that its image has grown. Raises OSError."""
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _SET_CAPACITY)
    finally:
        os.close(descriptor)


def keep(device: int, *, stays: bool) -> None:
    """Whether the open device outlives its last user; else it goes when nobody has it open. Raises OSError."""
    fields = list(_STATUS.unpack(fcntl.ioctl(device, _GET_STATUS, bytes(_STATUS.size))))
    fields[_FLAGS_AT] = fields[_FLAGS_AT] & ~_AUTOCLEAR | (0 if stays else _AUTOCLEAR)
    fcntl.ioctl(device, _SET_STATUS, _STATUS.pack(*fields))


def served_by(device: int) -> tuple[int, int] | None:
    """Device and inode of the file that the open device serves; None if it serves none."""
    try:
        answer = fcntl.ioctl(device, _GET_STATUS, bytes(_STATUS.size))
    except OSError:
        return None  # it has just been let go of
    backing_device, inode = _STATUS.unpack(answer)[:2]
    return backing_device, inode


def number_of(device: str) -> int:
    """Its device number, as `st_dev` of a file on it."""
    return os.stat(device).st_rdev


def _configuration(file: int, block_bytes: int) -> bytes:
    status = _STATUS.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR | _DIRECT_IO, b"", b"", b"", 0, 0)
    return _CONFIG.pack(file, block_bytes, status)


def _served(device: str) -> tuple[int, int] | None:
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return served_by(descriptor)
    finally:
        os.close(descriptor)


def node_of(number: int) -> str:
    """The path of the loop device with that number. Where nobody makes nodes for devices that appear, we do."""
    device = f"/dev/loop{number}"
    if not os.path.exists(device):
        os.mknod(device, 0o600 | stat.S_IFBLK, os.makedev(MAJOR, number))
    return device
