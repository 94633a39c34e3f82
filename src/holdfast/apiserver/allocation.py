"""Addresses and node ports of Services, out of ranges that belong to the cluster (A265, D12-D15).

What is in use is read off the stored Services at the start and followed from then on, so there is nothing to
repair and nothing to leak: a reservation that did not become an object ends with its request.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from holdfast.api.conditions import is_terminating, is_true
from holdfast.api.core.service_addresses import HEADLESS, family_of, settle_families
from holdfast.api.core.service_defaults import NODE_PORT_TYPES
from holdfast.api.errors import InternalError, invalid
from holdfast.api.networking.ip_address import MANAGED_BY, OURS
from holdfast.api.networking.service_cidr import DEFAULT, family_of_range, ranges_of
from holdfast.api.resource import Manifest

from .cache import Event, ResourceCache, Stored
from .call import Call
from .pools import Addresses, Pool, Reservation


class Allocation:
    """Hands out cluster IPs from `cidrs`, one for each family, and node ports from `ports` (first and last)."""

    def __init__(
        self,
        services: ResourceCache,
        reserved: ResourceCache,
        ranges: ResourceCache,
        cidrs: Sequence[str],
        ports: tuple[int, int],
        chance: random.Random,
    ) -> None:
        """`reserved` are IPAddresses: those that are not the server's own keep their address from services.

        `ranges` are ServiceCIDRs: addresses come from those that are ready, besides `cidrs`. The family of the first of
        these is what a Service has that does not say.
        """
        networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
        self.first_address = str(networks[0][1])
        """The address of the API server's own Service."""
        self.families = {family_of_range(network): Addresses(network, chance) for network in networks}
        first, last = ports
        self.ports = Pool(first, last, min(max(16, (last - first + 1) // 32), 128), chance)
        self._services = services
        for stored in services.select():
            self._take_all_of(stored.manifest)
        services.follow(self._follow)
        for stored in reserved.select():
            self._reserve(stored, Addresses.take)
        reserved.follow(self._follow_reserved)
        for stored in ranges.select():
            self._add_range(stored)
        ranges.follow(self._follow_range)

    # -- what is in use

    def _follow(self, event: Event) -> None:
        if not event.is_delete:
            self._take_all_of(event.new.manifest)
        if event.old is not None:
            self._each_address(event.old.manifest, Addresses.give_back)
            for port in _node_ports(event.old.manifest):
                self.ports.give_back(port)

    def _follow_reserved(self, event: Event) -> None:
        if not event.is_delete:
            self._reserve(event.new, Addresses.take)
        if event.old is not None:
            self._reserve(event.old, Addresses.give_back)

    def _follow_range(self, event: Event) -> None:
        for addresses in self.families.values():
            addresses.drop_range(event.new.name)
        if not event.is_delete:
            self._add_range(event.new)

    def _add_range(self, stored: Stored) -> None:
        manifest = stored.manifest
        if stored.name == DEFAULT or is_terminating(manifest) or not is_true(manifest, "Ready"):
            return
        for network in ranges_of(manifest):
            if (addresses := self.families.get(family_of_range(network))) is not None:
                addresses.add_range(stored.name, network)

    def _reserve(self, address: Stored, act: Callable[[Addresses, int], None]) -> None:
        if address.labels.get(MANAGED_BY) != OURS and (of := self.families.get(family_of(address.name))) is not None:
            act(of, int(ipaddress.ip_address(address.name)))

    def _each_address(self, service: Manifest, act: Callable[[Addresses, int], None]) -> None:
        for family, addresses in self.families.items():
            for number in _addresses(service, family):
                act(addresses, number)

    def _take_all_of(self, service: Manifest) -> None:
        self._each_address(service, Addresses.take)
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
        addresses = {
            family: Reservation(_addresses(old, family) if old else set(), pool)
            for family, pool in self.families.items()
        }
        ports = Reservation(_node_ports(old) if old else set(), self.ports)
        try:
            if spec.get("type") != "ExternalName":
                new["spec"] = spec = {**spec}
                before = (old.get("spec") if old else None) or {}
                if errors := settle_families(spec, before, tuple(self.families)):
                    raise call.invalid(errors)
                self._fill_addresses(call, spec, before, addresses)
                self._fill_ports(call, spec, ports)
            yield
        finally:
            for reservation in (*addresses.values(), ports):
                reservation.end()

    def _fill_addresses(self, call: Call, spec: Manifest, before: Manifest, reserved: dict[str, Reservation]) -> None:
        """An address that was given once stays, and validation has the words for one that should change."""
        given = [*(spec.get("clusterIPs") or filter(None, [spec.get("clusterIP")]))]
        if HEADLESS not in (*given, before.get("clusterIP")):
            is_new = before.get("type", "ExternalName") == "ExternalName"
            known = 0 if is_new else len(before.get("ipFamilies") or ())
            for i, family in [*enumerate(spec["ipFamilies"])][known:]:
                if i < len(given):
                    self._take_address(call, given, given[i], family, reserved[family])
                else:
                    given.append(self._free_address(family, reserved[family]))
        spec["clusterIP"], spec["clusterIPs"] = given[0], given

    def _free_address(self, family: str, reservation: Reservation) -> str:
        addresses = self.families[family]
        if (number := addresses.free()) is None:
            raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")
        return addresses.text(reservation.take(number))

    def _take_address(
        self, call: Call, shown: Sequence[str], address: str, family: str, reservation: Reservation
    ) -> None:
        addresses, number = self.families[family], int(ipaddress.ip_address(address))
        if reservation.has(number):
            return
        detail = ""
        if number not in addresses:
            detail = "the provided network does not match the current range"
        elif addresses.is_taken(number):
            detail = "provided IP is already allocated"
        if detail:
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


def _shared(port: Manifest, ports: list[Manifest]) -> int | None:
    """The node port of the same service port under another protocol: both use one (D14)."""
    others = (other for other in ports if other.get("port") == port.get("port") and other.get("nodePort"))
    return next((other["nodePort"] for other in others if other.get("protocol") != port.get("protocol")), None)


def _addresses(service: Manifest, family: str) -> set[int]:
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    given = (address for address in found if address != HEADLESS)
    return {int(ipaddress.ip_address(address)) for address in given if family_of(address) == family}


def _node_ports(service: Manifest) -> set[int]:
    spec = service.get("spec") or {}
    found = {port.get("nodePort") or 0 for port in spec.get("ports") or ()}
    return (found | {spec.get("healthCheckNodePort") or 0}) - {0}
