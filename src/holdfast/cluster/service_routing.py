"""Whether and how this machine routes services: once for all of its nodes, in the process of the agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from holdfast.client.remote import RemoteClient
from holdfast.network.pods import ranges
from holdfast.network.pods.masquerade import table_name
from holdfast.world import World

from .connect import as_node
from .home import Home
from .node_parts import node_address
from .settings import Settings

if TYPE_CHECKING:
    from holdfast.network.services.nftables import Nftables
    from holdfast.network.services.router import NodePort
    from holdfast.network.services.rules import Machine

log = logging.getLogger(__name__)

RESTART_AFTER_S = 1.0


class ServiceRouting:
    """While `run` runs, services are routed; where they cannot be, it logs why and returns.

    Rules stay in place when it is cancelled or killed, and the next one replaces them; `close` takes them away.
    What is imported inside is imported only where it is used: on machines with containers.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        url: str,
        world: World,
        opened: Callable[[Iterable[NodePort]], None] | None = None,
    ) -> None:
        """`opened` is told of node ports, as `ServiceRouter` tells them."""
        self._opened = opened
        self._home = home
        self._settings = settings
        self._url = url
        self._world = world
        self._table = f"{table_name(str(home.path))}-services"
        self._nftables: Nftables | None = None

    async def run(self) -> None:
        if reason := self._obstacle():
            log.info("services are not routed on this machine reason=%r", reason)
            return
        while True:
            try:
                await self._run()
            except Exception:
                log.exception("service routing broke restarting_after_s=%s", RESTART_AFTER_S)
            await self._world.clock.sleep(RESTART_AFTER_S)

    def _obstacle(self) -> str:
        """Why services cannot be routed here; empty if they can."""
        if self._settings.driver != "oci":
            return f"pods of the runtime {self._settings.driver!r} have no network of their own"
        from holdfast.network.services.nftables import open_nftables

        self._nftables = self._nftables or open_nftables()
        return "" if self._nftables else "nftables is not installed"

    async def _run(self) -> None:
        from holdfast.client.events import EventRecorder
        from holdfast.client.informer import Informers
        from holdfast.network.notices import LinkNotices, RuleNotices, told_by_kernel
        from holdfast.network.services.load_balancers import LoadBalancers
        from holdfast.network.services.router import ServiceRouter

        assert self._nftables is not None
        name = self._settings.node_names()[0]
        client = RemoteClient(as_node(self._home, self._url, name))
        informers = Informers(client, self._world)
        recorder = EventRecorder(client, "service-controller", self._world, host=name)
        notices = told_by_kernel(lambda: RuleNotices(self._table)), told_by_kernel(LinkNotices)
        here = replace(machine(self._settings), draws_in_maps=await asyncio.to_thread(self._draws_in_maps))
        router = ServiceRouter(informers, self._world, self._nftables, self._table, here, *notices, opened=self._opened)
        balancers = LoadBalancers(client, informers, self._world, recorder, node_address(self._settings, 0))
        try:
            async with asyncio.TaskGroup() as group:
                for part in (router, balancers, recorder, informers):
                    group.create_task(part.run())
        finally:
            await client.close()

    def _draws_in_maps(self) -> bool:
        from holdfast.network.services.rules import probe

        assert self._nftables is not None
        try:
            self._nftables.run(probe(f"{self._table}-probe"))
        except OSError as error:
            log.info("services have chains of their own here: nftables refuses what is faster error=%r", str(error))
            return False
        return True

    async def close(self) -> None:
        """Takes away what a `run` that has ended has set up, in this process or in one that was killed."""
        if self._obstacle() or self._nftables is None:
            return
        from holdfast.network.services.router import remove

        await asyncio.to_thread(remove, self._nftables, self._table, machine(self._settings))


def machine(settings: Settings) -> Machine:
    """All nodes of a cluster are on this machine, and the first one's address stands for it among the pods'."""
    from holdfast.network.services.rules import Machine

    pods = IPv4Network(settings.pod_cidr)
    nodes = {name: ranges.node_range(pods, number) for number, name in enumerate(settings.node_names())}
    gateway = ranges.gateway(ranges.node_range(pods, 0))
    return Machine(pods, IPv4Network(settings.service_cidr), nodes, str(gateway))
