"""To which nodes a volume is to be attached, and from which it is to go. Pure.

A volume that may be on one node only is detached from one before it is attached to another, and it is not detached
while the node says that it has it mounted: unless the node is away for good, or has been for long.

Source: Kubernetes, pkg/controller/volume/attachdetach/reconciler/reconciler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.api.storage.attaching import attacher_of, attachment_name, is_attached, may_be_shared, unique_name
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from holdfast.controllers.actions import Action, Create, Delete, Emit, Patch, Plan, Report, patch_status

DETACHED_BY_FORCE_AFTER = timedelta(minutes=6)


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a node that has the volume, or had it."""

    is_there: bool = True
    is_healthy: bool = True
    is_out_of_service: bool = False
    """Somebody says by a taint that it will not come back as it was."""
    has_it_mounted: bool = False
    unwanted_since: datetime | None = None
    """None if one of its pods uses the volume."""


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    """All that the decision about a volume's attachments reads."""

    volume: Manifest | None
    """None if it is gone, and only attachments are left of it."""
    attachments: Sequence[Manifest]
    pods: Sequence[Manifest]
    """Those that use it, have a node, and have not ended."""
    places: Mapping[str, Place]
    """By the names of the nodes to which it is attached."""
    now: datetime


def plan_attachments(observed: ObservedVolume) -> Plan:
    return replace(_plan(observed), subject=observed.volume)


def _plan(observed: ObservedVolume) -> Plan:
    leaving = [each for each in observed.attachments if observed.places[_node_of(each)].unwanted_since is not None]
    free = [each for each in leaving if _may_leave(observed.places[_node_of(each)], observed.now)]
    if free:
        deletions = [Delete(VOLUME_ATTACHMENTS, "", at["metadata"]["name"], at["metadata"]["uid"]) for at in free]
        return Plan(f"detaching it from {', '.join(map(_node_of, free))}", deletions, again_after_s=0)
    again_after_s = _forced_in_s(observed, leaving)
    if observed.volume is None:
        return Plan("the volume is gone", again_after_s=again_after_s)
    actions = [*_attach(observed, observed.volume), *_settle(observed, observed.volume)]
    if any(isinstance(action, Create) for action in actions):
        again_after_s = 0
    return Plan("attaching it" if actions else "it is where it is used", actions, again_after_s=again_after_s)


def _node_of(attachment: Manifest) -> str:
    return str(attachment["spec"]["nodeName"])


def _may_leave(place: Place, now: datetime) -> bool:
    if not place.is_there or not place.has_it_mounted or place.is_out_of_service:
        return True
    assert place.unwanted_since is not None
    return not place.is_healthy and now - place.unwanted_since >= DETACHED_BY_FORCE_AFTER


def _forced_in_s(observed: ObservedVolume, leaving: Sequence[Manifest]) -> float | None:
    """When patience with a node that is away ends; None if there is none such."""
    since = [place.unwanted_since for at in leaving if not (place := observed.places[_node_of(at)]).is_healthy]
    ends = [each + DETACHED_BY_FORCE_AFTER for each in since if each is not None]
    return max(0.0, (min(ends) - observed.now).total_seconds()) if ends else None


def _attach(observed: ObservedVolume, volume: Manifest) -> list[Action]:
    actions: list[Action] = []
    has = {_node_of(at) for at in observed.attachments}
    for node in sorted({pod["spec"]["nodeName"] for pod in observed.pods} - has):
        if has and not may_be_shared(volume):
            actions += map(Emit, _refusals(observed, volume, node))
        else:
            actions.append(Create(VOLUME_ATTACHMENTS, _attachment(volume, node), may_exist=True))
            has.add(node)
    return actions


def _attachment(volume: Manifest, node: str) -> Manifest:
    attacher, name = attacher_of(volume), volume["metadata"]["name"]
    return {
        "apiVersion": VOLUME_ATTACHMENTS.api_version,
        "kind": VOLUME_ATTACHMENTS.kind,
        "metadata": {"name": attachment_name(attacher, name, node)},
        "spec": {"attacher": attacher, "nodeName": node, "source": {"persistentVolumeName": name}},
    }


def _refusals(observed: ObservedVolume, volume: Manifest, node: str) -> list[Report]:
    """One for each pod that has to wait. Of pods in other namespaces it learns the number only."""
    waiting = [pod for pod in observed.pods if pod["spec"]["nodeName"] == node]
    users = [pod for pod in observed.pods if pod["spec"]["nodeName"] != node and _has_it(observed, pod)]
    prefix = f'Multi-Attach error for volume "{volume["metadata"]["name"]}"'
    return [
        Report("Warning", "FailedAttachVolume", f"{prefix} {_who_has_it(pod, users)}", subject=pod) for pod in waiting
    ]


def _has_it(observed: ObservedVolume, pod: Manifest) -> bool:
    return any(_node_of(at) == pod["spec"]["nodeName"] for at in observed.attachments)


def _who_has_it(pod: Manifest, users: Sequence[Manifest]) -> str:
    if not users:
        return "Volume is already exclusively attached to one node and can't be attached to another"
    namespace = pod["metadata"]["namespace"]
    here = sorted(user["metadata"]["name"] for user in users if user["metadata"]["namespace"] == namespace)
    elsewhere = len(users) - len(here)
    if not here:
        return f"Volume is already used by {elsewhere} pod(s) in different namespaces"
    told = f"Volume is already used by pod(s) {', '.join(here)}"
    return f"{told} and {elsewhere} pod(s) in different namespaces" if elsewhere else told


def _settle(observed: ObservedVolume, volume: Manifest) -> list[Action]:
    """Attachments that were made become so: there is nothing to be done for it on one machine."""
    actions: list[Action] = []
    name = volume["metadata"]["name"]
    for at in observed.attachments:
        if is_attached(at):
            continue
        actions.append(patch_status(VOLUME_ATTACHMENTS, at, {"attached": True}))
        told = f'AttachVolume.Attach succeeded for volume "{name}" '
        pods = [pod for pod in observed.pods if pod["spec"]["nodeName"] == _node_of(at)]
        actions += [Emit(Report("Normal", "SuccessfulAttachVolume", told, subject=pod)) for pod in pods]
    return actions


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """A node, and what is attached to it."""

    node: Manifest
    attachments: Sequence[Manifest]


def plan_node(observed: ObservedNode) -> Plan:
    """The node's status tells what it may mount."""
    node = observed.node
    names = sorted(
        unique_name(at["spec"]["attacher"], at["spec"]["source"]["persistentVolumeName"])
        for at in observed.attachments
        if is_attached(at)
    )
    wanted = [{"name": name, "devicePath": ""} for name in names]
    if wanted == ((node.get("status") or {}).get("volumesAttached") or []):
        return Plan("it tells what it has", subject=node)
    metadata = node["metadata"]
    patch = {"metadata": {"uid": metadata["uid"]}, "status": {"volumesAttached": wanted or None}}
    return Plan("it has others", (Patch(NODES, "", metadata["name"], patch, subresource="status"),), subject=node)
