"""Images that nobody uses make room when the disk gets full.

The images unused for longest go first; never one that a container stands on, one that came in the last two
minutes, or one that no registry may have: such are pinned, as the kubelet calls it.

Source: Kubernetes, pkg/kubelet/images/image_gc_manager.go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from holdfast.world import World

from .runtime import ImageRecord, Runtime, RuntimeFailure

log = logging.getLogger(__name__)

EVERY_S = 300.0
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In per cent of the disk, and for how long an image has to have been here."""

    high_percent: int = 85
    """Fuller than this, images are removed ..."""
    low_percent: int = 80
    """... until it is as full as this."""
    youngest: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Disk:
    """Where images are kept."""

    capacity_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image, and what is remembered of it."""

    id: str
    size_bytes: int
    is_pinned: bool
    detected: datetime
    used: datetime


def wanted_bytes(disk: Disk, thresholds: Thresholds) -> int:
    """How much has to go; 0 if there is room enough."""
    if disk.capacity_bytes <= 0:
        return 0
    used_percent = 100 - disk.available_bytes * 100 // disk.capacity_bytes
    if used_percent < thresholds.high_percent:
        return 0
    return disk.capacity_bytes * (100 - thresholds.low_percent) // 100 - disk.available_bytes


def removable(candidates: Sequence[Candidate], thresholds: Thresholds, now: datetime) -> list[Candidate]:
    """What may go, in this order."""
    free = [
        candidate
        for candidate in candidates
        if not candidate.is_pinned and candidate.used < now and now - candidate.detected >= thresholds.youngest
    ]
    return sorted(free, key=lambda candidate: (candidate.used, candidate.detected, candidate.id))


Tell = Callable[[str, str], None]
"""(reason, message) of a warning about the node."""


class ImageGarbage:
    """Keeps one node's disk from filling up with images."""

    def __init__(
        self,
        runtime: Runtime,
        world: World,
        disk: Callable[[], Disk],
        tell: Tell,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._runtime = runtime
        self._world = world
        self._disk = disk
        self._tell = tell
        self._thresholds = thresholds or Thresholds()
        self._detected: dict[str, datetime] = {}
        self._used: dict[str, datetime] = {}
        self._is_begun = False
        self._failures = 0

    async def run(self) -> None:
        """For ever; not at once, since after a reboot the pods have yet to say which images they use."""
        self._look(await self._runtime.images(), self._world.clock.now())
        while True:
            await self._world.clock.sleep(EVERY_S)
            try:
                await self.collect()
            except (OSError, RuntimeFailure) as error:
                log.warning("images not collected error=%s", error)

    async def collect(self) -> None:
        """Removes what has to go and may."""
        now = self._world.clock.now()
        candidates = self._look(await self._runtime.images(), now)
        wanted = wanted_bytes(self._disk(), self._thresholds)
        if wanted <= 0:
            self._failures = 0
            return
        freed = 0
        for candidate in removable(candidates, self._thresholds, now):
            if freed >= wanted:
                break
            if await self._remove(candidate):
                freed += candidate.size_bytes
        if not all(candidate.is_pinned for candidate in candidates):  # else it is not images that fill the disk
            self._report(wanted, freed)

    def _look(self, images: Collection[ImageRecord], now: datetime) -> list[Candidate]:
        """What there is now; images of before this agent are as old as can be."""
        in_use = {record.image_id for record in self._runtime.containers()}
        known = {image.id for image in images}
        for memory in (self._detected, self._used):
            for identifier in memory.keys() - known:
                del memory[identifier]
        for image in images:
            self._detected.setdefault(image.id, now if self._is_begun else NEVER)
            if image.id in in_use:
                self._used[image.id] = now
        self._is_begun = True
        return [
            Candidate(
                image.id, image.size_bytes, image.is_local, self._detected[image.id], self._used.get(image.id, NEVER)
            )
            for image in images
        ]

    async def _remove(self, candidate: Candidate) -> bool:
        try:
            await self._runtime.remove_image(candidate.id)
        except (OSError, RuntimeFailure) as error:
            log.info("image not removed id=%s error=%s", candidate.id, error)
            return False
        log.info("image removed to make room id=%s size_bytes=%d", candidate.id, candidate.size_bytes)
        return True

    def _report(self, wanted: int, freed: int) -> None:
        if freed >= wanted:
            self._failures = 0
            return
        self._failures += 1
        message = (
            f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
            f"but only found {freed} bytes eligible to free."
        )
        self._tell("FreeDiskSpaceFailed", message)
        if self._failures > 1:
            self._tell("ImageGCFailed", message)
