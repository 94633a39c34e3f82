"""An agent against a real API server and a runtime in which nothing runs; small questions about pods."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import AlreadyExists, NotFound
from holdfast.apiserver.server import ApiServer
from holdfast.node.agent import Agent, AgentConfig
from holdfast.node.eviction.thresholds import Reading
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.simulation.faults import NO_FAULTS, FaultyClient
from holdfast.store.memory import MemoryStore
from holdfast.world import World

CONFIG = AgentConfig(node_name="node-1", node_ips=("192.0.2.1",), is_control_plane=True)


class Machine:
    """An API server, a runtime, and an agent that can be stopped and started."""

    def __init__(self, world: World, server: ApiServer, runtime: SimulatedRuntime, config: AgentConfig) -> None:
        self.client = server.client("test")
        self.server = server
        self.runtime = runtime
        self._world = world
        self._config = config
        self._agent: asyncio.Task[None] | None = None
        self.line = asyncio.Event()
        """Set while the agent reaches the API server."""
        self.line.set()
        self.readings: dict[str, Reading] = {}
        """What the machine has left, by signal."""
        self.statuses: list[dict[str, Any]] = []

    async def start(self, **config: Any) -> None:
        """`config` is what the agent is told otherwise than before."""
        self._config = dataclasses.replace(self._config, **config)
        self.api = FaultyClient(
            lambda: self.server.client("node"), lambda: NO_FAULTS, self._world.random, line=self.line
        )
        self.agent = Agent(self.api, self.runtime, self._world, self._config, readings=self._look)
        self._agent = asyncio.create_task(self.agent.run())

    async def _look(self) -> dict[str, Reading]:
        return self.readings

    async def stop(self) -> None:
        """As `kill -9` would: at once, and nothing is put in order."""
        assert self._agent is not None
        self._agent.cancel()
        await asyncio.wait({self._agent})
        if not self._agent.cancelled() and (error := self._agent.exception()):
            raise error

    async def create(self, spec: dict[str, Any], name: str = "web-0", **metadata: Any) -> dict[str, Any]:
        spec = {"nodeName": "node-1", **spec}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}
        return await self.client.create(PODS, manifest, "default")

    async def pod(self, name: str = "web-0") -> dict[str, Any]:
        return await self.client.get(PODS, name, "default")

    async def until(self, holds: Callable[[dict[str, Any]], bool], within_s: float = 60, name: str = "web-0") -> Any:
        """The pod, as soon as it is so; the time it took is on the loop's clock."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while True:
            pod = await self.pod(name)
            if holds(pod):
                return pod
            if loop.time() > end:
                raise AssertionError(f"not within {within_s} s: {pod['status']}")
            await asyncio.sleep(0.05)

    async def gone(self, within_s: float = 60, name: str = "web-0") -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() < start + within_s:
            try:
                await self.pod(name)
            except NotFound:
                return loop.time() - start
            await asyncio.sleep(0.05)
        raise AssertionError(f"still there after {within_s} s")

    async def events(self, reason: str = "") -> list[str]:
        await asyncio.sleep(0.1)
        found = (await self.client.list(EVENTS, "default")).items
        return [event["message"] for event in found if not reason or event["reason"] == reason]


@asynccontextmanager
async def machine(world: World, scripts: dict[str, Script] | None = None, **config: Any) -> AsyncIterator[Machine]:
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world)
    await server.open()
    accounts = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    with suppress(AlreadyExists):
        await server.client("test").create(SERVICE_ACCOUNTS, accounts, "default")
    settings = dataclasses.replace(CONFIG, **config)
    result = Machine(world, server, SimulatedRuntime(world, scripts=scripts), settings)
    await result.start()
    try:
        yield result
    finally:
        await result.stop()
        await server.close()
        await store.close()


APP = {"name": "app", "image": "app:1"}


def condition(pod: dict[str, Any], type: str) -> str:
    return next((c["status"] for c in pod["status"].get("conditions", ()) if c["type"] == type), "")


def is_ready(pod: dict[str, Any]) -> bool:
    return condition(pod, "Ready") == "True"


def state(pod: dict[str, Any], name: str = "app") -> dict[str, Any]:
    entries = [*pod["status"].get("containerStatuses", ()), *pod["status"].get("initContainerStatuses", ())]
    return next((entry["state"] for entry in entries if entry["name"] == name), {})


def entry(pod: dict[str, Any], name: str = "app") -> dict[str, Any]:
    entries = pod["status"].get("containerStatuses", ())
    return next((e for e in entries if e["name"] == name), {"restartCount": 0})


def waits_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda pod: state(pod).get("waiting", {}).get("reason") == reason
