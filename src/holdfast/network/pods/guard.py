"""Wakes whoever looks after the pods' network when the kernel tells that some of it may be gone, and now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from holdfast.network.notices import LinkNotices, RuleNotices, told_by_kernel
from holdfast.world import Clock

log = logging.getLogger(__name__)

COLLECT_S = 0.3
"""What comes together is looked at once: pods that come and go make notices too."""
LOOK_EVERY_S = 30.0
"""For what the kernel does not tell."""
RETRY_AFTER_S = 2.0

Repair = Callable[[bool], Coroutine[Any, Any, None]]
"""Is told whether the rules are to be looked at too."""


async def guard(table: str, clock: Clock, repair: Repair, told: asyncio.Event | None = None) -> None:
    """Calls `repair` until cancelled; whatever breaks in it is logged. `table` is the one of rules to look after.

    Others may set `told`, too, when there is a reason to look.
    """
    loop = asyncio.get_running_loop()
    told = told or asyncio.Event()
    listening = [each for each in (told_by_kernel(LinkNotices), told_by_kernel(lambda: RuleNotices(table))) if each]
    of_rules, is_well = False, True

    def hear(notices: LinkNotices | RuleNotices) -> None:
        nonlocal of_rules
        if notices.drain() or notices.lost:
            notices.lost = False
            of_rules = of_rules or isinstance(notices, RuleNotices)
            told.set()

    for notices in listening:
        loop.add_reader(notices.fileno(), hear, notices)
    try:
        while True:
            try:
                # Not wait_for: that may lose a cancellation that comes together with the event.
                async with asyncio.timeout(LOOK_EVERY_S if is_well else RETRY_AFTER_S):
                    await told.wait()
                await clock.sleep(COLLECT_S)
            except TimeoutError:
                of_rules = True
            told.clear()
            looks_at_rules, of_rules = of_rules, False
            is_well = await _whole(repair(looks_at_rules))
    finally:
        for notices in listening:
            loop.remove_reader(notices.fileno())
            notices.close()


async def _whole(repair: Coroutine[Any, Any, None]) -> bool:
    """Whether it came to its end. Cancelled, this ends after it: nothing is set up behind who takes all down."""
    running = asyncio.ensure_future(repair)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
    except Exception:
        log.exception("the network of pods was not looked after retrying_after_s=%g", RETRY_AFTER_S)
        return False
    return True
