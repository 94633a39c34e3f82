"""What the parts of this machine's network have in common, once for all of its nodes, in the process of the agents."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from holdfast.world import Clock

from .settings import Settings

if TYPE_CHECKING:
    from holdfast.network.tables.nftables import Nftables

Run = Callable[[], Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)

RESTART_AFTER_S = 1.0


class Obstacle(Exception):
    """Why this machine's network cannot have rules."""


async def keep_running(run: Run, what: str, clock: Clock) -> None:
    """Begins anew what breaks, until cancelled."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s broke restarting_after_s=%s", what, RESTART_AFTER_S)
        await clock.sleep(RESTART_AFTER_S)


def nftables_for(settings: Settings) -> Nftables:
    """Imported only where pods have a network of their own. Raises Obstacle."""
    if settings.driver != "oci":
        raise Obstacle(f"pods of the runtime {settings.driver!r} have no network of their own")
    from holdfast.network.tables.nftables import open_nftables

    if (found := open_nftables()) is None:
        raise Obstacle("nftables is not installed")
    return found
