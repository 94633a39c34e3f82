"""Events: what a part did about an object, for people to read. Best effort, never in anyone's way (N214)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from holdfast.api.core.event import EVENTS
from holdfast.api.errors import AlreadyExists, ApiError, NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time
from holdfast.world import World

from . import Client, PatchType

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

Write = Callable[[], Awaitable[None]]
"""Raises ApiError."""

QUEUE_LENGTH = 1000
REMEMBERED = 4096
SIMILAR_BEFORE_COMBINED = 10
SIMILAR_WITHIN_S = 600.0
BURST_PER_OBJECT = 25.0
REFILL_PER_S = 1 / 300
ATTEMPTS = 12
ATTEMPT_EVERY_S = 10.0
AFTER_WORK_S = 0.1
"""For those who record in the midst of what people wait for, such as the start of a pod."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    subject: Manifest
    type: str
    reason: str
    message: str
    field_path: str
    action: str
    at: datetime
    at_s: float


@dataclass(slots=True)
class _Similar:
    """Events alike but for their message, of the last ten minutes."""

    messages: set[str] = field(default_factory=set)
    last_s: float = 0.0


@dataclass(slots=True)
class _Written:
    name: str
    count: int


@dataclass(slots=True)
class _Allowance:
    tokens: float = BURST_PER_OBJECT
    at_s: float = 0.0


class EventRecorder:
    """Takes events at once and writes them while `run` runs.

    Identical ones are counted up, more than ten similar ones in ten minutes are folded into one, and of one
    object a burst of 25 and then one in five minutes is written (N211). What does not fit the queue is dropped.
    """

    def __init__(self, client: Client, component: str, world: World, host: str = "", *, after_s: float = 0.0) -> None:
        """None is written before it is `after_s` old: what people wait for goes first, the account of it later."""
        self._client = client
        self._component = component
        self._host = host
        self._world = world
        self._after_s = after_s
        self._last_number = 0
        self._queue: asyncio.Queue[Occurrence] = asyncio.Queue(QUEUE_LENGTH)
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    def record(
        self, subject: Manifest, type: str, reason: str, message: str, *, field_path: str = "", action: str = ""
    ) -> None:
        """`type` is `Normal` or `Warning`, `action` is told by events of the newer form (`SeriesRecorder`).

        Returns at once; nothing is raised, whatever becomes of the event.
        """
        clock = self._world.clock
        occurrence = Occurrence(subject, type, reason, message, field_path, action, clock.now(), clock.monotonic_s())
        try:
            self._queue.put_nowait(occurrence)
        except asyncio.QueueFull:
            log.warning("event dropped reason=%s message=%r", reason, message)

    async def run(self) -> None:
        while True:
            occurrence = await self._queue.get()
            try:
                await self._until_due(occurrence)
                await self._write(occurrence)
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Returns when everything recorded so far has been written or given up; for tests and an orderly end."""
        await self._queue.join()

    async def _until_due(self, occurrence: Occurrence) -> None:
        left_s = occurrence.at_s + self._after_s - self._world.clock.monotonic_s()
        if left_s > 0:
            await self._world.clock.sleep(left_s)

    async def _write(self, occurrence: Occurrence) -> None:
        write = self._telling(occurrence)
        if write is not None:
            await self._attempt(write, occurrence.reason)

    async def _attempt(self, write: Write, reason: str) -> None:
        for _ in range(ATTEMPTS):
            try:
                await write()
            except ApiError as error:
                if error.code and error.code < 500 and error.code != 429:
                    log.debug("event refused reason=%s error=%s", reason, error)
                    return
                await self._world.clock.sleep(ATTEMPT_EVERY_S * self._world.random.random())
            else:
                return
        log.warning("event given up reason=%s", reason)

    def _telling(self, occurrence: Occurrence) -> Write | None:
        """What is to be written of it, if anything is."""
        if not self._is_allowed(occurrence):
            return None
        key, message = self._combine(occurrence)
        return partial(self._count_or_create, key, self._event(occurrence, message))

    def _is_allowed(self, occurrence: Occurrence) -> bool:
        uid = occurrence.subject["metadata"].get("uid", "") or occurrence.subject["metadata"]["name"]
        allowance = remember(self._allowances, uid, lambda: _Allowance(at_s=occurrence.at_s))
        allowance.tokens = min(BURST_PER_OBJECT, allowance.tokens + (occurrence.at_s - allowance.at_s) * REFILL_PER_S)
        allowance.at_s = occurrence.at_s
        if allowance.tokens < 1:
            return False
        allowance.tokens -= 1
        return True

    def _combine(self, occurrence: Occurrence) -> tuple[tuple[str, ...], str]:
        """What identical events have in common, and the message to write."""
        metadata = occurrence.subject["metadata"]
        alike = (
            occurrence.subject.get("kind", ""),
            metadata.get("namespace", ""),
            metadata["name"],
            metadata.get("uid", ""),
            occurrence.field_path,
            occurrence.type,
            occurrence.reason,
        )
        similar = remember(self._similar, alike, _Similar)
        if occurrence.at_s - similar.last_s > SIMILAR_WITHIN_S:
            similar.messages.clear()
        similar.last_s = occurrence.at_s
        if len(similar.messages) < SIMILAR_BEFORE_COMBINED or occurrence.message in similar.messages:
            similar.messages.add(occurrence.message)
            return (*alike, occurrence.message), occurrence.message
        return alike, f"(combined from similar events): {occurrence.message}"

    async def _count_or_create(self, key: tuple[str, ...], event: Manifest) -> None:
        namespace = event["metadata"]["namespace"]
        known = self._written.get(key)
        if known is not None:
            self._written.move_to_end(key)
            patch = {"count": known.count + 1, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
            try:
                await self._client.patch(EVENTS, known.name, patch, namespace, type=PatchType.STRATEGIC)
            except NotFound:
                del self._written[key]  # its hour is over: it starts anew
            else:
                known.count += 1
                return
        await self._create(event)
        remember(self._written, key, lambda: _Written(event["metadata"]["name"], 1))

    async def _create(self, event: Manifest) -> None:
        with contextlib.suppress(AlreadyExists):  # written before, and the answer got lost
            await self._client.create(EVENTS, event, event["metadata"]["namespace"])

    def _next_number(self, at: datetime) -> int:
        """Rises with time: a list by name shows what happened in the same second in its order, as upstream's does."""
        number = int(at.timestamp() * 1_000_000) << 12 | self._world.random.getrandbits(11)
        self._last_number = max(number, self._last_number + 1)
        return self._last_number

    def _event(self, occurrence: Occurrence, message: str) -> Manifest:
        at = format_time(occurrence.at)
        source = {"component": self._component}
        if self._host:
            source["host"] = self._host
        return {
            **self._identified(occurrence),
            "reason": occurrence.reason,
            "message": message,
            "source": source,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "type": occurrence.type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }

    def _identified(self, occurrence: Occurrence) -> Manifest:
        namespace = occurrence.subject["metadata"].get("namespace") or "default"
        name = occurrence.subject["metadata"]["name"]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{self._next_number(occurrence.at):016x}", "namespace": namespace},
            "involvedObject": reference(occurrence),
        }


def reference(occurrence: Occurrence) -> Manifest:
    subject = occurrence.subject
    metadata = subject["metadata"]
    found = {"kind": subject.get("kind", ""), "apiVersion": subject.get("apiVersion", ""), "name": metadata["name"]}
    for member in ("namespace", "uid", "resourceVersion"):
        if metadata.get(member):
            found[member] = metadata[member]
    if occurrence.field_path:
        found["fieldPath"] = occurrence.field_path
    return found


def remember(cache: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """The value at `key`, made if need be; the longest unused one makes room."""
    value = cache.get(key)
    if value is None:
        value = cache[key] = make()
        if len(cache) > REMEMBERED:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return value
