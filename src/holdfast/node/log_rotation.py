"""Logs of running containers, kept short (N171): 10 MiB, five files, looked at every ten seconds."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path

from holdfast.world import World

from .runtime import ContainerState, Runtime, RuntimeFailure

log = logging.getLogger(__name__)

EVERY_S = 10.0
MOST_BYTES = 10 << 20
MOST_FILES = 5


async def rotate_for_ever(runtime: Runtime, world: World) -> None:
    while True:
        await world.clock.sleep(EVERY_S)
        for record in runtime.containers():
            if record.state is ContainerState.RUNNING and record.log_path and is_due(record.log_path):
                try:
                    set_aside(Path(record.log_path), world.clock.now())
                    await runtime.reopen_log(record.id)
                except (OSError, RuntimeFailure) as error:
                    log.warning("log not rotated container=%s error=%s", record.id, error)


def is_due(path: str) -> bool:
    try:
        return os.stat(path).st_size > MOST_BYTES
    except OSError:
        return False


def set_aside(path: Path, now: datetime) -> None:
    """Renames the log to `<n>.log.<timestamp>` and removes the oldest beyond what is kept. Raises OSError."""
    path.rename(path.with_name(f"{path.name}.{now:%Y%m%d-%H%M%S}"))
    for old in sorted(path.parent.glob(f"{path.name}.*"))[: -(MOST_FILES - 1)]:
        old.unlink(missing_ok=True)
