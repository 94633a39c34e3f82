"""Endpoints, the older form of EndpointSlices (D30)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import (
    endpoint_address,
    ip_address,
    is_ip_address,
    label_key,
    named,
    port_number,
    required_and_supported,
)
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

from .container_validation import PROTOCOLS

_MOST_SHOWN = 3


def default(endpoints: Manifest) -> None:
    for subset in endpoints.get("subsets", ()):
        for port in subset.get("ports", ()):
            port["protocol"] = port.get("protocol") or "TCP"


def validate(endpoints: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, subset in enumerate(endpoints.get("subsets", ())):
        errors += _subset(f"subsets[{i}]", subset)
    return errors


def _subset(field: str, subset: Manifest) -> Iterator[FieldError]:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        yield required(field, "must specify `addresses` or `notReadyAddresses`")
    for kind in ("addresses", "notReadyAddresses"):
        for i, address in enumerate(subset.get(kind, ())):
            yield from _address(f"{field}.{kind}[{i}]", address)
    ports = subset.get("ports", ())
    for i, port in enumerate(ports):
        at = f"{field}.ports[{i}]"
        if port.get("name"):
            yield from named(f"{at}.name", port["name"], names.dns_label)
        elif len(ports) > 1:
            yield required(f"{at}.name")
        yield from port_number(f"{at}.port", port.get("port", 0))
        yield from required_and_supported(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)
        if "appProtocol" in port:
            yield from label_key(f"{at}.appProtocol", port["appProtocol"])


def _address(field: str, address: Manifest) -> Iterator[FieldError]:
    """Upstream has two texts for an address that is none."""
    text, is_address = address.get("ip", ""), is_ip_address(address.get("ip", ""))
    yield from ip_address(f"{field}.ip", text)
    if host_name := address.get("hostname"):
        yield from named(f"{field}.hostname", host_name, names.dns_label)
    if "nodeName" in address:
        yield from named(f"{field}.nodeName", address["nodeName"], names.dns_subdomain)
    if is_address:
        yield from endpoint_address(f"{field}.ip", text)
    else:
        yield invalid(f"{field}.ip", text, "must be a valid IP address")


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Subsets that stay as they are were checked by the rules of their time."""
    return [] if same(new.get("subsets"), old.get("subsets")) else validate(new)


def cells(endpoints: Manifest, now: datetime) -> list[Any]:
    return [
        endpoints["metadata"]["name"],
        _shown(endpoints.get("subsets", ())),
        age(endpoints["metadata"].get("creationTimestamp"), now),
    ]


def _shown(subsets: list[Manifest]) -> str:
    """The first three addresses, and how many more there are."""
    found = [text for subset in subsets for text in _addresses(subset)]
    if not found:
        return "<none>"
    more = len(found) - _MOST_SHOWN
    return ",".join(found[:_MOST_SHOWN]) + (f" + {more} more..." if more > 0 else "")


def _addresses(subset: Manifest) -> Iterator[str]:
    addresses, ports = [address.get("ip", "") for address in subset.get("addresses", ())], subset.get("ports", ())
    if not ports:
        yield from addresses
    for port in ports:
        yield from (_joined(address, port.get("port", 0)) for address in addresses)


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


ENDPOINTS = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_updates_whole=False,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    columns=(NAME, Column("Endpoints", documents="core.v1.Endpoints.subsets"), AGE),
    cells=cells,
    creates_on_update=True,
)
