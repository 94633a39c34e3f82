"""The EndpointSlices of one service: what has to be created, changed and removed.

Endpoints stay in the slice they are in, so that a change of one pod is a change of one slice. Endpoints with
different ports live in different slices.

Source: Kubernetes, k8s.io/endpointslice/reconciler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.discovery.listing import Listed, Port, families_of, is_headless
from holdfast.api.errors import Forbidden
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Delete, Plan, Report, Update

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"

LARGEST_SLICE = 100


@dataclass(frozen=True, slots=True)
class ObservedService:
    """All that the slices of a service depend on."""

    service: Manifest
    endpoints: Mapping[str, Sequence[Listed]]
    """By family, those of the pods that the selector matches."""
    slices: Sequence[Manifest]
    """Those that this controller made for a service of this name."""


def plan_slices(observed: ObservedService) -> Plan:
    service = observed.service
    actions: list[Action] = []
    mine, strays = _sort_by_owner(observed)
    actions += [_delete(stray) for stray in strays]
    for family in families_of(service):
        existing = [each for each in mine if each["addressType"] == family]
        actions += _plan_family(observed, family, existing)
    actions += [_delete(each) for each in mine if each["addressType"] not in families_of(service)]
    return Plan("slices differ" if actions else "slices are as they should be", tuple(actions), subject=service)


def _sort_by_owner(observed: ObservedService) -> tuple[list[Manifest], list[Manifest]]:
    """Slices of this very service, and leftovers of an earlier one of the same name (D77)."""
    uid = observed.service["metadata"]["uid"]
    mine: list[Manifest] = []
    strays: list[Manifest] = []
    for each in sorted(observed.slices, key=lambda each: each["metadata"]["name"]):
        owners = [owner["uid"] for owner in each["metadata"].get("ownerReferences") or ()]
        if each["metadata"].get("deletionTimestamp"):
            continue
        (mine if uid in owners else strays).append(each)
    return mine, strays


def _plan_family(observed: ObservedService, family: str, existing: Sequence[Manifest]) -> list[Action]:
    wanted: dict[tuple[Port, ...], dict[str, Listed]] = {}
    for each in observed.endpoints.get(family, ()):
        wanted.setdefault(each.ports, {})[each.pod["metadata"]["uid"]] = each
    groups: dict[tuple[Port, ...], list[Manifest]] = {}
    for slice in existing:
        groups.setdefault(_ports_of(slice), []).append(slice)
    if not wanted:
        wanted[()] = {}  # a service without pods has one empty slice (D25)
    actions: list[Action] = []
    for ports, endpoints in wanted.items():
        actions += _plan_group(observed.service, family, ports, endpoints, groups.pop(ports, []))
    actions += [_delete(each) for leftover in groups.values() for each in leftover]
    return actions


def _plan_group(
    service: Manifest,
    family: str,
    ports: tuple[Port, ...],
    wanted: Mapping[str, Listed],
    existing: Sequence[Manifest],
) -> list[Action]:
    missing = dict(wanted)
    contents = [_keep(each, missing) for each in existing]
    for content in contents:
        _fill(content, missing)
    while missing:
        fresh: list[Manifest] = []
        _fill(fresh, missing)
        contents.append(fresh)
    if not contents:
        contents.append([])
    actions: list[Action] = []
    for each, content in zip(existing, contents, strict=False):
        if not content and len(contents) > 1:
            actions.append(_delete(each))
        elif change := _updated(each, content, service):
            actions.append(change)
    return [*actions, *(_create(service, family, ports, content) for content in contents[len(existing) :])]


def _keep(slice: Manifest, missing: dict[str, Listed]) -> list[Manifest]:
    """What stays in the slice, as it is by now; taken out of what is missing."""
    kept = []
    for endpoint in slice.get("endpoints") or ():
        uid = (endpoint.get("targetRef") or {}).get("uid")
        if uid in missing:
            kept.append(_endpoint(missing.pop(uid)))
    return kept


def _fill(content: list[Manifest], missing: dict[str, Listed]) -> None:
    while missing and len(content) < LARGEST_SLICE:
        content.append(_endpoint(missing.pop(next(iter(missing)))))


def _endpoint(each: Listed) -> Manifest:
    metadata, spec = each.pod["metadata"], each.pod["spec"]
    endpoint: Manifest = {
        "addresses": list(each.addresses),
        "conditions": {"ready": each.ready, "serving": each.serving, "terminating": each.terminating},
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    if each.hostname:
        endpoint["hostname"] = each.hostname
    if spec.get("nodeName"):
        endpoint["nodeName"] = spec["nodeName"]
        if each.zone:
            endpoint["zone"] = each.zone
    return endpoint


def _ports_of(slice: Manifest) -> tuple[Port, ...]:
    return tuple(
        (each.get("name") or "", each["port"], each.get("protocol") or "TCP", each.get("appProtocol") or "")
        for each in slice.get("ports") or ()
    )


def _port(port: Port) -> dict[str, Any]:
    name, number, protocol, application = port
    made: dict[str, Any] = {"name": name, "port": number, "protocol": protocol}
    if application:
        made["appProtocol"] = application
    return made


def labels_of(service: Manifest) -> dict[str, str]:
    labels = {key: value for key, value in (service["metadata"].get("labels") or {}).items() if key != HEADLESS}
    labels |= {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}
    if is_headless(service):
        labels[HEADLESS] = ""
    return labels


def _create(service: Manifest, family: str, ports: tuple[Port, ...], endpoints: list[Manifest]) -> Create:
    metadata = service["metadata"]
    manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": labels_of(service),
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [_port(port) for port in ports],
    }
    return Create(ENDPOINT_SLICES, manifest, on_failure=_failure(service), quiet=(Forbidden,))  # W96


def _updated(slice: Manifest, endpoints: list[Manifest], service: Manifest) -> Update | None:
    labels = labels_of(service)
    if (slice.get("endpoints") or []) == endpoints and (slice["metadata"].get("labels") or {}) == labels:
        return None
    changed = {**slice, "metadata": {**slice["metadata"], "labels": labels}, "endpoints": endpoints}
    return Update(ENDPOINT_SLICES, changed, on_failure=_failure(service))


def _delete(slice: Manifest) -> Delete:
    metadata = slice["metadata"]
    return Delete(ENDPOINT_SLICES, metadata["namespace"], metadata["name"], metadata["uid"])


def _failure(service: Manifest) -> Report:
    metadata = service["metadata"]
    message = f"Error updating Endpoint Slices for Service {metadata['namespace']}/{metadata['name']}: {{error}}"
    return Report("Warning", "FailedToUpdateEndpointSlices", message)
