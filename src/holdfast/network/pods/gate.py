"""Where a pod waits, before it has a link, until what policies say of it holds in the kernel.

With no policy nobody waits. Without a link nobody reaches the pod, and it reaches nobody: so it is never there without
its rules, once they are known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

log = logging.getLogger(__name__)

ADMITTED_WITHIN_S = 10.0


class Gate:
    """One for all nodes of the machine, and for all who enforce policies one after another."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.told: dict[str, tuple[str, ...]] = {}
        """The addresses of pods, by uid, from before their status says so until they have lost them."""
        self._tell: Callable[[str], None] = lambda pod_uid: None
        self._waiting: dict[str, asyncio.Future[None]] = {}

    @property
    def waiting(self) -> Collection[str]:
        """Pods by their uid."""
        return self._waiting.keys()

    def close(self, tell: Callable[[str], None]) -> None:
        """Somebody is there who will let in those who wait, and is told of each that begins to wait, or leaves."""
        self.is_open, self._tell = False, tell
        for pod_uid in self._waiting:
            tell(pod_uid)

    def open(self) -> None:
        """There is nothing to wait for."""
        self.is_open = True
        for pod_uid in list(self._waiting):
            self.let_in(pod_uid)

    def let_in(self, pod_uid: str) -> None:
        if (waiting := self._waiting.pop(pod_uid, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def turn_away(self, pod_uid: str) -> None:
        """It has been deleted: it is not to begin without its rules."""
        if (waiting := self._waiting.pop(pod_uid, None)) is not None and not waiting.done():
            waiting.set_exception(OSError("the pod has been deleted"))

    async def admit(self, pod_uid: str, addresses: Sequence[str]) -> None:
        """Returns when all that is known of the pod holds. Raises OSError if that takes too long, or cannot be."""
        self.told[pod_uid] = tuple(addresses)
        if self.is_open:
            return
        waiting = self._waiting[pod_uid] = asyncio.get_running_loop().create_future()
        self._tell(pod_uid)
        try:
            async with asyncio.timeout(ADMITTED_WITHIN_S):
                await waiting
        except TimeoutError:
            log.warning("a pod has no link yet: network policies are not in the kernel pod=%s", pod_uid)
            raise OSError("network policies are not in place yet") from None
        finally:
            if self._waiting.get(pod_uid) is waiting:
                del self._waiting[pod_uid]

    def is_within(self, pod_uid: str, addresses: Sequence[str]) -> None:
        """It came in by the gate of an earlier process."""
        self.told[pod_uid] = tuple(addresses)
        self._tell(pod_uid)

    def leave(self, pod_uid: str) -> None:
        """It has lost its addresses."""
        if self.told.pop(pod_uid, None) is not None:
            self._tell(pod_uid)
