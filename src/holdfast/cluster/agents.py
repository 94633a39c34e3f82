"""The process that runs this machine's node agents. It outlives the daemon, and the containers outlive it.

SIGTERM stops the pods within their grace periods and takes down what they had; killed, it leaves
everything running, and the next one takes over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.client.remote import RemoteClient
from holdfast.node.agent import Agent
from holdfast.world import real_world

from . import settings as saved
from . import way_out
from .agents_process import GO, description
from .connect import as_node
from .home import Home
from .launch import agents_lock
from .locks import Held, ProcessLock
from .loop import run
from .node_parts import node_addresses, node_parts
from .node_ports import NodePorts
from .outside import Outside
from .rootless import Namespaces
from .service_routing import ServiceRouting
from .settings import Settings

if TYPE_CHECKING:
    from holdfast.node.runtime.oci.mount_namespace import MountNamespace

log = logging.getLogger(__name__)

KNOWS_PODS_WITHIN_S = 10.0
"""How long an agent that is to stop may take to find out, from the API, which pods it has to stop."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.cluster.agents")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("url", help="the API server's")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Until there is a loop to hear it, an early SIGTERM waits: it means that pods are to be stopped.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    home = Home(options.home)
    settings = saved.load(home.settings) or Settings()
    lock = ProcessLock(agents_lock(home))
    try:
        lock.acquire()
    except Held:
        log.info("another process runs the agents of %s", home.path)
        return 0
    facts = description(settings, options.url)
    lock.describe(**facts)
    if sys.stdin.buffer.read() != GO:  # comes when the daemon has made the credentials
        log.error("the daemon ended before it had started")
        return 1
    namespace = mount_namespace(home, settings)
    outside = move(home, settings)
    run(Agents(home, settings, options.url, lambda names: lock.describe(**facts, started=names), outside).run())
    if namespace is not None:
        namespace.remove()
    return 0


def mount_namespace(home: Home, settings: Settings) -> MountNamespace | None:
    """Where containers need one: this process joins it before it has any thread, and its children with it."""
    if settings.driver != "oci":
        return None
    from holdfast.node.runtime.oci.mount_namespace import MountNamespace, is_needed

    namespace = MountNamespace(home.run)
    if not is_needed() and not namespace.exists:
        return None
    namespace.enter()
    return namespace


def move(home: Home, settings: Settings) -> Outside:
    """Without root, into the pods' network; what is left behind does what has to be done outside of it."""
    outside = Outside(moves=settings.is_rootless)
    if settings.is_rootless:
        Namespaces(home).enter_network()
    return outside


@dataclass(frozen=True, slots=True)
class WithoutRoot:
    """What connects the pods' network with the machine's where they are two."""

    ports: NodePorts
    way_out: way_out.WayOut


class Agents:
    """The nodes of one data directory."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        url: str,
        tell_started: Callable[[list[str]], None],
        outside: Outside,
    ) -> None:
        """`tell_started` is given the names of the nodes at work, each time there is one more."""
        self._home = home
        self._settings = settings
        self._url = url
        self._tell_started = tell_started
        self._outside = outside
        self._started: list[str] = []
        self._world = real_world()

    async def run(self) -> None:
        """Until SIGTERM, then until the pods have stopped."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        without_root = self._without_root() if self._settings.is_rootless else None
        opened = without_root.ports.want if without_root else None
        routing = ServiceRouting(self._home, self._settings, self._url, self._world, opened)
        beside = [asyncio.create_task(routing.run())]
        if without_root is not None:
            beside.append(asyncio.create_task(without_root.way_out.run()))
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.nodes):
                group.create_task(self._node(number, stop))
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await routing.close()
        if without_root is not None:
            await without_root.ports.close()
            way_out.stop(self._home)

    def _without_root(self) -> WithoutRoot:
        inside = node_addresses(self._settings, 0)[0]
        clock = self._world.clock
        return WithoutRoot(NodePorts(self._outside, inside), way_out.WayOut(self._home, self._outside, clock))

    async def _node(self, number: int, stop: asyncio.Event) -> None:
        parts = node_parts(self._home, self._settings, number, self._world, self._outside)
        client = RemoteClient(as_node(self._home, self._url, parts.config.node_name))
        agent = Agent(client, parts.runtime, self._world, parts.config)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(parts.prepare()),
                group.create_task(agent.run()),
                group.create_task(self._tell_when_started(parts.config.node_name, agent)),
            ]
            await stop.wait()
            await _within(KNOWS_PODS_WITHIN_S, agent.started.wait())
            await agent.shut_down()
            for task in tasks:
                task.cancel()
        await client.close()
        await parts.take_down()

    async def _tell_when_started(self, name: str, agent: Agent) -> None:
        await agent.started.wait()
        self._started.append(name)
        self._tell_started(self._started)


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
