"""NetworkPolicies: stored; nothing here enforces them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.core.container_validation import PROTOCOLS
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import cidr, port, supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest
from holdfast.api.table import age


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
        yield from supported(f"{field}.ports[{i}].protocol", entry["protocol"], PROTOCOLS)
        if "port" in entry:
            yield from port(f"{field}.ports[{i}].port", entry["port"])
    for i, peer in enumerate(rule.get(peers, ())):
        yield from _peer(f"{field}.{peers}[{i}]", peer)


def _peer(field: str, peer: Manifest) -> Iterator[FieldError]:
    selectors = [name for name in ("podSelector", "namespaceSelector") if name in peer]
    for name in selectors:
        yield from validate_label_selector(f"{field}.{name}", peer[name])
    block = peer.get("ipBlock")
    if block is None:
        if not selectors:
            yield required(field, "must specify a peer")
        return
    if selectors:
        yield forbidden(field, "may not specify both ipBlock and another peer")
    if not block.get("cidr"):
        yield required(f"{field}.ipBlock.cidr")
        return
    yield from cidr(f"{field}.ipBlock.cidr", block["cidr"])
    for i, exception in enumerate(block.get("except", ())):
        yield from cidr(f"{field}.ipBlock.except[{i}]", exception)


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
