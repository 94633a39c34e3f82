"""IPAddresses: which object has which address of the services' range."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import named, required_name
from holdfast.api.meaning import same
from holdfast.api.resource import NAME, Column, Manifest, Resource

MANAGED_BY, OURS = "ipaddress.kubernetes.io/managed-by", "ipallocator"
"""The label, and its value on objects that the server makes for services."""


def _name(text: str) -> str:
    """The address itself, written the one way there is for it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return "" if str(address) == text else f'must be in canonical form ("{address}")'


def validate(address: Manifest) -> list[FieldError]:
    parent = address.get("spec", {}).get("parentRef")
    return [*_parent("spec.parentRef", parent)] if parent is not None else [required("spec.parentRef")]


def _parent(field: str, parent: Manifest) -> Iterator[FieldError]:
    if parent.get("group"):  # that of services is empty
        yield from named(f"{field}.group", parent["group"], names.dns_subdomain)
    for member in ("resource", "name"):
        yield from required_name(f"{field}.{member}", parent.get(member, ""), names.path_segment_name)
    yield from named(f"{field}.namespace", parent.get("namespace", ""), names.path_segment_name)


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = (manifest.get("spec", {}).get("parentRef") for manifest in (new, old))
    return [] if same(now, then) else [invalid("spec.parentRef", now, "field is immutable")]


def cells(address: Manifest, now: datetime) -> list[Any]:
    return [address["metadata"]["name"], _shown(address.get("spec", {}).get("parentRef"))]


def _shown(parent: Manifest | None) -> str:
    if parent is None:
        return "<none>"
    resource = ".".join(part for part in (parent.get("resource", ""), parent.get("group", "")) if part).lower()
    return "/".join(part for part in (resource, parent.get("namespace", ""), parent.get("name", "")) if part)


IP_ADDRESSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    short_names=("ip",),
    validate=validate,
    validate_update=validate_update,
    validate_name=_name,
    columns=(NAME, Column("ParentRef", documents="networking.v1.IPAddressSpec.parentRef")),
    cells=cells,
)
