"""Copies on a disk that shares blocks, of one moment: file systems stand still, files are shared, they go on.

A program by itself, which takes a hundredth of a second to start: it imports next to nothing, and all it works with is
open already. Its arguments are descriptors: of each file system's root, of its image, of the copy.
"""

import fcntl
import os
import signal
import sys

CLONE = 0x40049409
FREEZE, THAW = 0xC0045877, 0xC0045878
AT_MOST_S = 5


def main(triples: list[tuple[int, int, int]]) -> None:
    """Raises OSError. The file systems go on then too; after a death, whoever started this sees to that."""
    signal.signal(signal.SIGALRM, lambda *_: os.abort())  # the kernel has taken too long: the parent lets them go on
    signal.alarm(AT_MOST_S)
    still = []
    try:
        for root, _, _ in triples:
            fcntl.ioctl(root, FREEZE, 0)
            still.append(root)
        for _, image, copy in triples:
            fcntl.ioctl(copy, CLONE, image)
    finally:
        for root in reversed(still):
            fcntl.ioctl(root, THAW, 0)


if __name__ == "__main__":
    numbers = iter(map(int, sys.argv[1:]))
    try:
        main(list(zip(numbers, numbers, numbers, strict=True)))
    except OSError as error:
        sys.exit(error.strerror or str(error))
