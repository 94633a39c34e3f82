"""Addresses and node ports of Services, out of ranges that belong to the cluster (A265).

What is in use is read off the stored Services at the start and followed from then on, so there is nothing to
repair and nothing to leak: a reservation that did not become an object ends with its request.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from holdfast.api.errors import FieldError, InternalError, invalid
from holdfast.api.resource import Manifest

from .cache import Event, ResourceCache
from .call import Call

TRIES = 32
HEADLESS = "None"


@dataclass(slots=True)
class Reservation:
    """What one request has taken out, until it ends: what became an object is counted from the object by then."""

    addresses: list[str] = field(default_factory=list)
    ports: list[tuple[int, str]] = field(default_factory=list)


class Allocation:
    """Hands out cluster IPs from `cidr` and node ports from `ports`, both by chance (upstream's order too)."""

    def __init__(self, services: ResourceCache, cidr: str, ports: tuple[int, int], chance: random.Random) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._ports = ports
        self._chance = chance
        self._addresses: dict[str, int] = {}
        self._used_ports: dict[tuple[int, str], int] = {}
        self._services = services
        for stored in services.select():
            self._count(stored.manifest, 1)
        self._unfollow = services.follow(self._follow)

    def close(self) -> None:
        self._unfollow()

    @property
    def first_address(self) -> str:
        """The address of the API server's own Service."""
        return str(self._network[1])

    # -- what is in use

    def _follow(self, event: Event) -> None:
        if not event.is_delete:
            self._count(event.new.manifest, 1)
        if event.old is not None:
            self._count(event.old.manifest, -1)

    def _count(self, service: Manifest, change: int) -> None:
        for address in _addresses(service):
            _add(self._addresses, address, change)
        for port in _node_ports(service):
            _add(self._used_ports, port, change)

    # -- one request

    @contextmanager
    def of(self, call: Call, new: Manifest, old: Manifest | None) -> Iterator[None]:
        """Fills in what a Service lacks and holds it until the request has come to its end.

        Raises Invalid for an address or a port that is taken or out of range, InternalError when none is left.
        """
        if call.resource is not self._services.resource or call.subresource:
            yield
            return
        reservation = Reservation()
        try:
            self._fill(call, new, old, reservation)
            yield
        finally:
            for address in reservation.addresses:
                _add(self._addresses, address, -1)
            for port in reservation.ports:
                _add(self._used_ports, port, -1)

    def _fill(self, call: Call, new: Manifest, old: Manifest | None, reservation: Reservation) -> None:
        spec = new.get("spec")
        if not isinstance(spec, dict):
            return
        spec = new["spec"] = {**spec}
        if spec.get("type") == "ExternalName":
            return
        if errors := _family_errors(spec):
            raise call.invalid(errors)
        self._fill_address(call, spec, set(_addresses(old)) if old else set(), reservation)
        self._fill_ports(call, spec, set(_node_ports(old)) if old else set(), reservation)

    def _fill_address(self, call: Call, spec: Manifest, own: set[str], reservation: Reservation) -> None:
        address = spec.get("clusterIP") or ""
        if not address and spec.get("clusterIPs"):
            address = spec["clusterIPs"][0]
        if not address:
            address = self._free_address()
            self._reserve(reservation, address)
        elif address != HEADLESS and address not in own:
            self._check_address(call, spec, address)
            self._reserve(reservation, address)
        spec["clusterIP"] = address
        spec.setdefault("clusterIPs", [address])
        is_free = _serves_any_family(spec)
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if is_free else ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if is_free else "SingleStack")

    def _reserve(self, reservation: Reservation, address: str) -> None:
        reservation.addresses.append(address)
        _add(self._addresses, address, 1)

    def _free_address(self) -> str:
        size = self._network.num_addresses
        for _ in range(TRIES):
            address = str(self._network[self._chance.randrange(2, max(3, size - 1))])
            if address not in self._addresses:
                return address
        for number in range(2, size - 1):
            if (address := str(self._network[number])) not in self._addresses:
                return address
        raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")

    def _check_address(self, call: Call, spec: Manifest, address: str) -> None:
        try:
            parsed: Any = ipaddress.ip_address(address)
        except ValueError:
            return  # validation has the words for it
        shown = spec.get("clusterIPs") or [address]
        detail = ""
        if parsed not in self._network:
            detail = f"failed to allocate IP {address}: the provided network does not match the current range"
        elif address in self._addresses:
            detail = f"failed to allocate IP {address}: provided IP is already allocated"
        if detail:
            raise call.invalid([invalid("spec.clusterIPs", shown, detail)])

    def _fill_ports(self, call: Call, spec: Manifest, own: set[tuple[int, str]], reservation: Reservation) -> None:
        if spec.get("type") not in ("NodePort", "LoadBalancer"):
            return
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            return
        ports = spec["ports"] = [{**port} for port in spec.get("ports") or ()]
        for index, port in enumerate(ports):
            protocol = port.get("protocol", "TCP")
            number = port.get("nodePort")
            if not number:
                number = port["nodePort"] = self._free_port(protocol)
            elif (number, protocol) not in own:
                self._check_port(call, f"spec.ports[{index}].nodePort", number, protocol)
            if (number, protocol) not in own:
                self._reserve_port(reservation, number, protocol)
        if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            self._fill_health_check_port(spec, own, reservation)

    def _fill_health_check_port(self, spec: Manifest, own: set[tuple[int, str]], reservation: Reservation) -> None:
        number = spec.get("healthCheckNodePort")
        if not number:
            number = spec["healthCheckNodePort"] = self._free_port("TCP")
        if (number, "TCP") not in own:
            self._reserve_port(reservation, number, "TCP")

    def _reserve_port(self, reservation: Reservation, number: int, protocol: str) -> None:
        reservation.ports.append((number, protocol))
        _add(self._used_ports, (number, protocol), 1)

    def _free_port(self, protocol: str) -> int:
        first, last = self._ports
        for _ in range(TRIES):
            number = self._chance.randint(first, last)
            if (number, protocol) not in self._used_ports:
                return number
        for number in range(first, last + 1):
            if (number, protocol) not in self._used_ports:
                return number
        raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")

    def _check_port(self, call: Call, where: str, number: int, protocol: str) -> None:
        first, last = self._ports
        detail = ""
        if not first <= number <= last:
            detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        elif (number, protocol) in self._used_ports:
            detail = "provided port is already allocated"
        if detail:
            raise call.invalid([invalid(where, number, detail)])


def _serves_any_family(spec: Manifest) -> bool:
    """A headless service without selector leads wherever its owner says."""
    return spec.get("clusterIP") == HEADLESS and not spec.get("selector")


def _family_errors(spec: Manifest) -> list[FieldError]:
    """This cluster has IPv4 only."""
    if _serves_any_family(spec):
        return []
    errors = []
    if (policy := spec.get("ipFamilyPolicy")) == "RequireDualStack":
        detail = "this cluster is not configured for dual-stack services"
        errors.append(invalid("spec.ipFamilyPolicy", policy, detail))
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6":
            errors.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    return errors


def _addresses(service: Manifest) -> list[str]:
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in found if address != HEADLESS]


def _node_ports(service: Manifest) -> list[tuple[int, str]]:
    spec = service.get("spec") or {}
    ports = [
        (port["nodePort"], port.get("protocol", "TCP")) for port in spec.get("ports") or () if port.get("nodePort")
    ]
    health_check = spec.get("healthCheckNodePort")
    return [*ports, (health_check, "TCP")] if health_check else ports


def _add(counts: dict[Any, int], key: Any, change: int) -> None:
    value = counts.get(key, 0) + change
    if value > 0:
        counts[key] = value
    else:
        counts.pop(key, None)
