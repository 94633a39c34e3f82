"""A transaction of ours, off the event loop, told from those of others."""

from __future__ import annotations

import asyncio

from .nftables import Nftables
from .tampering import Tampering


async def apply(nftables: Nftables, text: str, tampering: Tampering) -> None:
    """When it is cancelled it ends after the kernel has answered: nothing is set up behind who takes it down.

    Raises OSError, with nftables' words.
    """
    tampering.begin()
    running = asyncio.ensure_future(asyncio.to_thread(nftables.run, text))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
    except OSError:
        tampering.end(is_done=False)
        raise
    tampering.end(is_done=True)
