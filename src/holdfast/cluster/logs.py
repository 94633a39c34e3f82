"""The logs of daemon and agents: for as long as those run, which may be years, no larger than two files of one size."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.world import Clock

LARGEST_BYTES = 16 << 20
LOOK_EVERY_S = 60.0
OUTPUTS = (1, 2)


async def keep_small(log: Path, clock: Clock) -> None:
    """Until cancelled."""
    while True:
        turn_over(log)
        await clock.sleep(LOOK_EVERY_S)


def turn_over(log: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Begins a new file once `log` is that large; the one before is `log.1`. Only if it is what this process prints to.

    On a full disk, or if somebody has removed it, it goes on as it is.
    """
    try:
        if not os.path.samestat(os.fstat(OUTPUTS[-1]), log.stat()) or log.stat().st_size < largest_bytes:
            return
        log.replace(log.with_name(f"{log.name}.1"))
        begun = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    for output in OUTPUTS:
        os.dup2(begun, output)
    os.close(begun)
