"""The collector of reference cycles, kept from stopping the event loop.

A full collection looks at every object there is: with some thousand decoded pods it takes 0.1 s and more, and Python
would start it in the middle of whatever allocates much. Objects of the API are no cycles and need none of it. So only
young objects are looked at as usual, which takes 1 or 2 ms, and all of them when the process has little to do.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass

from holdfast.world import Clock

YOUNG, MIDDLE, NEVER = 2_000, 10, 1 << 30
"""Thresholds of the three generations: new objects; collections of the youngest; of the middle one."""

LOOK_S = 30.0
IDLE_SHARE = 0.03
"""Below this share of one processor the process counts as idle."""
WORTH = 25
"""Collections of the middle generation after which a full one is worth it: half a million new objects."""
OVERDUE = 40 * WORTH
"""After so many it no longer waits for an idle moment."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`middle` counts the collections of the middle generation since the last full one."""

    cpu_share: float
    middle: int


def is_time(seen: Seen) -> bool:
    """Whether to look at everything now."""
    if seen.middle < WORTH:
        return False
    return seen.cpu_share < IDLE_SHARE or seen.middle >= OVERDUE


async def collect_when_idle(clock: Clock) -> None:
    """Takes full collections over from Python, for as long as it runs."""
    thresholds = gc.get_threshold()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)
    try:
        done = _middle_collections()
        while True:
            began_s, used_s = clock.monotonic_s(), _cpu_s()
            await clock.sleep(LOOK_S)
            share = (_cpu_s() - used_s) / max(clock.monotonic_s() - began_s, 1e-9)
            if is_time(Seen(share, _middle_collections() - done)):
                gc.collect()
                done = _middle_collections()
    finally:
        gc.set_threshold(*thresholds)


def _middle_collections() -> int:
    return int(gc.get_stats()[1]["collections"])


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
