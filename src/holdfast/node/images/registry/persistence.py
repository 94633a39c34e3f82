"""Trying again where it may help, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .failures import Broken, PullFailed

T = TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0


async def pause(failures: int, error: PullFailed) -> None:
    """Waits after that many failures in a row; as long as a server in trouble asks for, within bounds."""
    asked_s = error.retry_after_s if isinstance(error, Broken) else 0.0
    await asyncio.sleep(max(asked_s, min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)))


async def persistently(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` returns in the end. Raises what it raised last, at once where nobody answers."""
    for failures in range(1, ATTEMPTS):
        try:
            return await attempt()
        except Broken as error:
            await pause(failures, error)
    return await attempt()
