"""Keeps the kernel's rules in step with Services, EndpointSlices and the host ports of this machine's pods.

Changes are collected for a moment and applied together, at the cost of what changed. A table that is not as it
should be is replaced as a whole: at the start, when the kernel refuses a change, and when someone else changed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.network.tables.applying import apply
from holdfast.network.tables.nftables import Nftables, firewalls, has_table, remembered
from holdfast.network.tables.table import removal
from holdfast.network.tables.tampering import NoNotices, Notices, Tampering, heard
from holdfast.world import World

from . import conntrack, machine
from .flows import Entrances
from .routes import SERVICE_NAME, Route, host_routes, routes
from .rules import Machine, fragment, service_table

log = logging.getLogger(__name__)

NodePort = tuple[str, int]
"""Protocol and number."""
Opened = Callable[[Iterable[NodePort]], None]

POD = "_pod/"
"""Before the key of a pod, among the keys of services: no namespace is called so."""
COLLECT_S = 0.05
LOOK_EVERY_S = 30.0
"""How often it looks whether the table is still there, should the kernel not have told that it is gone."""
REPAIR_EVERY_S = 2.0
"""At most so often the table is put right: whoever changes it all the time must not keep this machine busy."""
AT_ONCE = 50
ROUTE_ATTEMPTS, ROUTE_RETRY_S = 20, 0.25
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0


class ServiceRouter:
    """The services of one cluster on one machine. `run` until cancelled, which leaves everything in place."""

    def __init__(
        self,
        informers: Informers,
        world: World,
        nftables: Nftables,
        table: str,
        here: Machine,
        notices: Notices | None = None,
        link_notices: Notices | None = None,
        opened: Opened | None = None,
    ) -> None:
        """`notices` are those of the table, `link_notices` of routes that went; the router closes both.

        `opened` is told of the ports that lead to services on every address of the machine, whenever they may have
        changed.
        """
        self._opened = opened
        self.applied = 0
        """How many transactions the kernel has taken."""
        self._world = world
        self._nftables = nftables
        self._machine = here
        self._table = service_table(table, here)
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._family = here.family
        self._at = f"{self._family.word} {table}"
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index("service", lambda slice: (service_of(slice),))
        self._pods = [informers.of(PODS, field_selector=f"spec.nodeName={node}") for node in here.nodes]
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._notices = notices or NoNotices()
        self._tampering = Tampering(self._notices, self._wake.set)
        self._link_notices = link_notices or NoNotices()
        self._is_route_suspect = False
        self._looked_at_s = self._repaired_at_s = self._routed_at_s = 0.0

    async def run(self) -> None:
        with heard(self._notices, self._tampering.hear), heard(self._link_notices, self._hear_of_links):
            await self._follow()

    async def _follow(self) -> None:
        ends = (
            self._services.subscribe(lambda old, new: self._mark(key_of(new or old or {}))),
            self._slices.subscribe(self._slice_changed),
            *(pods.subscribe(self._pod_changed) for pods in self._pods),
        )
        try:
            await self._services.wait_synced()
            await self._slices.wait_synced()
            for pods in self._pods:
                await pods.wait_synced()
            await self._open()
            while True:
                await self._step()
        finally:
            for end in ends:
                end()

    # Following

    def _slice_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        for slice in (old, new):
            if slice is not None:
                self._mark(service_of(slice))

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        pod = new or old or {}
        key = POD + key_of(pod)
        if key in self._routes or (new is not None and host_routes(new, self._family.name)):
            self._mark(key)

    def _hear_of_links(self) -> None:
        if self._link_notices.drain() or self._link_notices.lost:
            self._link_notices.lost = False
            self._is_route_suspect = True
            self._wake.set()

    def _mark(self, service: str) -> None:
        self._changed.add(service)
        self._wake.set()

    async def _take(self) -> Entrances:
        """Brings the table up to date with what changed; where UDP clients may now be led astray."""
        self._wake.clear()
        changed, self._changed = self._changed, set()
        entrances = Entrances()
        for number, key in enumerate(changed):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # the agents live on this loop too
            before, after = self._routes.pop(key, ()), self._routes_of(key)
            entrances.add(before, after)
            if after:
                self._routes[key] = after
            self._table.set(key, fragment(after, self._machine) if after else None)
        return entrances

    def _routes_of(self, key: str) -> tuple[Route, ...]:
        try:
            if key.startswith(POD):
                pods = (pods.get(key.removeprefix(POD)) for pods in self._pods)
                return tuple(route for pod in pods if pod is not None for route in host_routes(pod, self._family.name))
            service = self._services.get(key)
            if service is None:
                return ()
            slices = self._slices.by_index("service", key)
            return routes(service, slices, tuple(self._machine.nodes), self._family.name)
        except Exception:
            # One odd object must not end the routing of all others.
            log.exception("cannot be routed key=%s", key)
            return ()

    # Applying

    async def _open(self) -> None:
        await asyncio.to_thread(self._tell_of_firewalls)
        entrances = await self._take()
        await self._replace()
        await self._forget_flows(entrances)
        self._tell()
        log.info("services are routed table=%r services=%s", self._at, len(self._routes))
        await self._route()
        self._looked_at_s = self._world.clock.monotonic_s()

    async def _route(self) -> None:
        """Lets the host itself reach cluster addresses. The gateway may take a moment to be there."""
        self._is_route_suspect = False
        self._routed_at_s = self._world.clock.monotonic_s()
        for _ in range(ROUTE_ATTEMPTS):
            if machine.has_default_route(self._machine.services.version):
                return
            try:
                await asyncio.to_thread(machine.add_route, self._machine.services, self._machine.gateway)
            except OSError as error:
                log.debug("no route yet error=%r", str(error))
            else:
                return
            await self._world.clock.sleep(ROUTE_RETRY_S)
        log.warning("this machine cannot reach cluster addresses gateway=%s", self._machine.gateway)

    def _tell_of_firewalls(self) -> None:
        try:
            for chain in firewalls(self._nftables):
                log.warning("a firewall drops what pods send unless it allows their range chain=%r", chain)
        except OSError as error:
            log.warning("cannot look for firewalls error=%r", str(error))

    async def _step(self) -> None:
        """Waits for changes, or for the time to look whether all is as it was left."""
        try:
            # Not wait_for: that may lose a cancellation that comes together with the event.
            async with asyncio.timeout(self._wait_s()):
                await self._wake.wait()
        except TimeoutError:
            pass
        else:
            await self._world.clock.sleep(COLLECT_S)
            await self._apply_changes()
        now_s = self._world.clock.monotonic_s()
        if self._is_route_suspect and now_s - self._routed_at_s >= REPAIR_EVERY_S:
            await self._route()
        if self._tampering.is_suspected and now_s - self._repaired_at_s >= REPAIR_EVERY_S:
            await self._repair()
        if self._world.clock.monotonic_s() - self._looked_at_s >= LOOK_EVERY_S:
            await self._look()

    def _wait_s(self) -> float:
        """Until there is something to do although nothing changes."""
        now_s = self._world.clock.monotonic_s()
        due_s = self._looked_at_s + LOOK_EVERY_S
        if self._tampering.is_suspected:
            due_s = min(due_s, self._repaired_at_s + REPAIR_EVERY_S)
        if self._is_route_suspect:
            due_s = min(due_s, self._routed_at_s + REPAIR_EVERY_S)
        return max(0.0, due_s - now_s)

    async def _apply_changes(self) -> None:
        entrances = await self._take()
        if text := self._table.changes():
            try:
                await self._run(text)
            except OSError as error:
                log.warning("change refused, replacing the table=%r error=%r", self._at, str(error))
                await self._replace()
        await self._forget_flows(entrances)
        self._tell()

    async def _look(self) -> None:
        """For what the kernel does not tell, or has not told."""
        self._looked_at_s = self._world.clock.monotonic_s()
        await self._route()  # the way out may have gone meanwhile
        try:
            is_there = await asyncio.to_thread(has_table, self._nftables, self._at)
        except OSError as error:
            log.warning("cannot look for the table=%r error=%r", self._at, str(error))
            return
        if not is_there:
            await self._repair()

    async def _repair(self) -> None:
        log.warning("someone changed the service rules; they are put back table=%r", self._at)
        await self._replace()
        self._repaired_at_s = self._world.clock.monotonic_s()

    async def _replace(self) -> None:
        """Again and again until the kernel takes it. Clients keep the endpoints they have (D45)."""
        delay_s = FIRST_RETRY_S
        clients = await asyncio.to_thread(self._remembered)
        self._tampering.settle()
        while True:
            try:
                await self._run(await asyncio.to_thread(self._table.full, clients))
                return
            except OSError as error:
                log.error("services are not routed retrying_after_s=%g error=%r", delay_s, str(error))
            clients = {}
            await self._world.clock.sleep(delay_s)
            delay_s = min(delay_s * 2, LAST_RETRY_S)
            await self._take()

    def _remembered(self) -> dict[str, str]:
        """What the table in the kernel, an earlier process's perhaps, knows of clients; nothing if there is none."""
        if not self._table.sets:
            return {}
        try:
            return remembered(self._nftables, self._at)
        except OSError:
            return {}

    async def _run(self, text: str) -> None:
        await apply(self._nftables, text, self._tampering)
        self.applied += 1

    def _tell(self) -> None:
        if self._opened is not None:
            known = (route for routes in self._routes.values() for route in routes)
            self._opened({(route.protocol, route.node_port) for route in known if route.node_port})

    async def _forget_flows(self, entrances: Entrances) -> None:
        """After the rules, so that the next packet of a flow finds the new ones."""
        if not entrances:
            return
        try:
            forgotten = await asyncio.to_thread(conntrack.forget, entrances.is_stale, self._family.number)
        except OSError as error:
            log.warning("stale UDP flows stay error=%r", str(error))
            return
        if forgotten:
            log.info("forgot stale UDP flows count=%s", forgotten)


def service_of(slice: Manifest) -> str:
    """The key of the service that a slice belongs to."""
    metadata = slice["metadata"]
    return f"{metadata['namespace']}/{(metadata.get('labels') or {}).get(SERVICE_NAME, '')}"


def remove(nftables: Nftables, table: str, here: Machine) -> None:
    """Takes away what a router has set up, whether it is the one of this process or not. Blocking."""
    machine.remove_route(here.services, here.gateway)
    try:
        nftables.run(removal(f"{here.family.word} {table}"))
    except OSError as error:
        log.warning("service rules stay table=%r error=%r", table, str(error))
