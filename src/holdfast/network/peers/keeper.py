"""Keeps the routes to other machines in step with the Nodes, and puts back what somebody else takes away (D51)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers
from holdfast.network.pods.guard import guard
from holdfast.network.pods.ranges import Address, Network
from holdfast.world import Clock

from . import kernel
from .plan import Far, Here, Peer, Reach, Route, peers, slices_of, ways

log = logging.getLogger(__name__)

Tell = Callable[[Sequence[Peer], Mapping[str, str]], None]
"""Given the other machines' nodes and, by the names of those that cannot be reached, why."""


class Kernel(Protocol):
    """The module `kernel`, or an imagined one. Blocking; raises OSError."""

    def reach(self, addresses: Sequence[Address]) -> Mapping[Address, Reach]: ...

    def present(self, pods: Sequence[Network]) -> set[Route]: ...

    def put(self, route: Route) -> None: ...

    def remove(self, route: Route) -> None: ...


class PeerRoutes:
    """`run` until cancelled, which leaves everything in place; `close` takes the routes away."""

    def __init__(
        self,
        informers: Informers,
        clock: Clock,
        here: Here,
        table: str,
        tell: Tell,
        machine: Kernel = kernel,
    ) -> None:
        """`table` is the one of the pods' rules: whoever changes it may have changed more."""
        self._nodes = informers.of(NODES)
        self._clock = clock
        self._here = here
        self._table = table
        self._tell = tell
        self._kernel = machine
        self._told = asyncio.Event()

    async def run(self) -> None:
        end = self._nodes.subscribe(self._node_changed)
        try:
            await self._nodes.wait_synced()
            self._told.set()
            await guard(self._table, self._clock, self._repair, self._told)
        finally:
            end()

    def _node_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if old is None or new is None or _read(old) != _read(new):
            self._told.set()

    async def _repair(self, _: bool) -> None:
        await self.keep()

    async def keep(self) -> None:
        """Has the routes be what the Nodes ask for now. Raises OSError, after all that can be done."""
        others = peers(self._nodes.list(), self._here)
        addresses = [address for peer in others for address in peer.addresses]
        reached = await asyncio.to_thread(self._kernel.reach, addresses)
        wanted = ways(others, reached, self._here)
        failures = await asyncio.to_thread(self._change, wanted.routes)
        refused = {
            peer.name: f"the kernel refuses a route to {slice}: {failures[slice]}"
            for peer in others
            for slice in peer.slices
            if slice in failures
        }
        self._tell(others, {**wanted.problems, **refused})
        if failures:
            raise OSError("; ".join(f"{network}: {error}" for network, error in failures.items()))

    def _change(self, wanted: frozenset[Route]) -> dict[Network, str]:
        """What the kernel has refused, by where the route leads, and why."""
        present, failures = self._kernel.present(self._here.pods), {}
        networks = {route.network for route in wanted}
        gone = [route for route in present - wanted if route.network not in networks]
        for change, routes in ((self._kernel.put, wanted - present), (self._kernel.remove, gone)):
            for route in routes:
                log.info("%s route to=%s by=%s", change.__name__, route.network, route.gateway or "nobody")
                try:
                    change(route)
                except OSError as error:
                    failures[route.network] = str(error)
        return failures


def _read(node: Manifest) -> object:
    """What routes are made of."""
    return slices_of(node), (node.get("status") or {}).get("addresses"), node["metadata"].get("labels")


def remove_all(pods: Sequence[Network]) -> None:
    """Takes away what any process has set up for these ranges. Blocking; what stays is logged."""
    try:
        for route in kernel.present(pods):
            kernel.remove(route)
    except OSError as error:
        log.warning("routes to other machines stay error=%r", str(error))


__all__ = ["Far", "Here", "PeerRoutes", "remove_all"]
