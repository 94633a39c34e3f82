"""NetworkPolicies. What they say is made to hold on each machine (`network.policies`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import cidr, port, supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest
from holdfast.api.table import age

_PROTOCOLS = ("TCP", "UDP", "SCTP")


def default(policy: Manifest) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, ()):
            for entry in rule.get("ports", ()):
                entry["protocol"] = entry.get("protocol") or "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(policy: Manifest) -> list[FieldError]:
    spec = policy["spec"]
    errors = [*validate_label_selector("spec.podSelector", spec["podSelector"])]
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction, ())):
            errors += _rule(f"spec.{direction}[{i}]", rule, peers)
    types = spec["policyTypes"]
    if len(types) > 2:
        errors.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return errors
    for i, kind in enumerate(types):
        errors += supported(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))
    return errors


def _rule(field: str, rule: Manifest, peers: str) -> Iterator[FieldError]:
    for i, entry in enumerate(rule.get("ports", ())):
        yield from _port(f"{field}.ports[{i}]", entry)
    for i, peer in enumerate(rule.get(peers, ())):
        yield from _peer(f"{field}.{peers}[{i}]", peer)


def _port(field: str, entry: Manifest) -> Iterator[FieldError]:
    yield from supported(f"{field}.protocol", entry["protocol"], _PROTOCOLS)
    first, last = entry.get("port"), entry.get("endPort")
    if isinstance(first, int):
        yield from port(f"{field}.port", first)
        if last is not None:
            if last < first:
                yield invalid(f"{field}.endPort", first, "must be greater than or equal to `port`")
            yield from port(f"{field}.endPort", last)
        return
    if last is not None:
        lacks = "is not specified" if first is None else "is non-numeric"
        yield invalid(f"{field}.endPort", last, f"may not be specified when `port` {lacks}")
    if first is not None:
        yield from port(f"{field}.port", first)


def _peer(field: str, peer: Manifest) -> Iterator[FieldError]:
    selectors = [name for name in ("podSelector", "namespaceSelector") if name in peer]
    for name in selectors:
        yield from validate_label_selector(f"{field}.{name}", peer[name])
    block = peer.get("ipBlock")
    if block is not None:
        yield from _block(f"{field}.ipBlock", block)
        if selectors:
            yield forbidden(field, "may not specify both ipBlock and another peer")
    elif not selectors:
        yield required(field, "must specify a peer")


def _block(field: str, block: Manifest) -> Iterator[FieldError]:
    """What is excepted lies in the block and is less than it; after the first malformed one nothing is looked at."""
    whole = block.get("cidr", "")
    if not whole:
        yield required(f"{field}.cidr")
        return
    if malformed := [*cidr(f"{field}.cidr", whole)]:
        yield from malformed
        return
    network = ipaddress.ip_network(whole, strict=False)
    for i, text in enumerate(block.get("except", ())):
        at = f"{field}.except[{i}]"
        if malformed := [*cidr(at, text)]:
            yield from malformed
            return
        part = ipaddress.ip_network(text, strict=False)
        is_within = part.version == network.version and part.network_address in network
        if not is_within or part.prefixlen <= network.prefixlen:
            yield invalid(at, text, "must be a strict subset of `cidr`")


def cells(policy: Manifest, now: datetime) -> list[Any]:
    return [
        policy["metadata"]["name"],
        str(selector_from_manifest(policy["spec"].get("podSelector"))) or "<none>",
        age(policy["metadata"].get("creationTimestamp"), now),
    ]


NETWORK_POLICIES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short_names=("netpol",),
    default=default,
    validate=validate,
    columns=(NAME, Column("Pod-Selector", documents="networking.v1.NetworkPolicySpec.podSelector"), AGE),
    cells=cells,
    has_generation=True,
)
