"""The outside as arguments: the clock and chance, real here, simulated in `holdfast.simulation`.

Nothing else in holdfast reads a clock or rolls dice by itself: it is handed a `World`.
Tasks may use `asyncio.sleep` and asyncio's timers: they follow the event loop's time, which the
simulation replaces.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time and waiting, from one source."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never runs backwards. Only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds of this clock."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio  # whoever sleeps has a loop; the command line has neither

        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class World:
    """What a part of holdfast may know of the outside beyond its own connections and files."""

    clock: Clock
    random: random.Random
    zone: tzinfo = UTC
    """Where the machine stands: what its users mean by a time of day."""

    def new_uid(self) -> str:
        """A random version 4 UUID, as objects carry in `metadata.uid`."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))


def real_world() -> World:
    """The machine's clock and zone, and the kernel's randomness."""
    return World(SystemClock(), random.SystemRandom(), local_zone(os.environ.get("TZ"), Path("/etc/localtime")))


def local_zone(name: str | None, file: Path) -> tzinfo:
    """The zone that TZ names, with or without a colon, or else the one in `file`; UTC where there is none.

    As Go's `time.Local` finds it, so that schedules mean here what they mean to kube-controller-manager.
    """
    if name is None:
        return _zone_in(file)
    name = name.removeprefix(":")
    if name.startswith("/"):
        return _zone_in(Path(name))
    from zoneinfo import ZoneInfo  # slow to load, and few name a zone

    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def _zone_in(file: Path) -> tzinfo:
    if not file.is_file():
        return UTC
    from zoneinfo import ZoneInfo

    try:
        with file.open("rb") as stream:
            return ZoneInfo.from_file(stream)
    except (OSError, ValueError):
        return UTC
