"""A place for images where copies share their blocks, on a disk that cannot do that by itself: XFS in a sparse file.

The pool is a file system as large as the disk, and takes from it what is written. It is mounted nowhere: whoever works
with its images holds a descriptor of its root, by which other processes reach it too. With the last descriptor
and the last image in use the kernel lets go of it, so there is nothing to take away after a crash (R126).
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
from pathlib import Path

from holdfast.world import linux

from . import Disk, copying, images, loops
from .locking import locked
from .programs import run

DIRECTORY = ".pool"
"""Below the directory of volumes."""
FILE_SYSTEM = "xfs"
MAKING = "mkfs.xfs"
LEAST_DISK_BYTES, MOST_BYTES = 2 << 30, (16 << 40) - (1 << 20)
"""A smaller disk has better uses for the log; a larger file ext4 cannot hold."""
LOG_BYTES = 64 << 20
"""The least that mkfs.xfs makes."""
WORTH_GROWING_BYTES = 1 << 30
OPTIONS = ("nouuid", "discard")
"""A data directory may have been copied; what images give back, the disk is to have."""
INODES_PERCENT = 25
_GROW = 0x4010586E

log = logging.getLogger(__name__)


class Pool:
    """Of one directory of volumes. Its methods block their thread and may be called from several."""

    def __init__(self, root: Path) -> None:
        """`root` is the directory for volumes."""
        self._volumes = root
        self._disk = Disk(root / DIRECTORY)
        self._root = -1
        self._lock = threading.Lock()
        self.obstacle = ""
        """Why no pool could be made when one was wanted."""

    def make(self) -> None:
        """Has one from now on, if that is of use and can be: `obstacle` says why not. Raises nothing."""
        with self._lock:
            if self.exists or self.obstacle:
                return
            try:
                self.obstacle = _needless(self._volumes)
                if not self.obstacle:
                    _make(self._disk, _wanted_bytes(self._volumes))
            except OSError as error:
                self.obstacle = error.strerror or str(error)

    @property
    def exists(self) -> bool:
        return self._disk.exists

    @property
    def is_in_use(self) -> bool:
        """Whether any process has it. Raises OSError."""
        return self.exists and bool(loops.find(self._disk.image))

    def place(self, volume: Path, like: Path | None = None) -> Path:
        """Where that volume or snapshot is, or would be made: in the pool, unless it is outside of it already.

        `volume` is its path below the directory of volumes. What is to share blocks with another one is made where
        `like`, the place of that, is. Raises OSError if the pool cannot be reached.
        """
        if not self.exists or os.path.lexists(volume) or not volume.is_relative_to(self._volumes):
            return volume
        root = self.open()
        pooled = root / volume.relative_to(self._volumes)
        is_apart = like is not None and not like.is_relative_to(root) and not pooled.exists()
        return volume if is_apart else pooled

    def open(self) -> Path:
        """Its root directory, for this process and others, as long as this one lives. Raises OSError."""
        with self._lock:
            if self._root < 0:
                self._root = _open(self._disk, _wanted_bytes(self._volumes))
            return Path(f"/proc/{os.getpid()}/fd/{self._root}")

    def close(self) -> None:
        """Lets go of it; who comes later opens it again."""
        with self._lock:
            if self._root >= 0:
                os.close(self._root)
                self._root = -1


def shares(directory: Path) -> bool:
    """Whether copies of files on that disk can share their blocks. Raises OSError."""
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    first = os.open(directory, flags, 0o600)
    try:
        os.write(first, b"\0")
        second = os.open(directory, flags, 0o600)
        try:
            return copying.share(first, second)
        finally:
            os.close(second)
    finally:
        os.close(first)


def try_out(directory: Path) -> str:
    """Why no pool can be on the disk of `directory`; empty if one can, or if that disk shares blocks by itself.

    Leaves nothing, even if it is killed half-way: the file has no name.
    """
    try:
        if shares(directory):
            return ""
        file = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, LEAST_DISK_BYTES)
            _format(Path(f"/proc/self/fd/{file}"), file)
            device, held = loops.attach(file)
            try:
                os.close(linux.open_unmounted(device, FILE_SYSTEM, OPTIONS))
            finally:
                os.close(held)
        finally:
            os.close(file)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _needless(volumes: Path) -> str:
    """Why a pool would not be worth its while; empty if it would. Raises OSError."""
    if shares(volumes):
        return "the disk shares blocks by itself"
    status = os.statvfs(volumes)
    if status.f_bavail * status.f_frsize < LEAST_DISK_BYTES:
        return "too little of the disk is free"
    return ""


def _wanted_bytes(volumes: Path) -> int:
    status = os.statvfs(volumes)
    return min(MOST_BYTES, max(LEAST_DISK_BYTES, status.f_blocks * status.f_frsize))


def _make(disk: Disk, size_bytes: int) -> None:
    disk.path.mkdir(mode=0o700, exist_ok=True)
    with locked(disk.path) as lock:
        if disk.exists:
            return
        images.start_draft(disk, size_bytes)
        _format(disk.draft, lock)
        images.publish(disk)


def _format(file: Path, keeps: int) -> None:
    run([MAKING, "-q", "-f", "-K", "-m", "reflink=1", "-l", f"size={LOG_BYTES}", str(file)], keeps=[keeps])


def _open(disk: Disk, wanted_bytes: int) -> int:
    """A descriptor of its root. Raises OSError."""
    with locked(disk.path):
        file = os.open(disk.image, os.O_RDWR | os.O_CLOEXEC)
        try:
            root = loops.use(disk.image, file, lambda device: linux.open_unmounted(device, FILE_SYSTEM, OPTIONS))
            try:
                _grow(file, loops.find(disk.image), root, wanted_bytes)
            except OSError as error:
                log.warning("pool not grown error=%s", error)  # it is good as it is
            return root
        finally:
            os.close(file)


def _grow(file: int, device: str, root: int, wanted_bytes: int) -> None:
    """With the disk that it is on. Raises OSError."""
    status = os.fstatvfs(root)
    if status.f_blocks * status.f_bsize + LOG_BYTES + WORTH_GROWING_BYTES > wanted_bytes:
        return
    if os.fstat(file).st_size < wanted_bytes:
        os.ftruncate(file, wanted_bytes)
    loops.take_in_size(device)
    fcntl.ioctl(root, _GROW, struct.pack("=QIxxxx", wanted_bytes // status.f_bsize, INODES_PERCENT))
