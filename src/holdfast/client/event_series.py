"""Events in the newer form, as the scheduler's are: one, and then a series of it (N210).

Source: Kubernetes, client-go/tools/events.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from holdfast.api.core.event import EVENTS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import format_micro_time
from holdfast.world import World

from . import Client, PatchType
from .events import EventRecorder, Occurrence, Write, reference, remember

TOLD_AGAIN_AFTER_S = 1800.0
OVER_AFTER_S = 360.0
LONGEST_MESSAGE, CUT = 1024, " ..."
"""In bytes; the server takes no more."""


@dataclass(slots=True)
class _Series:
    event: Manifest
    last: datetime
    last_s: float
    count: int = 1
    told_count: int = 1
    told_s: float = 0.0

    def is_over(self, now_s: float) -> bool:
        return now_s - self.last_s > OVER_AFTER_S


class SeriesRecorder(EventRecorder):
    """Of the same about the same version of an object, the second one makes a series, and is told at once.

    Later ones are told together, every half an hour; six minutes after the last one the series is over.
    """

    def __init__(self, client: Client, component: str, world: World, host: str, *, after_s: float = 0.0) -> None:
        super().__init__(client, component, world, f"{component}-{host}", after_s=after_s)
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_series(), name=f"{self._component} series of events")
            await super().run()

    async def _end_series(self) -> None:
        while True:
            await self._world.clock.sleep(OVER_AFTER_S)
            now_s = self._world.clock.monotonic_s()
            for key in [key for key, series in self._series.items() if series.is_over(now_s)]:
                series = self._series.pop(key)
                if series.count > series.told_count:
                    await self._attempt(partial(self._tell, series), series.event["reason"])

    def _telling(self, occurrence: Occurrence) -> Write | None:
        key = (*reference(occurrence).values(), occurrence.type, occurrence.reason, occurrence.action)
        known = self._series.get(key)
        if known is not None and known.is_over(occurrence.at_s):
            del self._series[key]
            known = None
        if known is None:
            event = self._event(occurrence, _cut(occurrence.message))
            remember(self._series, key, lambda: _Series(event, occurrence.at, occurrence.at_s))
            return partial(self._create, event)
        known.count, known.last, known.last_s = known.count + 1, occurrence.at, occurrence.at_s
        if known.count > 2 and occurrence.at_s - known.told_s < TOLD_AGAIN_AFTER_S:
            return None
        return partial(self._tell, known)

    async def _tell(self, known: _Series) -> None:
        count, now_s = known.count, self._world.clock.monotonic_s()
        series = {"count": count, "lastObservedTime": format_micro_time(known.last)}
        metadata = known.event["metadata"]
        try:
            await self._client.patch(
                EVENTS, metadata["name"], {"series": series}, metadata["namespace"], type=PatchType.STRATEGIC
            )
        except NotFound:
            await self._create({**known.event, "series": series})
        known.told_count, known.told_s = count, now_s

    def _event(self, occurrence: Occurrence, message: str) -> Manifest:
        return {
            **self._identified(occurrence),
            "reason": occurrence.reason,
            "message": message,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": occurrence.type,
            "eventTime": format_micro_time(occurrence.at),
            "action": occurrence.action,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }


def _cut(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= LONGEST_MESSAGE:
        return message
    return encoded[: LONGEST_MESSAGE - len(CUT)].decode(errors="ignore") + CUT
