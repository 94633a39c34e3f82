"""What services and their slices publish, read from objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest

from .names import dashed, plain

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Port:
    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    is_headless: bool
    addresses: tuple[str, ...]
    alias: str
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One that is ready."""

    label: str
    """Host name, else the address with dashes (D54)."""
    addresses: tuple[str, ...]


@dataclass(slots=True)
class Slice:
    """The ready endpoints of one slice."""

    service: tuple[str, str]
    ports: tuple[Port, ...]
    endpoints: dict[str, list[Endpoint]] = field(default_factory=dict)
    """By label."""
    addresses: dict[str, list[str]] = field(default_factory=lambda: {"A": [], "AAAA": []})
    """Of all endpoints, by type of record."""


NOTHING = Service(False, (), "", ())
"""As if it were not there."""


def read_service(service: Manifest) -> Service:
    spec = service["spec"]
    is_alias = spec.get("type") == "ExternalName"
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    ports = (
        Port(each.get("name") or "", (each.get("protocol") or "TCP").lower(), each["port"])
        for each in spec.get("ports") or ()
    )
    return Service(
        is_headless=spec.get("clusterIP") == "None",
        addresses=tuple(plain(each) for each in addresses if each and each != "None"),
        alias=spec.get("externalName", "") if is_alias else "",
        ports=tuple(ports),
    )


def read_slice(slice: Manifest) -> Slice | None:
    """None if it is of no service, or its endpoints are names."""
    service = (slice["metadata"].get("labels") or {}).get(SERVICE_NAME)
    if not service or slice.get("addressType") == "FQDN":
        return None
    ports = (
        Port(each.get("name") or "", (each.get("protocol") or "TCP").lower(), each["port"])
        for each in slice.get("ports") or ()
        if each.get("port")
    )
    made = Slice((slice["metadata"]["namespace"], service), tuple(ports))
    for endpoint in slice.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        found = endpoint_of(endpoint.get("hostname") or "", endpoint["addresses"])
        made.endpoints.setdefault(found.label, []).append(found)
        for address in found.addresses:
            made.addresses["AAAA" if ":" in address else "A"].append(address)
    return made


def endpoint_of(hostname: str, addresses: Iterable[str]) -> Endpoint:
    """As it is found: by its host name if it has one."""
    found = tuple(plain(each) for each in addresses)
    return Endpoint((hostname or dashed(found[0])).lower(), found)


def all_of(slice: Slice) -> Iterable[Endpoint]:
    for endpoints in slice.endpoints.values():
        yield from endpoints
