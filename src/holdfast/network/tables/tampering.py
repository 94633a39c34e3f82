"""Whether somebody else changed a table of ours: what the kernel tells of, less what was asked for here (D51).

The kernel tells of every transaction, and of ours before it has answered. So when none of ours is under way, more
notices than answers mean that somebody else was at the table.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol


class Notices(Protocol):
    """`holdfast.network.notices.RuleNotices`, or an imagined one."""

    lost: bool

    def fileno(self) -> int: ...

    def drain(self) -> int: ...

    def close(self) -> None: ...


class NoNotices:
    """Where the kernel tells nothing: a table that somebody removed is found by looking."""

    lost = False

    def fileno(self) -> int:
        return -1

    def drain(self) -> int:
        return 0

    def close(self) -> None:
        pass


@contextlib.contextmanager
def heard(notices: Notices, hear: Callable[[], None]) -> Iterator[None]:
    """While it lasts, `hear` is called when there are any; they are closed then."""
    loop, descriptor = asyncio.get_running_loop(), notices.fileno()
    if descriptor >= 0:
        loop.add_reader(descriptor, hear)
    try:
        yield
    finally:
        if descriptor >= 0:
            loop.remove_reader(descriptor)
        notices.close()


class Tampering:
    """`tell` is called when there is a reason to look at `is_suspected`."""

    def __init__(self, notices: Notices, tell: Callable[[], None]) -> None:
        self._notices = notices
        self._tell = tell
        self._seen = self._own = 0
        self._under_way = False

    def hear(self) -> None:
        """Something has come."""
        self._seen += self._notices.drain()
        if self.is_suspected:
            self._tell()

    def begin(self) -> None:
        """A transaction of ours starts."""
        self._seen += self._notices.drain()
        self._under_way = True

    def end(self, is_done: bool) -> None:
        """It has been taken, or not."""
        self._seen += self._notices.drain()
        self._under_way = False
        self._own += is_done
        if self._notices.lost:  # nobody knows how many there were
            self._notices.lost = False
            self._own = self._seen
        self._own = min(self._own, self._seen)
        if self.is_suspected:
            self._tell()

    @property
    def is_suspected(self) -> bool:
        """Not before the kernel has answered ours."""
        return not self._under_way and self._seen > self._own

    def settle(self) -> None:
        """The table is about to be replaced, whatever is in it."""
        self._own = self._seen
