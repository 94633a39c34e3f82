"""Copies of volumes: instant where the disk can share blocks, else as quick as what was written to (R127, V124).

What is copied of an image that is in use is what its file system has at one moment: it is made to stand still for
that long. On a disk that shares blocks that is an instant. On another one the image is copied first, and while the file
system stands still only what has changed meanwhile.

A file system that was made to stand still goes on standing still when whoever did it dies. So it is the work of a
process of its own, which outlives its parent and is bounded by a timer; and who starts it, or comes after it, lets the
file system go on (`let_go_on`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.world import linux

from . import Disk, images, loops
from .locking import locked

STILL_AT_MOST_S = 30
"""How long a file system may stand still: a container that writes waits for it."""
WITHIN_S = 3600
CHUNK_BYTES = 4 << 20
_CLONE = 0x40049409
_FREEZE, _THAW = 0xC0045877, 0xC0045878
_CANNOT_SHARE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


def copy(source: Disk, target: Disk) -> None:
    """`target` becomes a volume with what `source` holds at one moment; nothing happens if it is there already.

    Blocks its thread. Raises OSError; then there is no target.
    """
    target.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(target.path) as target_lock, locked(source.path) as source_lock:
        if target.exists:
            return
        with contextlib.suppress(FileNotFoundError):
            target.draft.unlink()
        device = loops.find(source.image)
        if device:
            _copy_in_use(source, target, device, (target_lock, source_lock))
        else:
            copy_file(source.image, target.draft)
        images.publish(target)


def let_go_on(device: str) -> bool:
    """Whether the file system on the device stood still; if so, it does not any more. Raises OSError."""

    descriptor = linux.open_unmounted(device, "ext4")
    try:
        fcntl.ioctl(descriptor, _THAW, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    finally:
        os.close(descriptor)
    return True


def copy_file(source: Path, target: Path) -> bool:
    """Whether the new file shares its blocks with `source`; if not, holes stay holes. Raises OSError."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if share(reading, writing):
                return True
            os.ftruncate(writing, os.fstat(reading).st_size)
            for start, end in _segments(reading):
                _copy_segment(reading, writing, start, end)
            return False
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def share(reading: int, writing: int) -> bool:
    """Whether the second file has the first one's blocks now; False where the disk cannot do that. Raises OSError."""
    try:
        fcntl.ioctl(writing, _CLONE, reading)
    except OSError as error:
        if error.errno in _CANNOT_SHARE:
            return False
        raise
    return True


def copy_changes(source: Path, target: Path) -> None:
    """Makes `target`, an earlier copy of `source`, equal to it. Raises OSError."""
    with source.open("rb", buffering=0) as reading, target.open("r+b", buffering=0) as writing:
        os.ftruncate(writing.fileno(), os.fstat(reading.fileno()).st_size)
        for start, end in _segments(reading.fileno()):
            for at in range(start, end, CHUNK_BYTES):
                size = min(CHUNK_BYTES, end - at)
                now = os.pread(reading.fileno(), size, at)
                if now != os.pread(writing.fileno(), size, at):
                    os.pwrite(writing.fileno(), now, at)


def _copy_in_use(source: Disk, target: Disk, device: str, locks: tuple[int, int]) -> None:
    """In a process of its own; whatever becomes of it, the file system goes on."""
    command = [sys.executable, "-m", "holdfast.disks.copying", str(source.image), str(target.draft), device]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, pass_fds=locks, start_new_session=True, cwd="/", timeout=WITHIN_S
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"the copy was not done within {WITHIN_S} s") from error
    finally:
        let_go_on(device)
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise OSError(errno.EIO, words[-1] if words else f"the copy ended with {done.returncode}", str(source.path))


def _segments(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where there is data: (start, end)."""
    size, start = os.fstat(descriptor).st_size, 0
    while start < size:
        try:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
        start = end


def _copy_segment(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        copied = os.copy_file_range(reading, writing, end - start, start, start)
        if copied == 0:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        start += copied


def _standing_still(descriptor: int, work: Callable[[], None]) -> None:
    """Does `work` while the file system stands still, or what of it can be done in time. Raises OSError."""

    def too_long(*_: object) -> None:
        cure = "a data directory on XFS or btrfs copies at once"
        raise OSError(errno.ETIMEDOUT, f"the volume changes too fast to be copied within {STILL_AT_MOST_S} s: {cure}")

    signal.signal(signal.SIGALRM, too_long)
    fcntl.ioctl(descriptor, _FREEZE, 0)
    try:
        signal.alarm(STILL_AT_MOST_S)
        work()
    finally:
        signal.alarm(0)
        fcntl.ioctl(descriptor, _THAW, 0)


def main(source: Path, target: Path, device: str) -> None:
    """The copy of an image that is mounted from `device`. Raises OSError."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    shares = share(reading, writing)
    if not shares:
        target.unlink()
        copy_file(source, target)
    root = linux.open_unmounted(device, "ext4")
    if shares:
        _standing_still(root, lambda: _require(share(reading, writing)))
    else:
        _standing_still(root, lambda: copy_changes(source, target))


def _require(shares: bool) -> None:
    if not shares:
        raise OSError(errno.EOPNOTSUPP, "the disk has stopped sharing blocks")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except OSError as error:
        sys.exit(error.strerror or str(error))
