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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Copy:
    """Of an image that is in use."""

    source: Path
    target: Path
    device: str
    """From which the image is mounted."""


def copy(source: Disk, target: Disk, name: str = "") -> None:
    """`target` becomes a volume with what `source` holds at one moment; nothing happens if it is there already.

    It is of the same sort, unless `name` is what images of the other sort are called. Blocks its thread.
    Raises OSError; then there is no target.
    """
    if not target.exists:
        copy_together([(source, target)], name)


def copy_together(pairs: Sequence[tuple[Disk, Disk]], name: str = "") -> None:
    """Each second volume becomes what the first holds, all at one and the same moment; those that are there stay.

    Blocks its thread. Raises OSError; then there may be some of them, each whole.
    """
    with contextlib.ExitStack() as stack:
        locks = []
        for source, target in sorted(pairs, key=lambda pair: pair[0].path):  # in one order, whoever copies
            target.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            locks += [stack.enter_context(locked(target.path)), stack.enter_context(locked(source.path))]
        missing = [pair for pair in pairs if not pair[1].exists]
        in_use: list[Copy] = []
        for source, target in missing:
            target.draft.unlink(missing_ok=True)
            device = loops.find(source.image)
            if device and source.is_device:
                if len(missing) > 1:
                    alone = "a block volume that is in use is not copied together with others"
                    raise OSError(errno.EOPNOTSUPP, alone, str(source.path))
                _copy_device_in_use(Copy(source.image, target.draft, device))
            elif device:
                in_use.append(Copy(source.image, target.draft, device))
            else:
                copy_file(source.image, target.draft)
        if in_use:
            _copy_in_use(in_use, locks)
        for source, target in missing:
            images.publish(target, name or source.image.name)


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


def _copy_device_in_use(one: Copy) -> None:
    """Nothing makes its users stand still, so only a copy that is made at once has what was there at one moment."""
    device = os.open(one.device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(device)  # what waits in memory
    finally:
        os.close(device)
    reading = os.open(one.source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(one.target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not share(reading, writing):
                cure = "it is copied once no pod has it"
                raise OSError(
                    errno.EOPNOTSUPP, f"a block volume in use cannot be copied on a disk that shares no blocks: {cure}"
                )
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_in_use(copies: Sequence[Copy], locks: Sequence[int]) -> None:
    """In a process of its own; whatever becomes of it, the file systems go on."""
    try:
        if not _share_in_use(copies, locks):
            words_of = [word for one in copies for word in (str(one.source), str(one.target), one.device)]
            _run([sys.executable, "-m", "holdfast.disks.copying", *words_of], locks)
    finally:
        for one in copies:
            let_go_on(one.device)


def _share_in_use(copies: Sequence[Copy], locks: Sequence[int]) -> bool:
    """Whether the disk could share blocks, and has: an instant. Raises OSError."""
    with contextlib.ExitStack() as stack:

        def opened(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        descriptors = []
        for one in copies:
            root = opened(linux.open_unmounted(one.device, "ext4"))
            linux.syncfs(f"/proc/self/fd/{root}")  # what waits in memory need not be waited for at a standstill
            source = opened(os.open(one.source, os.O_RDONLY | os.O_CLOEXEC))
            target = opened(os.open(one.target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if not share(source, target):
                for each in copies:
                    each.target.unlink(missing_ok=True)
                return False
            descriptors += [root, source, target]
        program = Path(__file__).with_name("instant.py")
        _run([sys.executable, "-I", "-S", str(program), *map(str, descriptors)], [*locks, *descriptors])
        return True


def _run(command: Sequence[str], keeps: Sequence[int]) -> None:
    """Raises OSError."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            pass_fds=tuple(keeps),
            start_new_session=True,
            cwd="/",
            timeout=WITHIN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"the copy was not done within {WITHIN_S} s") from error
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise OSError(errno.EIO, words[-1] if words else f"the copy ended with {done.returncode}")


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
    """In the kernel, unless the files are on two disks."""
    while start < end:
        try:
            copied = os.copy_file_range(reading, writing, end - start, start, start)
        except OSError as error:
            if error.errno not in _CANNOT_SHARE:
                raise
            copied = os.pwrite(writing, os.pread(reading, min(CHUNK_BYTES, end - start), start), start)
        if copied == 0:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        start += copied


@contextlib.contextmanager
def _standing_still(roots: Sequence[int]) -> Iterator[None]:
    """All file systems stand still, for as long as they may. Raises OSError, also in the midst of the block.

    They come to a standstill one after the other. That is one moment all the same: from the first standstill to the
    end of the copies, no program gets to write what it could only have learned from a later write to the first.
    """

    def too_long(*_: object) -> None:
        cure = "a data directory on XFS or btrfs copies at once"
        raise OSError(errno.ETIMEDOUT, f"what changes is too much to be copied within {STILL_AT_MOST_S} s: {cure}")

    signal.signal(signal.SIGALRM, too_long)
    with contextlib.ExitStack() as stack:
        stack.callback(signal.alarm, 0)
        signal.alarm(STILL_AT_MOST_S)
        for root in roots:
            fcntl.ioctl(root, _FREEZE, 0)
            stack.callback(fcntl.ioctl, root, _THAW, 0)
        yield


def main(copies: Sequence[Copy]) -> None:
    """Copies of images that are mounted, of one moment. Raises OSError."""
    roots = [linux.open_unmounted(one.device, "ext4") for one in copies]
    for root in roots:
        linux.syncfs(f"/proc/self/fd/{root}")  # what waits in memory need not be waited for at a standstill
    for one in copies:
        copy_file(one.source, one.target)
    with _standing_still(roots):
        for one in copies:
            copy_changes(one.source, one.target)


if __name__ == "__main__":
    words = iter(sys.argv[1:])
    try:
        triples = zip(words, words, words, strict=True)
        main([Copy(Path(source), Path(target), device) for source, target, device in triples])
    except OSError as error:
        sys.exit(error.strerror or str(error))
