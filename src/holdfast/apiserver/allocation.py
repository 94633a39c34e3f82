"""Addresses and node ports of Services, out of ranges that belong to the cluster (A265, D12-D15).

What is in use is read off the stored Services at the start and followed from then on, so there is nothing to
repair and nothing to leak: a reservation that did not become an object ends with its request.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from holdfast.api.conditions import is_terminating, is_true
from holdfast.api.core.service_addresses import HEADLESS, settle_families
from holdfast.api.core.service_defaults import NODE_PORT_TYPES
from holdfast.api.errors import InternalError, invalid
from holdfast.api.networking.ip_address import MANAGED_BY, OURS
from holdfast.api.networking.service_cidr import DEFAULT, ranges_of
from holdfast.api.resource import Manifest

from .cache import Event, ResourceCache, Stored
from .call import Call

TRIES = 32


class Pool:
    """Numbers from `first` to `last`, and how often each is taken. The lowest `band` is kept for who asks by number.

    `taken` may be shared among pools, whose ranges may overlap.
    """

    def __init__(
        self, first: int, last: int, band: int, chance: random.Random, taken: dict[int, int] | None = None
    ) -> None:
        self.first = first
        self.last = last
        self._free_from = first + band if first + band <= last else first
        self._chance = chance
        self.taken: dict[int, int] = {} if taken is None else taken

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def is_taken(self, number: int) -> bool:
        return number in self.taken

    def take(self, number: int) -> None:
        self.taken[number] = self.taken.get(number, 0) + 1

    def give_back(self, number: int) -> None:
        if (count := self.taken.get(number, 0) - 1) > 0:
            self.taken[number] = count
        else:
            self.taken.pop(number, None)

    def free(self) -> int | None:
        """A number nobody has, by chance; one of the band when nothing else is left, None when nothing is."""
        for _ in range(TRIES if self.first <= self.last else 0):
            number = self._chance.randint(self._free_from, self.last)
            if number not in self.taken:
                return number
        candidates = (*range(self._free_from, self.last + 1), *range(self.first, self._free_from))
        return next((number for number in candidates if number not in self.taken), None)


class Reservation:
    """What one request has taken, until it ends: what became an object is counted from the object by then."""

    def __init__(self, own: set[int], pool: Pool) -> None:
        self._own = own
        self._pool = pool
        self._taken: set[int] = set()

    def has(self, number: int) -> bool:
        """It is the object's already."""
        return number in self._own or number in self._taken

    def take(self, number: int) -> int:
        if not self.has(number):
            self._taken.add(number)
            self._pool.take(number)
        return number

    def end(self) -> None:
        for number in self._taken:
            self._pool.give_back(number)


class Allocation:
    """Hands out cluster IPs from `cidr` and node ports from `ports` (first and last)."""

    def __init__(
        self,
        services: ResourceCache,
        reserved: ResourceCache,
        ranges: ResourceCache,
        cidr: str,
        ports: tuple[int, int],
        chance: random.Random,
    ) -> None:
        """`reserved` are IPAddresses: those that are not the server's own keep their address from services.

        `ranges` are ServiceCIDRs: addresses come from those that are ready, besides `cidr`.
        """
        self._network = ipaddress.IPv4Network(cidr)
        self._chance = chance
        self.addresses = _pool(self._network, chance, {})
        self._more: dict[str, Pool] = {}
        first, last = ports
        self.ports = Pool(first, last, min(max(16, (last - first + 1) // 32), 128), chance)
        self._services = services
        for stored in services.select():
            self._take_all_of(stored.manifest)
        services.follow(self._follow)
        for stored in reserved.select():
            self._reserve(stored, self.addresses.take)
        reserved.follow(self._follow_reserved)
        for stored in ranges.select():
            self._add_range(stored)
        ranges.follow(self._follow_range)

    @property
    def first_address(self) -> str:
        """The address of the API server's own Service."""
        return str(self._network[1])

    # -- what is in use

    def _follow(self, event: Event) -> None:
        if not event.is_delete:
            self._take_all_of(event.new.manifest)
        if event.old is not None:
            for address in _addresses(event.old.manifest):
                self.addresses.give_back(address)
            for port in _node_ports(event.old.manifest):
                self.ports.give_back(port)

    def _follow_reserved(self, event: Event) -> None:
        if not event.is_delete:
            self._reserve(event.new, self.addresses.take)
        if event.old is not None:
            self._reserve(event.old, self.addresses.give_back)

    def _follow_range(self, event: Event) -> None:
        self._more.pop(event.new.name, None)
        if not event.is_delete:
            self._add_range(event.new)

    def _add_range(self, stored: Stored) -> None:
        manifest = stored.manifest
        if stored.name == DEFAULT or is_terminating(manifest) or not is_true(manifest, "Ready"):
            return
        for network in ranges_of(manifest):
            if isinstance(network, ipaddress.IPv4Network):
                self._more[stored.name] = _pool(network, self._chance, self.addresses.taken)

    def _reserve(self, address: Stored, act: Callable[[int], None]) -> None:
        if address.labels.get(MANAGED_BY) != OURS and ":" not in address.name:
            act(int(ipaddress.IPv4Address(address.name)))

    def _take_all_of(self, service: Manifest) -> None:
        for address in _addresses(service):
            self.addresses.take(address)
        for port in _node_ports(service):
            self.ports.take(port)

    # -- one request

    @contextmanager
    def of(self, call: Call, new: Manifest, old: Manifest | None) -> Iterator[None]:
        """Fills in what a Service lacks and holds it until the request has come to its end.

        Raises Invalid for an address or a port that is taken or out of range, InternalError when none is left.
        """
        spec = new.get("spec")
        if call.resource is not self._services.resource or call.subresource or not isinstance(spec, dict):
            yield
            return
        addresses = Reservation(_addresses(old) if old else set(), self.addresses)
        ports = Reservation(_node_ports(old) if old else set(), self.ports)
        try:
            if spec.get("type") != "ExternalName":
                new["spec"] = spec = {**spec}
                before = old.get("spec") if old else None
                if errors := settle_families(spec, before):
                    raise call.invalid(errors)
                # An address that was given once stays, and validation has the words for one that should change.
                if before is None or before.get("type") == "ExternalName":
                    self._fill_address(call, spec, addresses)
                self._fill_ports(call, spec, ports)
            yield
        finally:
            addresses.end()
            ports.end()

    def _fill_address(self, call: Call, spec: Manifest, reservation: Reservation) -> None:
        address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if not address:
            number = self._free_address()
            if number is None:
                raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")
            address = str(ipaddress.IPv4Address(reservation.take(number)))
        elif address != HEADLESS:
            self._take_address(call, spec, address, reservation)
        spec["clusterIP"] = address
        spec["clusterIPs"] = spec.get("clusterIPs") or [address]

    def _free_address(self) -> int | None:
        """Of any range, by chance, as upstream takes them; None when all are full."""
        pools = [self.addresses, *self._more.values()]
        if len(pools) > 1:
            self._chance.shuffle(pools)
        return next((number for pool in pools if (number := pool.free()) is not None), None)

    def _take_address(self, call: Call, spec: Manifest, address: str, reservation: Reservation) -> None:
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError:
            return  # validation has the words for it
        if reservation.has(number):
            return
        detail = ""
        if not any(number in pool for pool in (self.addresses, *self._more.values())):
            detail = "the provided network does not match the current range"
        elif self.addresses.is_taken(number):
            detail = "provided IP is already allocated"
        if detail:
            shown = spec.get("clusterIPs") or [address]
            raise call.invalid([invalid("spec.clusterIPs", shown, f"failed to allocate IP {address}: {detail}")])
        reservation.take(number)

    def _fill_ports(self, call: Call, spec: Manifest, reservation: Reservation) -> None:
        if spec.get("type") not in NODE_PORT_TYPES:
            return
        is_balanced = spec["type"] == "LoadBalancer"
        if not is_balanced or spec.get("allocateLoadBalancerNodePorts") is not False:
            ports = spec["ports"] = [{**port} for port in spec.get("ports") or ()]
            for index, port in enumerate(ports):
                if number := port.get("nodePort"):
                    self._take_port(call, f"spec.ports[{index}].nodePort", number, reservation)
            for port in ports:
                if not port.get("nodePort"):
                    port["nodePort"] = _shared(port, ports) or self._free_port(reservation)
        if is_balanced and spec.get("externalTrafficPolicy") == "Local":
            if number := spec.get("healthCheckNodePort"):
                self._take_port(call, "spec.healthCheckNodePort", number, reservation)
            else:
                spec["healthCheckNodePort"] = self._free_port(reservation)

    def _free_port(self, reservation: Reservation) -> int:
        number = self.ports.free()
        if number is None:
            raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")
        return reservation.take(number)

    def _take_port(self, call: Call, where: str, number: int, reservation: Reservation) -> None:
        if reservation.has(number):
            return
        detail = ""
        if number not in self.ports:
            first, last = self.ports.first, self.ports.last
            detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        elif self.ports.is_taken(number):
            detail = "provided port is already allocated"
        if detail:
            raise call.invalid([invalid(where, number, detail)])
        reservation.take(number)


def _pool(network: ipaddress.IPv4Network, chance: random.Random, taken: dict[int, int]) -> Pool:
    """All but the network's own address and the last; a network of one or two addresses has none."""
    size, lowest = network.num_addresses, int(network.network_address)
    return Pool(lowest + 1, lowest + size - 2, min(max(16, size // 16), 256), chance, taken)


def _shared(port: Manifest, ports: list[Manifest]) -> int | None:
    """The node port of the same service port under another protocol: both use one (D14)."""
    others = (other for other in ports if other.get("port") == port.get("port") and other.get("nodePort"))
    return next((other["nodePort"] for other in others if other.get("protocol") != port.get("protocol")), None)


def _addresses(service: Manifest) -> set[int]:
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return {int(ipaddress.IPv4Address(address)) for address in found if address != HEADLESS and ":" not in address}


def _node_ports(service: Manifest) -> set[int]:
    spec = service.get("spec") or {}
    found = {port.get("nodePort") or 0 for port in spec.get("ports") or ()}
    return (found | {spec.get("healthCheckNodePort") or 0}) - {0}
