"""Whether and how this machine routes services: once for all of its nodes, in the process of the agents."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.network.pods.masquerade import table_name
from holdfast.world import World

from . import address_ranges
from .address_ranges import OF_AGENTS, SERVICES, hold_name
from .home import Home
from .network_part import Obstacle, Run, keep_running, nftables_for
from .node_parts import node_addresses
from .settings import Settings
from .shown import Identity

if TYPE_CHECKING:
    from holdfast.client.remote import RemoteClient
    from holdfast.network.services.router import Opened
    from holdfast.network.services.rules import Machine
    from holdfast.network.tables.nftables import Nftables

log = logging.getLogger(__name__)


class ServiceRouting:
    """While `run` runs, services are routed; where they cannot be, it logs why and returns.

    Rules stay in place when it is cancelled or killed, and the next one replaces them; `close` takes them away.
    What is imported inside is imported only where it is used: on machines with containers.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        identity: Identity,
        world: World,
        opened: Opened | None = None,
    ) -> None:
        """`opened` is told of node ports, as `ServiceRouter` tells them."""
        self._opened = opened
        self._home = home
        self._settings = settings
        self._identity = identity
        self._world = world
        self._table = f"{table_name(str(home.path))}-services"
        self._nftables: Nftables | None = None
        self._holds: list[address_ranges.Hold] = []

    async def run(self) -> None:
        try:
            self._nftables = self._nftables or nftables_for(self._settings)
        except Obstacle as obstacle:
            log.info("services are not routed on this machine reason=%r", str(obstacle))
            return
        self._hold()
        await keep_running(self._run, "service routing", self._world.clock)

    def _hold(self) -> None:
        """Keeps the ranges of services from clusters that start while the daemon is away."""
        held = (hold_name(SERVICES, network, OF_AGENTS) for network in self._settings.service_networks())
        self._holds = [each for each in held if each is not None]

    async def _run(self) -> None:
        async with self._identity.client() as client:
            runs = await self._parts(client)
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(run())

    async def _parts(self, client: RemoteClient) -> list[Run]:
        from holdfast.client.events import EventRecorder
        from holdfast.client.informer import Informers
        from holdfast.network.notices import LinkNotices, RuleNotices, told_by_kernel
        from holdfast.network.services.load_balancers import LoadBalancers
        from holdfast.network.services.router import ServiceRouter

        assert self._nftables is not None
        informers = Informers(client, self._world)
        recorder = EventRecorder(client, "service-controller", self._world, host=self._identity.name)
        draws_in_maps = await asyncio.to_thread(self._draws_in_maps)

        def router(here: Machine, opened: Opened | None) -> ServiceRouter:
            rules = told_by_kernel(lambda: RuleNotices(self._table, (here.family.number,)))
            here = replace(here, draws_in_maps=draws_in_maps)
            nftables, links = self._nftables, told_by_kernel(LinkNotices)
            assert nftables is not None
            return ServiceRouter(informers, self._world, nftables, self._table, here, rules, links, opened=opened)

        # Of one family: where ports are opened elsewhere too, there is no other.
        told = [self._opened, None]
        routers = [router(here, opened) for here, opened in zip(machines(self._settings), told, strict=False)]
        balancers = LoadBalancers(client, informers, self._world, recorder, node_addresses(self._settings, 0))
        # Services have one machine's address: the first one's.
        beside = [] if self._settings.is_joined else [balancers.run]
        return [*(each.run for each in routers), *beside, recorder.run, informers.run]

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
        try:
            nftables = self._nftables or nftables_for(self._settings)
        except Obstacle:
            return
        from holdfast.network.services.router import remove

        for here in machines(self._settings):
            await asyncio.to_thread(remove, nftables, self._table, here)
        for holding in self._holds:
            holding.close()


def machines(settings: Settings) -> list[Machine]:
    """This machine, by family. Its first node's address stands for it among the pods'."""
    from holdfast.network.services.rules import Machine

    slices = [settings.slices(number) for number in range(settings.nodes)] or [settings.slices(0)]
    made = []
    for family, services in enumerate(settings.service_networks()):
        own = [of_node[family] for of_node in slices]
        nodes = {name: slice.node for name, slice in zip(settings.node_names(), own, strict=False)}
        made.append(Machine(own[0].pods, services, nodes, str(own[0].gateway)))
    return made
