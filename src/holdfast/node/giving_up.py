"""Work that is given up when something else happens first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(
    happening: Coroutine[Any, Any, Any], work: Coroutine[Any, Any, T], farewell_s: float = 0.0
) -> T | None:
    """What the work comes to; None if it is given up, so long after something has happened before it was done.

    The work has ended in any case, also when this is cancelled.
    """
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(happening)
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=farewell_s)
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.wait({working, waiting})
    return None if working.cancelled() else working.result()
