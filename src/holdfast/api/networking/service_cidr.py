"""ServiceCIDRs: the ranges that services' addresses come from. The one in use is called `kubernetes`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import cidr
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT = "kubernetes"
_ONE_OF_EACH = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def default(service_cidr: Manifest) -> None:
    for part in ("spec", "status"):
        service_cidr.setdefault(part, {})


def validate(service_cidr: Manifest) -> list[FieldError]:
    spec = service_cidr.get("spec", {})
    cidrs = spec.get("cidrs") or []
    if not cidrs:
        return [required("spec.cidrs", "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid("spec.cidrs", _shown(cidrs), "may only hold up to 2 values")]
    if len(cidrs) == 2 and len({_version(text) for text in cidrs}) != 2:
        return [invalid("spec.cidrs", _shown(cidrs), _ONE_OF_EACH)]
    return [error for i, text in enumerate(cidrs) for error in _range(f"spec.cidrs[{i}]", text)]


def _shown(cidrs: list[str]) -> Manifest:
    return {"CIDRs": cidrs}


def _version(text: str) -> int:
    try:
        return ipaddress.ip_network(text, strict=False).version
    except ValueError:
        return 0


def _range(field: str, text: str) -> Iterator[FieldError]:
    if errors := [*cidr(field, text)]:
        yield from errors
        return
    network = ipaddress.ip_network(text, strict=False)
    if str(network) == text:
        return
    if str(network.network_address) != text.partition("/")[0]:
        yield invalid(field, text, "must not have bits set beyond the prefix length")
    else:
        yield invalid(field, text, f'must be in canonical form ("{network}")')


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """A range stays; one of the other family may come."""
    now, then = (manifest.get("spec", {}).get("cidrs") or [] for manifest in (new, old))
    if now[: len(then)] == then and (len(now) == len(then) or (len(then) == 1 and len(now) == 2)):
        return []
    if len(now) != len(then):
        return [invalid("spec.cidrs", now, "field is immutable")]
    changed = (i for i, text in enumerate(then) if now[i] != text)
    return [invalid(f"spec.cidrs[{i}]", now[i], "field is immutable") for i in changed]


def ranges_of(service_cidr: Manifest) -> list[Network]:
    """What its addresses are taken from; one of each family at most."""
    return [ipaddress.ip_network(text) for text in service_cidr["spec"].get("cidrs") or ()]


def family_of_range(network: Network) -> str:
    return f"IPv{network.version}"


def cells(service_cidr: Manifest, now: datetime) -> list[Any]:
    metadata = service_cidr["metadata"]
    ranges = ",".join(service_cidr.get("spec", {}).get("cidrs") or ())
    return [metadata["name"], ranges, age(metadata.get("creationTimestamp"), now)]


SERVICE_CIDRS = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    subresources=(STATUS,),
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, Column("CIDRs", documents="networking.v1.ServiceCIDRSpec.cidrs"), AGE),
    cells=cells,
    initial_status={},
)
