"""Events live for an hour after they last happened (A262)."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from holdfast.api.core.event import EVENTS
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .auth.user import component
from .call import Call
from .options import DeleteOptions
from .verbs.delete import delete

if TYPE_CHECKING:
    from .api import Api

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)
LOOK_EVERY_S = 300.0
SLICE = 100


async def expire_events(api: Api) -> None:
    """Until cancelled. Looks now and then; rests for good while there are no events."""
    events = api.objects(EVENTS)
    news = asyncio.Event()
    unfollow = events.follow(lambda event: news.set())
    try:
        while True:
            if not events.objects:
                news.clear()
                await news.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            await _sweep(api)
    finally:
        unfollow()


async def _sweep(api: Api) -> None:
    oldest = api.world.clock.now() - LIFETIME
    user = component("apiserver")
    for number, stored in enumerate(list(api.objects(EVENTS).select())):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        if last_seen(stored.manifest) < oldest:
            version = DeleteOptions(resource_version=str(stored.revision))
            try:
                await delete(api, Call(user, EVENTS, stored.namespace, stored.name), version, is_reviewed=False)
            except ApiError as error:  # gone, or seen again
                log.debug("event stays event=%s/%s reason=%s", stored.namespace, stored.name, error.reason)


def last_seen(event: Manifest) -> datetime:
    """When it was written last: the newest of its times."""
    series = event.get("series") or {}
    times = (
        event["metadata"]["creationTimestamp"],
        event.get("lastTimestamp"),
        event.get("eventTime"),
        series.get("lastObservedTime"),
    )
    return max(parse_time(text) for text in times if text)
