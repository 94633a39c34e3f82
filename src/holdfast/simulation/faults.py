"""What goes wrong between a part and the API: a client that delays, loses and breaks, by the dice of one seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client, ObjectList, PatchType, Unreachable, WatchEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Faults:
    """How much of what goes wrong. Probabilities are per call or per event; nothing does by default."""

    crash_every_s: float = 0.0
    """Mean time from one end of the control plane's process to the next; 0 is never."""
    down_s: float = 5.0
    """The longest it stays away."""
    agent_crash_every_s: float = 0.0
    """The same for each node's agent. Containers outlive it."""
    request_delay_s: float = 0.0
    """The longest a call takes to arrive; and its answer as long again."""
    watch_delay_s: float = 0.0
    """The longest an event is on its way. The order of one watch stays."""
    lost_request: float = 0.0
    lost_reply: float = 0.0
    """The call took effect, and its caller does not know."""
    broken_watch: float = 0.0
    slow_start_s: float = 0.0
    """The longest a container takes to start."""

    @property
    def lag_s(self) -> float:
        """How old what a part acts on may be, at most, by what this file does: a view, and the call upon it."""
        return self.watch_delay_s + 2 * self.request_delay_s


NO_FAULTS = Faults()


class FaultyClient:
    """Implements `Client`. One per life of a process: `kill` ends what it still has under way."""

    def __init__(self, client: Client, faults: Callable[[], Faults], random: Random) -> None:
        """`faults` says what may go wrong at this moment."""
        self._client = client
        self._faults = faults
        self._random = random
        self._is_dead = False
        self._under_way: set[asyncio.Task[Any]] = set()

    def kill(self) -> None:
        """The process is gone: no call starts any more. What the server has accepted it carries out."""
        self._is_dead = True

    async def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        faults, dice = self._faults(), self._random
        if self._is_dead:
            raise Unreachable("the process has ended")
        loses_request = dice.random() < faults.lost_request
        loses_reply = dice.random() < faults.lost_reply
        await _sleep(dice.random() * faults.request_delay_s)
        if loses_request or self._is_dead:
            raise Unreachable("the request was lost")
        result = await self._at_server(make)
        await _sleep(dice.random() * faults.request_delay_s)
        if loses_reply:
            raise Unreachable("the reply was lost")
        return result

    async def _at_server(self, make: Callable[[], Awaitable[T]]) -> T:
        """Carried out to the end whatever becomes of the caller."""

        async def carry_out() -> T:
            return await make()

        task = asyncio.get_running_loop().create_task(carry_out())
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Manifest:
        return await self._call(lambda: self._client.get(resource, name, namespace, subresource=subresource))

    async def list(self, resource: Resource, namespace: str = "", **options: Any) -> ObjectList:
        return await self._call(lambda: self._client.list(resource, namespace, **options))

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        return await self._call(
            lambda: self._client.create(resource, manifest, namespace, name=name, subresource=subresource)
        )

    async def update(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        return await self._call(lambda: self._client.update(resource, manifest, subresource=subresource))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Manifest:
        return await self._call(
            lambda: self._client.patch(resource, name, patch, namespace, type=type, subresource=subresource)
        )

    async def delete(self, resource: Resource, name: str, namespace: str = "", **options: Any) -> Manifest:
        return await self._call(lambda: self._client.delete(resource, name, namespace, **options))

    async def watch(self, resource: Resource, namespace: str = "", **options: Any) -> AsyncIterator[WatchEvent]:
        """Events in order, each at a time of its own; now and then the stream breaks."""
        if self._is_dead:
            raise Unreachable("the process has ended")
        arrived: asyncio.Queue[tuple[float, WatchEvent | BaseException | None]] = asyncio.Queue()
        pump = asyncio.get_running_loop().create_task(self._pump(resource, namespace, options, arrived))
        loop = asyncio.get_running_loop()
        try:
            while True:
                due_s, event = await arrived.get()
                await _sleep(due_s - loop.time())
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    return
                yield event
                if self._random.random() < self._faults().broken_watch:
                    raise Unreachable("the watch broke")
        finally:
            pump.cancel()

    async def _pump(
        self,
        resource: Resource,
        namespace: str,
        options: dict[str, Any],
        arrived: asyncio.Queue[tuple[float, WatchEvent | BaseException | None]],
    ) -> None:
        loop = asyncio.get_running_loop()
        due_s = 0.0
        try:
            async for event in self._client.watch(resource, namespace, **options):
                delay_s = self._random.random() * self._faults().watch_delay_s
                due_s = max(due_s, loop.time() + delay_s)
                arrived.put_nowait((due_s, event))
            arrived.put_nowait((due_s, None))
        except Exception as error:
            arrived.put_nowait((due_s, error))


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
