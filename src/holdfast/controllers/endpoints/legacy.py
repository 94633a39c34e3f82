"""The Endpoints object of one service, for those who do not read EndpointSlices yet (D30).

Source: Kubernetes, pkg/controller/endpoint/endpoints_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.discovery.listing import Listed, Port, is_headless
from holdfast.api.errors import Forbidden
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Create, Delete, Plan, Report, Update

from .plan import HEADLESS

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST_ADDRESSES = 1000


@dataclass(frozen=True, slots=True)
class ObservedEndpoints:
    """All that the Endpoints of a service depend on."""

    service: Manifest | None
    """None if it is gone, has no selector, or is an alias."""
    listed: Sequence[Listed]
    """Those of the pods that the selector matches, of the service's first family."""
    endpoints: Manifest | None
    is_left: bool = False
    """Whether they were there when their service went."""


def plan_endpoints(observed: ObservedEndpoints) -> Plan:
    service, existing = observed.service, observed.endpoints
    if service is None:
        return _plan_removal(existing, observed.is_left)
    wanted = _endpoints(service, observed.listed)
    report = Report(
        "Warning", "FailedToUpdateEndpoint", f"Failed to update endpoint {service['metadata']['name']}: {{error}}"
    )
    if existing is None:
        created = Create(ENDPOINTS, wanted, on_failure=report, quiet=(Forbidden,))
        return Plan("no endpoints yet", (created,), subject=service)
    annotations = {
        key: value for key, value in (existing["metadata"].get("annotations") or {}).items() if key != OVER_CAPACITY
    } | wanted["metadata"].get("annotations", {})
    if (
        (existing.get("subsets") or []) == wanted["subsets"]
        and (existing["metadata"].get("labels") or {}) == wanted["metadata"]["labels"]
        and (existing["metadata"].get("annotations") or {}) == annotations
    ):
        return Plan("endpoints are as they should be")
    metadata = {**existing["metadata"], "labels": wanted["metadata"]["labels"], "annotations": annotations}
    changed = {**existing, "metadata": metadata, "subsets": wanted["subsets"]}
    return Plan("endpoints differ", (Update(ENDPOINTS, changed, on_failure=report),), subject=service)


def _plan_removal(existing: Manifest | None, is_left: bool) -> Plan:
    """What this controller made, and what the service took with it: users make Endpoints too, and without services."""
    if existing is None or not (is_left or (existing["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER):
        return Plan("nothing to remove")
    metadata = existing["metadata"]
    delete = Delete(ENDPOINTS, metadata["namespace"], metadata["name"], metadata["uid"])
    return Plan("the service is gone", (delete,), subject=existing)


def _endpoints(service: Manifest, listed: Iterable[Listed]) -> Manifest:
    metadata = service["metadata"]
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HEADLESS}
    labels[MANAGED_BY] = MANAGER
    if is_headless(service):
        labels[HEADLESS] = ""
    publishes_all = bool(service["spec"].get("publishNotReadyAddresses"))
    found = [each for each in listed if publishes_all or not each.terminating]
    made: Manifest = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
        "subsets": _subsets(found[:MOST_ADDRESSES]),
    }
    if len(found) > MOST_ADDRESSES:
        made["metadata"]["annotations"] = {OVER_CAPACITY: "truncated"}
    return made


def _subsets(found: Iterable[Listed]) -> list[dict[str, Any]]:
    """One for each set of ports, addresses in order."""
    groups: dict[tuple[Port, ...], list[Listed]] = {}
    for each in found:
        groups.setdefault(each.ports, []).append(each)
    subsets = []
    for ports in sorted(groups):
        members = sorted(groups[ports], key=lambda each: each.addresses)
        subset: dict[str, Any] = {}
        if ready := [_address(each) for each in members if each.ready]:
            subset["addresses"] = ready
        if unready := [_address(each) for each in members if not each.ready]:
            subset["notReadyAddresses"] = unready
        if ports:
            subset["ports"] = [_port(port) for port in ports]
        subsets.append(subset)
    return subsets


def _address(each: Listed) -> dict[str, Any]:
    metadata = each.pod["metadata"]
    address: dict[str, Any] = {"ip": each.addresses[0]}
    if each.hostname:
        address["hostname"] = each.hostname
    if each.pod["spec"].get("nodeName"):
        address["nodeName"] = each.pod["spec"]["nodeName"]
    reference = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**address, "targetRef": reference}


def _port(port: Port) -> dict[str, Any]:
    """A port without a name has no name here, other than in slices."""
    name, number, protocol, application = port
    made: dict[str, Any] = {"name": name} if name else {}
    made |= {"port": number, "protocol": protocol}
    if application:
        made["appProtocol"] = application
    return made
