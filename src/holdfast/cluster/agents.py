"""The process that runs this machine's node agents. It outlives the daemon, and the containers outlive it.

SIGTERM stops the pods within their grace periods and takes down what they had; killed, it leaves
everything running, and the next one takes over.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.client.remote import RemoteClient
from holdfast.node.agent import Agent
from holdfast.world import real_world

from . import settings as saved
from .agents_process import description
from .connect import as_node
from .home import Home
from .launch import agents_lock
from .locks import Held, ProcessLock
from .loop import run
from .node_parts import choose_runtime, node_parts
from .settings import Settings

if TYPE_CHECKING:
    from holdfast.node.runtime.oci.mount_namespace import MountNamespace

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.cluster.agents")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("url", help="the API server's")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    home = Home(options.home)
    settings = saved.load(home.settings) or Settings()
    lock = ProcessLock(agents_lock(home))
    try:
        lock.acquire()
    except Held:
        log.info("another process runs the agents of %s", home.path)
        return 0
    lock.describe(**description(settings, options.url))
    sys.stdin.read()  # ends when the daemon has made the credentials
    namespace = mount_namespace(home, settings)
    run(Agents(home, settings, options.url).run())
    if namespace is not None:
        namespace.remove()
    return 0


def mount_namespace(home: Home, settings: Settings) -> MountNamespace | None:
    """Where containers need one: this process joins it before it has any thread, and its children with it."""
    if choose_runtime(settings.runtime) != "oci":
        return None
    from holdfast.node.runtime.oci.mount_namespace import MountNamespace, is_needed

    namespace = MountNamespace(home.run)
    if not is_needed() and not namespace.exists:
        return None
    namespace.enter()
    return namespace


class Agents:
    """The nodes of one data directory."""

    def __init__(self, home: Home, settings: Settings, url: str) -> None:
        self._home = home
        self._settings = settings
        self._url = url
        self._world = real_world()

    async def run(self) -> None:
        """Until SIGTERM, then until the pods have stopped."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.nodes):
                group.create_task(self._node(number, stop))

    async def _node(self, number: int, stop: asyncio.Event) -> None:
        parts = node_parts(self._home, self._settings, number, self._world)
        client = RemoteClient(as_node(self._home, self._url, parts.config.node_name))
        agent = Agent(client, parts.runtime, self._world, parts.config)
        await parts.prepare()
        running = asyncio.create_task(agent.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await agent.shut_down()
        finally:
            stopping.cancel()
            running.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)
            await client.close()
        await parts.take_down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
