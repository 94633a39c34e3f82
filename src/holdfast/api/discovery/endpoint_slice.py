"""EndpointSlices (D25-D29)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.core.container_validation import PROTOCOLS
from holdfast.api.errors import FieldError, duplicate, invalid, required, too_many
from holdfast.api.field_rules import endpoint_address, label_key, label_map, named, port_number, required_and_supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

_MOST_LABELS, _MOST_HINTS = 16, 8
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_MOST_ENDPOINTS, _MOST_PORTS, _MOST_ADDRESSES, _MOST_SHOWN = 1000, 20000, 100, 3


def default(endpoint_slice: Manifest) -> None:
    endpoint_slice.setdefault("endpoints", [])
    for endpoint in endpoint_slice["endpoints"]:
        endpoint.setdefault("conditions", {})
    endpoint_slice.setdefault("ports", [])
    for port in endpoint_slice["ports"]:
        port.setdefault("name", "")
        port["protocol"] = port.get("protocol") or "TCP"


def validate(endpoint_slice: Manifest) -> list[FieldError]:
    kind = endpoint_slice.get("addressType", "")
    return [
        *required_and_supported("addressType", kind, _ADDRESS_TYPES),
        *_endpoints(endpoint_slice["endpoints"], kind),
        *_ports(endpoint_slice["ports"]),
    ]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    if new.get("addressType") == old.get("addressType"):
        return []
    return [invalid("addressType", new.get("addressType", ""), "field is immutable")]


def _endpoints(endpoints: list[Manifest], kind: str) -> Iterator[FieldError]:
    if len(endpoints) > _MOST_ENDPOINTS:
        yield too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)
        return
    for i, endpoint in enumerate(endpoints):
        at, addresses = f"endpoints[{i}]", endpoint.get("addresses", ())
        if not addresses:
            yield required(f"{at}.addresses", "must contain at least 1 address")
        elif len(addresses) > _MOST_ADDRESSES:
            yield too_many(f"{at}.addresses", len(addresses), _MOST_ADDRESSES)
        for j, address in enumerate(addresses):
            yield from _address(f"{at}.addresses[{j}]", address, kind)
        if "nodeName" in endpoint:
            yield from named(f"{at}.nodeName", endpoint["nodeName"], names.dns_subdomain)
        yield from _topology(f"{at}.deprecatedTopology", endpoint.get("deprecatedTopology", {}))
        if "hostname" in endpoint:
            yield from named(f"{at}.hostname", endpoint["hostname"], names.dns_label)
        for kind, rule in (("forZones", names.qualified_name), ("forNodes", names.dns_subdomain)):
            yield from _hints(f"{at}.hints.{kind}", endpoint.get("hints", {}).get(kind, ()), rule)


def _topology(field: str, labels: dict[str, str]) -> Iterator[FieldError]:
    if len(labels) > _MOST_LABELS:
        yield too_many(field, len(labels), _MOST_LABELS)
    yield from label_map(field, labels)


def _hints(field: str, hints: Sequence[Manifest], rule: Callable[[str], str]) -> Iterator[FieldError]:
    """For whom an endpoint is near."""
    if len(hints) > _MOST_HINTS:
        yield too_many(field, len(hints), _MOST_HINTS)
        return
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        name = hint.get("name", "")
        if name in seen:
            yield duplicate(f"{field}[{i}].name", name)
        seen.add(name)
        yield from named(f"{field}[{i}].name", name, rule)


def _address(field: str, address: str, kind: str) -> Iterator[FieldError]:
    if kind == "FQDN":
        yield from named(field, address.removesuffix("."), names.dns_subdomain)
    elif kind in _ADDRESS_TYPES:
        errors = [*endpoint_address(field, address)]
        yield from errors
        if not errors and (":" in address) != (kind == "IPv6"):
            yield invalid(field, address, f"must be an {kind} address")


def _ports(ports: list[Manifest]) -> Iterator[FieldError]:
    if len(ports) > _MOST_PORTS:
        yield too_many("ports", len(ports), _MOST_PORTS)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at, name = f"ports[{i}]", port.get("name", "")
        if name:
            yield from named(f"{at}.name", name, names.dns_label)
        if name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)
        if port.get("port") is not None:
            yield from port_number(f"{at}.port", port["port"])
        yield from required_and_supported(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)
        if "appProtocol" in port:
            yield from label_key(f"{at}.appProtocol", port["appProtocol"])


def cells(endpoint_slice: Manifest, now: datetime) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") else "*" for port in endpoint_slice.get("ports", ())]
    addresses = [a for endpoint in endpoint_slice.get("endpoints", ()) for a in endpoint.get("addresses", ())]
    return [
        endpoint_slice["metadata"]["name"],
        endpoint_slice.get("addressType", ""),
        _shown(ports),
        _shown(addresses),
        age(endpoint_slice["metadata"].get("creationTimestamp"), now),
    ]


def _shown(texts: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    if not texts:
        return "<unset>"
    more = len(texts) - _MOST_SHOWN
    return ",".join(texts[:_MOST_SHOWN]) + (f" + {more} more..." if more > 0 else "")


def _all_but_metadata(endpoint_slice: Manifest) -> Manifest:
    return {name: value for name, value in endpoint_slice.items() if name != "metadata"}


ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(
        NAME,
        Column("AddressType", documents="discovery.v1.EndpointSlice.addressType"),
        Column("Ports", documents="discovery.v1.EndpointSlice.ports"),
        Column("Endpoints", documents="discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ),
    cells=cells,
    has_generation=True,
    generation_of=_all_but_metadata,
)
