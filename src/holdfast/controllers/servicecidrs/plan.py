"""The state of a ServiceCIDR. Source: Kubernetes, pkg/controller/servicecidrs/servicecidrs_controller.go."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.conditions import condition
from holdfast.api.errors import NotFound
from holdfast.api.networking.service_cidr import SERVICE_CIDRS, ranges_of
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time
from holdfast.controllers.actions import Patch, Plan, Update

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
GRACE = timedelta(seconds=10)
"""After a deletion: until then an address may still be given that was asked for before."""
_READY = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
_IN_USE = {
    "type": "Ready",
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, "
    "please remove them or create a new ServiceCIDR",
}


@dataclass(frozen=True, slots=True)
class Observed:
    service_cidr: Manifest
    others: Sequence[Manifest]
    """All other ServiceCIDRs."""
    addresses: Sequence[str]
    """Those of all IPAddresses."""
    now: datetime


def plan(observed: Observed) -> Plan:
    """Protects the range, then calls it ready; lets it go when no address would be left without a range."""
    one = observed.service_cidr
    deleted_at = one["metadata"].get("deletionTimestamp")
    finalizers = one["metadata"].get("finalizers") or []
    if not deleted_at:
        if FINALIZER not in finalizers:
            return _write(one, [*finalizers, FINALIZER], "unprotected")
        return _tell(one, _READY, observed.now)
    if FINALIZER not in finalizers:
        return Plan("on its way out", subject=one)
    if _orphans(observed):
        return _tell(one, _IN_USE, observed.now)
    left = parse_time(deleted_at) + GRACE - observed.now
    if left > timedelta():
        return Plan("deleted a moment ago", again_after_s=left.total_seconds(), subject=one)
    return _write(one, [each for each in finalizers if each != FINALIZER], "no address needs it")


def _orphans(observed: Observed) -> list[str]:
    """Addresses of the range that no other range has."""
    mine = ranges_of(observed.service_cidr)
    alive = [other for other in observed.others if not other["metadata"].get("deletionTimestamp")]
    theirs = [network for other in alive for network in ranges_of(other)]
    found = [ipaddress.ip_address(address) for address in observed.addresses]
    return [
        str(address)
        for address in found
        if any(address in network for network in mine) and not any(address in network for network in theirs)
    ]


def _tell(one: Manifest, told: Manifest, now: datetime) -> Plan:
    known = condition(one, "Ready")
    if known is not None and known["status"] == told["status"]:
        return Plan("it is known", subject=one)
    others = [each for each in one["status"].get("conditions") or () if each["type"] != "Ready"]
    status = {**one["status"], "conditions": [*others, told | {"lastTransitionTime": format_time(now)}]}
    update = Update(SERVICE_CIDRS, {**one, "status": status}, "status", ignore=(NotFound,))
    return Plan("its state has changed", status=update, subject=one)


def _write(one: Manifest, finalizers: list[str], reason: str) -> Plan:
    """Conditional on the version: the list is written whole, another writer's entry must not be lost."""
    metadata = one["metadata"]
    lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    patch = {"metadata": {**lock, "finalizers": finalizers or None}}
    return Plan(reason, (Patch(SERVICE_CIDRS, "", metadata["name"], patch),), subject=one)
