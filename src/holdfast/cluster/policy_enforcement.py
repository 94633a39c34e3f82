"""Whether and how this machine enforces network policies: once for all of its nodes, in the process of the agents."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from holdfast.network.pods import ranges
from holdfast.network.pods.gate import Gate
from holdfast.network.pods.masquerade import table_name
from holdfast.world import World

from .home import Home
from .network_part import Obstacle, keep_running, nftables_for
from .settings import Settings
from .shown import Identity

if TYPE_CHECKING:
    from holdfast.client.informer import Informers
    from holdfast.network.policies.keeper import PolicyKeeper
    from holdfast.network.policies.kept import Listen
    from holdfast.network.policies.rules import Here
    from holdfast.network.tables.nftables import Nftables

log = logging.getLogger(__name__)


class PolicyEnforcement:
    """While `run` runs, policies hold; where they cannot, it logs why and returns.

    Rules stay in place when it is cancelled or killed, and the next one replaces them; `close` takes them away.
    What is imported inside is imported only where it is used: on machines with containers.
    """

    def __init__(self, home: Home, settings: Settings, identity: Identity, world: World) -> None:
        self.gate = Gate(is_open=False)
        """Where pods wait for it, until it is known that there is nothing to wait for."""
        self._home = home
        self._settings = settings
        self._identity = identity
        self._world = world
        self._table = f"{table_name(str(home.path))}-policies"
        self._nftables: Nftables | None = None

    async def run(self) -> None:
        try:
            self._nftables = self._nftables or nftables_for(self._settings)
        except Obstacle as obstacle:
            log.info("network policies are not enforced on this machine reason=%r", str(obstacle))
            self.gate.open()
            return
        await keep_running(self._run, "enforcing network policies", self._world.clock)

    async def _run(self) -> None:
        from holdfast.client.informer import Informers

        async with self._identity.client() as client:
            informers = Informers(client, self._world)
            keeper = self._keeper(informers)
            async with asyncio.TaskGroup() as group:
                for run in (keeper.run, informers.run):
                    group.create_task(run())

    def _keeper(self, informers: Informers) -> PolicyKeeper:
        from holdfast.network.notices import RuleNotices, told_by_kernel
        from holdfast.network.policies.keeper import PolicyKeeper

        def listen(here: Here) -> Listen:
            return lambda: told_by_kernel(lambda: RuleNotices(self._table, (here.family.number,)))

        assert self._nftables is not None
        here = machine(self._home, self._settings)
        return PolicyKeeper(informers, self._world, self._nftables, self._table, here, self.gate, listen)

    async def close(self) -> None:
        """Takes away what a `run` that has ended has set up, in this process or in one that was killed."""
        try:
            nftables = self._nftables or nftables_for(self._settings)
        except Obstacle:
            return
        from holdfast.network.policies.kept import remove

        for here in machine(self._home, self._settings):
            await asyncio.to_thread(remove, nftables, f"{here.family.word} {self._table}")


def machine(home: Home, settings: Settings) -> list[Here]:
    """This machine, by family. Its pods ask its own DNS; by the service's address they reach the first machine's."""
    from holdfast.network.policies.rules import Here

    first, own = ranges.node_slices(settings.pod_networks(), 0), settings.slices(0)
    servers = [] if "dns" in settings.without else [[str(slice.gateway) for slice in each] for each in (own, first)]
    made = []
    for number, slice in enumerate(own):
        dns = tuple(dict.fromkeys(each[number] for each in servers))
        made.append(Here(slice.node.version, settings.node_names(), dns, str(home.path)))
    return made
