"""Routes to the cluster's other machines, and what else a machine that has joined does for its pods.

In the process of the agents, once for all nodes of this machine. What is imported inside is imported only where it is
used: on machines with containers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.client.remote import RemoteClient
from holdfast.network.pods.masquerade import table_name
from holdfast.world import World

from .home import Home
from .network_part import Run, keep_running
from .node_parts import server_address
from .settings import Settings
from .shown import Identity

if TYPE_CHECKING:
    from holdfast.client.informer import Informers


class PeerRouting:
    """Everything stays in place when `run` is cancelled, or its process killed; `close` takes it away."""

    def __init__(self, home: Home, settings: Settings, identity: Identity, world: World) -> None:
        self._home = home
        self._settings = settings
        self._identity = identity
        self._world = world

    async def run(self) -> None:
        """Until cancelled; where pods have no network of their own, it returns."""
        if self._settings.is_joined:
            from .joining.parts import pick_up

            await asyncio.to_thread(pick_up, self._home)
        if self._settings.driver == "oci":
            await keep_running(self._run, "what is done for other machines", self._world.clock)

    async def _run(self) -> None:
        from holdfast.client.informer import Informers

        async with self._identity.client() as client:
            informers = Informers(client, self._world)
            async with asyncio.TaskGroup() as group:
                for run in (*await self._parts(client, informers), informers.run):
                    group.create_task(run())

    async def _parts(self, client: RemoteClient, informers: Informers) -> list[Run]:
        from holdfast.client.events import EventRecorder
        from holdfast.network.peers.keeper import Here, PeerRoutes
        from holdfast.network.peers.telling import Condition, Events

        settings, clock, names = self._settings, self._world.clock, self._settings.node_names()
        recorder = EventRecorder(client, "route-controller", self._world, host=names[0])
        events = Events(recorder)
        teller: Condition | Events = events
        if settings.is_joined:
            from .joining.parts import joined_parts

            server = await asyncio.to_thread(server_address, settings)
            teller = condition = Condition(client, informers, clock, names[0], events)
            others = [condition.run, *joined_parts(self._home, settings, client, informers, self._world)]
        else:
            server, others = "", []
        here = Here(names, settings.pod_networks(), server)
        routes = PeerRoutes(informers, clock, here, table_name(str(self._home.path)), teller.tell)
        return [routes.run, recorder.run, *others]

    async def close(self) -> None:
        """Takes away the routes, those of a process that was killed, too."""
        if self._settings.driver == "oci":
            from holdfast.network.peers.keeper import remove_all

            await asyncio.to_thread(remove_all, self._settings.pod_networks())
