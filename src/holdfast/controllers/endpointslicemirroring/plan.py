"""The EndpointSlices that mirror one Endpoints object: what has to be created, changed and removed.

One slice for each set of ports and address family.

Source: Kubernetes, pkg/controller/endpointslicemirroring/reconciler.go, pkg/api/v1/endpoints/util.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Delete, Emit, Plan, Report, Update

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")
"""Annotations that are about the Endpoints object itself."""
MOST_ADDRESSES = 1000
"""Mirrored of one subset."""

Port = tuple[str, int, str, str]
"""(name, number, protocol, application protocol); the last is empty if none is given."""
Group = tuple[tuple[Port, ...], str]
"""What one slice is for: ports and address family."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the mirrored slices of one name depend on."""

    endpoints: Manifest | None
    """None if there is nothing to mirror."""
    slices: Sequence[Manifest]
    """Those made here for Endpoints of this name."""


@dataclass(slots=True)
class Mirrored:
    """What is to be in slices, and what could not be."""

    groups: dict[Group, list[Manifest]] = field(default_factory=dict)
    invalid: int = 0
    surplus: int = 0


def is_mirrored(endpoints: Manifest) -> bool:
    """Neither those that say no, nor those that only hold somebody's lock."""
    metadata = endpoints["metadata"]
    says_no = (metadata.get("labels") or {}).get(SKIP) == "true"
    return not says_no and LEADER not in (metadata.get("annotations") or {})


def plan(observed: Observed) -> Plan:
    endpoints = observed.endpoints
    if endpoints is None:
        return Plan("nothing to mirror", [_delete(slice) for slice in observed.slices])
    mirrored = mirror(endpoints)
    existing: dict[Group, list[Manifest]] = {}
    for present in sorted(observed.slices, key=lambda slice: str(slice["metadata"]["name"])):
        existing.setdefault(_group_of(present), []).append(present)
    actions: list[Action] = []
    kept = {group: slices.pop(0) for group, slices in existing.items() if group in mirrored.groups}
    spare = [slice for slices in existing.values() for slice in slices]
    for group, contents in mirrored.groups.items():
        wanted = _slice(endpoints, *group, contents)
        slice = kept[group] if group in kept else _take(spare, group)
        if slice is None:
            actions.append(Create(ENDPOINT_SLICES, wanted))
        elif change := _changed(slice, wanted):
            actions.append(change)
    actions += [_delete(slice) for slice in spare]
    reports = _reports(mirrored) if actions else []
    return Plan("slices differ" if actions else "slices are as they should be", [*reports, *actions], subject=endpoints)


def mirror(endpoints: Manifest) -> Mirrored:
    """The endpoints of each slice, ready ones first."""
    mirrored = Mirrored()
    for ports, addresses in _repacked(endpoints.get("subsets") or ()):
        added = 0
        for address, ready in addresses:
            family = _family(address["ip"])
            if added >= MOST_ADDRESSES:
                mirrored.surplus += 1
            elif family is None:
                mirrored.invalid += 1
            else:
                mirrored.groups.setdefault((ports, family), []).append(_endpoint(address, ready))
                added += 1
    return mirrored


def _repacked(subsets: Iterable[Manifest]) -> list[tuple[tuple[Port, ...], list[tuple[Manifest, bool]]]]:
    """Subsets in which no address and port come twice; an address is not ready if any subset says so of that port."""
    addresses: dict[tuple[str, str], Manifest] = {}
    ready_at: dict[Port | None, dict[tuple[str, str], bool]] = {}
    for subset in subsets:
        ports: list[Port | None] = [_port_of(port) for port in subset.get("ports") or ()]
        for name, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(name) or ():
                key = (address["ip"], (address.get("targetRef") or {}).get("uid") or "")
                addresses.setdefault(key, address)
                for port in ports or [None]:
                    at_port = ready_at.setdefault(port, {})
                    at_port[key] = ready and at_port.get(key, True)
    together: dict[frozenset[tuple[tuple[str, str], bool]], list[Port]] = {}
    for port, readiness in ready_at.items():
        together.setdefault(frozenset(readiness.items()), []).extend([port] if port else [])
    return [
        (tuple(sorted(ports)), [(addresses[key], ready) for key, ready in sorted(members, key=_ready_first)])
        for members, ports in together.items()
    ]


def _ready_first(member: tuple[tuple[str, str], bool]) -> tuple[bool, tuple[str, str]]:
    key, ready = member
    return not ready, key


def _family(address: str) -> str | None:
    """None for what is no address."""
    try:
        return f"IPv{ip_address(address).version}"
    except ValueError:
        return None


def _endpoint(address: Manifest, ready: bool) -> Manifest:
    taken = {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **taken}


def _port_of(port: Mapping[str, Any]) -> Port:
    return port.get("name") or "", port["port"], port.get("protocol") or "TCP", port.get("appProtocol") or ""


def _group_of(slice: Manifest) -> Group:
    return tuple(sorted(_port_of(port) for port in slice.get("ports") or ())), slice["addressType"]


def _slice(endpoints: Manifest, ports: Iterable[Port], family: str, contents: list[Manifest]) -> Manifest:
    metadata = endpoints["metadata"]
    annotations = metadata.get("annotations") or {}
    made: Manifest = {
        "generateName": f"{metadata['name']}-",
        "namespace": metadata["namespace"],
        "labels": {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], MANAGED_BY: MANAGER},
        "annotations": {name: value for name, value in annotations.items() if name not in NOT_COPIED},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": made,
        "addressType": family,
        "endpoints": contents,
        "ports": [_port(port) for port in ports],
    }


def _port(port: Port) -> Manifest:
    name, number, protocol, application = port
    made: Manifest = {"name": name, "port": number, "protocol": protocol}
    return {**made, "appProtocol": application} if application else made


def _take(spare: list[Manifest], group: Group) -> Manifest | None:
    """A slice that is not needed any more may become another; its family it keeps for life."""
    for slice in spare:
        if slice["addressType"] == group[1]:
            spare.remove(slice)
            return slice
    return None


def _changed(slice: Manifest, wanted: Manifest) -> Update | None:
    before, after = slice["metadata"], wanted["metadata"]
    is_same = (
        (slice.get("endpoints") or []) == wanted["endpoints"]
        and _group_of(slice) == _group_of(wanted)
        and before.get("labels") == after["labels"]
        and (before.get("annotations") or {}) == after["annotations"]
        and before.get("ownerReferences") == after["ownerReferences"]
    )
    if is_same:
        return None
    changed = {name: after[name] for name in ("labels", "annotations", "ownerReferences")}
    contents = {name: wanted[name] for name in ("endpoints", "ports")}
    return Update(ENDPOINT_SLICES, {**slice, **contents, "metadata": {**before, **changed}})


def _delete(slice: Manifest) -> Delete:
    metadata = slice["metadata"]
    return Delete(ENDPOINT_SLICES, metadata["namespace"], metadata["name"], metadata["uid"])


def _reports(mirrored: Mirrored) -> list[Action]:
    reports: list[Action] = []
    if mirrored.invalid:
        message = f"Skipped {mirrored.invalid} invalid IP addresses when mirroring to EndpointSlices"
        reports.append(Emit(Report("Warning", "InvalidIPAddress", message)))
    if mirrored.surplus:
        message = (
            f"A max of {MOST_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            f"{mirrored.surplus + mirrored.invalid} addresses were skipped"
        )
        reports.append(Emit(Report("Warning", "TooManyAddressesToMirror", message)))
    return reports
