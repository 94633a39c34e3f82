"""Serving certificates of nodes, approved where everything in them is the node's own. Pure.

Upstream leaves these to its users. Here a machine that joins has nobody who would look, so a rule decides:

- the node itself asks, and for itself: requestor and common name are `system:node:NAME`;
- the only DNS name is NAME;
- no address is one that somebody else answers at: no loopback, multicast or unspecified address, none of the cluster's
  (services, pods, the API server), none of another node's status;
- once the node has registered, every address is one that its own status has.

All else waits for `kubectl certificate approve`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Emit, Plan, Report

from .plan import approval
from .request import Asked
from .rules import KUBELET_SERVING, NODE, NODES, of_kubelet_serving

Reserved = Sequence[IPv4Network | IPv6Network]

MESSAGE = "Auto approving kubelet serving certificate: its names and addresses are the node's own."


@dataclass(frozen=True, slots=True)
class ObservedServing:
    """A request for a serving certificate that nobody has decided on."""

    request: Manifest
    asked: Asked
    own: Collection[str]
    """What the node's status has of addresses; empty before it has registered."""
    others: Mapping[str, str]
    """Addresses of all other nodes, and whose they are."""
    reserved: Reserved
    """Where the cluster itself is."""


def is_for_serving(request: Manifest) -> bool:
    return bool(request["spec"]["signerName"] == KUBELET_SERVING)


def plan_serving(observed: ObservedServing) -> Plan:
    request = observed.request
    if problem := foreign(observed):
        message = f"{problem}: kubectl certificate approve {request['metadata']['name']}, if it is right all the same"
        warning = Emit(Report("Warning", "NotApproved", message))
        return Plan(f"it waits for somebody's decision: {problem}", (warning,), subject=request)
    return Plan("all its names are the node's own", (approval(request, MESSAGE),), subject=request)


def foreign(observed: ObservedServing) -> str:
    """What in the request is not the node's own; empty if everything is."""
    asked, spec = observed.asked, observed.request["spec"]
    if problem := of_kubelet_serving(asked, spec.get("usages") or ()):
        return problem
    if spec.get("username") != asked.common_name or NODES not in (spec.get("groups") or ()):
        return f"{asked.common_name} has not asked for it itself"
    name = asked.common_name.removeprefix(NODE)
    for dns_name in asked.dns_names:
        if dns_name != name:
            return f"{dns_name} is not the node's name"
    return next(filter(None, (_foreign_address(address, observed) for address in asked.ip_addresses)), "")


def _foreign_address(text: str, observed: ObservedServing) -> str:
    address = ip_address(text)
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        return f"{text} is no address of one machine alone"
    if any(address in network for network in observed.reserved):
        return f"{text} is the cluster's own"
    if text in observed.others:
        return f"{text} is an address of the node {observed.others[text]}"
    if observed.own and text not in observed.own:
        return f"{text} is no address of the node"
    return ""
