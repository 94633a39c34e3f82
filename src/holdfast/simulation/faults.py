"""What goes wrong between a part and the API: a client that delays, loses and breaks, by the dice of one seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
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
    server_crash_every_s: float = 0.0
    """The same for the API server. Its store outlives it."""
    other_write_every_s: float = 0.0
    """Mean time between writes of somebody else to a set, a pod or a claim, on which others run into conflicts."""
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
    slow_stop_s: float = 0.0
    """The longest it takes to end once it is asked to."""
    failed_pull: float = 0.0
    """A node asks for an image, and the registry does not have it this time."""

    @property
    def acting_s(self) -> float:
        """The longest from a controller's decision to the last of its calls: a step makes about thirty at most."""
        return MOST_CALLS * 2 * self.request_delay_s


NO_FAULTS = Faults()

MOST_CALLS = 30
SILENCE_S = 5.0
"""How long a call into a network that is cut waits before it gives up."""


class FaultyClient:
    """Implements `Client`. One per life of a process: `kill` ends what it still has under way."""

    def __init__(
        self,
        reach: Callable[[], Client],
        faults: Callable[[], Faults],
        random: Random,
        *,
        line: asyncio.Event | None = None,
        at_server: set[asyncio.Task[Any]] | None = None,
    ) -> None:
        """`reach` gives the server's own client of the moment, or raises Unreachable.

        `faults` says what may go wrong at this moment; nothing gets through unless `line` is set. What the server
        works on is in `at_server`: a server that dies cancels it.
        """
        self._reach = reach
        self._faults = faults
        self._random = random
        self._line = line if line is not None else _connected()
        self._is_dead = False
        self._at_server_now = at_server if at_server is not None else set()

    def kill(self) -> None:
        """The process is gone: no call starts any more. What the server has accepted it carries out."""
        self._is_dead = True

    async def _call(self, make: Callable[[Client], Awaitable[T]]) -> T:
        faults, dice = self._faults(), self._random
        if self._is_dead:
            raise Unreachable("the process has ended")
        loses_request = dice.random() < faults.lost_request
        loses_reply = dice.random() < faults.lost_reply
        await _sleep(dice.random() * faults.request_delay_s)
        if not self._line.is_set():
            await asyncio.sleep(SILENCE_S)
            raise Unreachable("nobody answered")
        if loses_request or self._is_dead:
            raise Unreachable("the request was lost")
        result = await self._at_server(make)
        await _sleep(dice.random() * faults.request_delay_s)
        if loses_reply or not self._line.is_set():
            raise Unreachable("the reply was lost")
        return result

    async def _at_server(self, make: Callable[[Client], Awaitable[T]]) -> T:
        """Carried out to the end whatever becomes of the caller, unless the server ends."""
        client = self._reach()

        async def carry_out() -> T:
            return await make(client)

        task = self._follow(carry_out())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Unreachable("the server has ended") from None
            raise

    def _follow(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._at_server_now.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._at_server_now.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Manifest:
        return await self._call(lambda client: client.get(resource, name, namespace, subresource=subresource))

    async def list(self, resource: Resource, namespace: str = "", **options: Any) -> ObjectList:
        return await self._call(lambda client: client.list(resource, namespace, **options))

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        return await self._call(
            lambda client: client.create(resource, manifest, namespace, name=name, subresource=subresource)
        )

    async def update(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        return await self._call(lambda client: client.update(resource, manifest, subresource=subresource))

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
            lambda client: client.patch(resource, name, patch, namespace, type=type, subresource=subresource)
        )

    async def delete(self, resource: Resource, name: str, namespace: str = "", **options: Any) -> Manifest:
        return await self._call(lambda client: client.delete(resource, name, namespace, **options))

    async def watch(self, resource: Resource, namespace: str = "", **options: Any) -> AsyncIterator[WatchEvent]:
        """Events in order, each at a time of its own; now and then the stream breaks."""
        if self._is_dead:
            raise Unreachable("the process has ended")
        arrived: asyncio.Queue[tuple[float, WatchEvent | BaseException | None]] = asyncio.Queue()
        pump = self._follow(self._pump(self._reach(), resource, namespace, options, arrived))
        loop = asyncio.get_running_loop()
        pump.add_done_callback(lambda task: arrived.put_nowait((0.0, Unreachable("the server has ended"))))
        try:
            while True:
                due_s, event = await arrived.get()
                await _sleep(due_s - loop.time())
                await self._line.wait()  # and then it all comes at once
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
        client: Client,
        resource: Resource,
        namespace: str,
        options: dict[str, Any],
        arrived: asyncio.Queue[tuple[float, WatchEvent | BaseException | None]],
    ) -> None:
        loop = asyncio.get_running_loop()
        due_s = 0.0
        try:
            async for event in client.watch(resource, namespace, **options):
                delay_s = self._random.random() * self._faults().watch_delay_s
                due_s = max(due_s, loop.time() + delay_s)
                arrived.put_nowait((due_s, event))
            arrived.put_nowait((due_s, None))
        except Exception as error:
            arrived.put_nowait((due_s, error))


def _connected() -> asyncio.Event:
    line = asyncio.Event()
    line.set()
    return line


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
