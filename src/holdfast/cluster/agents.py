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
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.world import real_world

from . import node_faults, way_out
from . import settings as saved
from .agents_process import GO, description
from .home import Home
from .launch import agents_lock, agents_log
from .locks import Held, ProcessLock
from .logs import keep_small
from .loop import run
from .node_faults import Condition
from .node_life import NodeLife
from .node_parts import node_addresses
from .node_ports import NodePorts
from .outside import Outside
from .peer_routing import PeerRouting
from .policy_enforcement import PolicyEnforcement
from .private_files import set_usual_umask
from .rootless import Namespaces
from .service_routing import ServiceRouting
from .settings import Settings
from .shown import Identity

if TYPE_CHECKING:
    from holdfast.network.pods.gate import Gate
    from holdfast.node.runtime.oci.mount_namespace import MountNamespace

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    set_usual_umask()
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
    run(Agents(home, settings, options.url, lambda told: lock.describe(**facts, conditions=told), outside).run())
    lock.describe(**facts, stopped=True)
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
        tell: Callable[[Mapping[str, Condition]], None],
        outside: Outside,
    ) -> None:
        """`tell` is given what has become of each node, whenever it is something else."""
        self._home = home
        self._settings = settings
        self._url = url
        self._tell = tell
        self._outside = outside
        self._conditions: dict[str, Condition] = {}
        self._world = real_world()
        self._identities = [Identity(home, url, name) for name in settings.node_names()]

    async def run(self) -> None:
        """Until SIGTERM, then until the pods have stopped."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        without_root = self._without_root() if self._settings.is_rootless else None
        opened = without_root.ports.want if without_root else None
        first = self._identities[0]
        routing = ServiceRouting(self._home, self._settings, first, self._world, opened)
        policies = PolicyEnforcement(self._home, self._settings, first, self._world)
        peers = PeerRouting(self._home, self._settings, first, self._world)
        parts = (routing.run, policies.run, peers.run, *self._upkeep())
        beside = [asyncio.create_task(run()) for run in parts]
        if without_root is not None:
            beside.append(asyncio.create_task(without_root.way_out.run()))
        async with asyncio.TaskGroup() as group:
            for life in self._lives(policies.gate):
                group.create_task(life.run(stop))
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await routing.close()
        await policies.close()
        await peers.close()
        if without_root is not None:
            await without_root.ports.close()
            way_out.stop(self._home)

    def _upkeep(self) -> Iterator[Callable[[], Coroutine[Any, Any, None]]]:
        """Of the log, and of certificates: on the cluster's own machine the daemon renews them."""
        yield partial(keep_small, agents_log(self._home), self._world.clock)
        for identity in self._identities:
            yield partial(identity.keep_looking, self._world.clock)
        if self._settings.is_joined:
            from .joining.renewal import Renewal

            yield Renewal(self._home, self._url, self._identities[0], self._world).run

    def _without_root(self) -> WithoutRoot:
        inside = node_addresses(self._settings, 0)[0]
        clock = self._world.clock
        return WithoutRoot(NodePorts(self._outside, inside), way_out.WayOut(self._home, self._outside, clock))

    def _lives(self, gate: Gate) -> list[NodeLife]:
        """Of the nodes; what users want of them is looked at now and with each SIGHUP."""

        def life(number: int) -> NodeLife:
            identity = self._identities[number]
            return NodeLife(
                self._home, self._settings, number, identity, self._world, self._outside, self._tell_condition, gate
            )

        def look() -> None:
            wanted = node_faults.wanted(self._home)
            for each in lives:
                each.want(wanted.get(each.name, Condition.AT_WORK))

        lives = [life(number) for number in range(self._settings.nodes)]
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, look)
        look()
        return lives

    def _tell_condition(self, name: str, condition: Condition) -> None:
        self._conditions[name] = condition
        self._tell(self._conditions)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
