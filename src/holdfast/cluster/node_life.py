"""The life of one node in the agents' process: at work, cut off, or without power, as its user wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from holdfast.client.remote import RemoteClient
from holdfast.network.pods.gate import Gate
from holdfast.node.agent import Agent
from holdfast.world import World

from .home import Home
from .node_faults import Condition
from .node_parts import NodeParts, node_parts
from .outside import Outside
from .settings import Settings
from .shown import Identity

KNOWS_PODS_WITHIN_S = 10.0
"""How long an agent that is to stop may take to find out, from the API, which pods it has to stop."""


class NodeLife:
    """Node `number` of a data directory."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        number: int,
        identity: Identity,
        world: World,
        outside: Outside,
        tell: Callable[[str, Condition], None],
        gate: Gate,
    ) -> None:
        """`tell` is given the node's name and what has become of it; `gate` is where its pods wait for policies."""
        self._gate = gate
        self.name = settings.node_names()[number]
        self._home = home
        self._settings = settings
        self._number = number
        self._identity = identity
        self._world = world
        self._outside = outside
        self._tell = tell
        self._wanted = Condition.AT_WORK
        self._changed = asyncio.Event()

    def want(self, condition: Condition) -> None:
        if condition is not self._wanted:
            self._wanted = condition
            self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, then until its pods have stopped within their grace periods."""
        while not stop.is_set():
            if self._wanted is Condition.STOPPED:
                self._tell(self.name, Condition.STOPPED)
                await self._until_changed(stop)
            else:
                await self._work(stop)

    async def _work(self, stop: asyncio.Event) -> None:
        parts = node_parts(self._home, self._settings, self._number, self._world, self._outside, self._gate)
        async with self._identity.client() as client:
            with self._identity.serving(parts.config.server_tls):
                await self._run(client, parts, stop)
        if stop.is_set():
            await parts.take_down()
        else:
            await self._pull_the_plug()

    async def _run(self, client: RemoteClient, parts: NodeParts, stop: asyncio.Event) -> None:
        agent = Agent(client, parts.runtime, self._world, parts.config)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(parts.prepare()), group.create_task(agent.run())]
            while not stop.is_set() and self._wanted is not Condition.STOPPED:
                await self._follow(client, agent, stop)
            if stop.is_set():
                await _within(KNOWS_PODS_WITHIN_S, agent.started.wait())
                await agent.shut_down()
            for task in tasks:
                task.cancel()

    async def _follow(self, client: RemoteClient, agent: Agent, stop: asyncio.Event) -> None:
        """Until something else is wanted."""
        agent.is_cut_off = self._wanted is Condition.PARTITIONED
        if agent.is_cut_off:
            client.cut()
        else:
            client.mend()
            await _first(agent.started.wait(), self._changed.wait(), stop.wait())
        if agent.is_cut_off or agent.started.is_set():
            self._tell(self.name, Condition.PARTITIONED if agent.is_cut_off else Condition.AT_WORK)
        await self._until_changed(stop)

    async def _until_changed(self, stop: asyncio.Event) -> None:
        await _first(self._changed.wait(), stop.wait())
        self._changed.clear()

    async def _pull_the_plug(self) -> None:
        from .leftovers import end_node

        await end_node(self._home, self._settings, self._number, self._outside, grace_s=0, gate=self._gate)


async def _first(*waiting: Awaitable[object]) -> None:
    """Returns with the first of them."""
    tasks = [asyncio.ensure_future(each) for each in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)
