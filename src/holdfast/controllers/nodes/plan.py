"""What follows from a node's heartbeats, or their absence (N181-N187).

Source: Kubernetes, pkg/controller/nodelifecycle and pkg/controller/tainteviction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.taints import Taint, covers
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time
from holdfast.controllers.actions import Action, Delete, Emit, Patch, Plan, Report

GRACE_S = 50.0
"""So long a node may be silent."""
STARTUP_GRACE_S = 60.0
"""So long if it has never posted a status."""

SOONEST_S = 0.1
"""A timer for the last trace of a wait, which rounding leaves over, would fire at the same moment again and again."""

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OF_CONDITION = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
MANAGED = {NOT_READY, UNREACHABLE, UNSCHEDULABLE, *OF_CONDITION.values()}
POSTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

_STOPPED = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
_NEVER_STARTED = {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}

STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """All that the decision about a node reads."""

    node: Manifest
    silent_s: float
    """Since its Lease or status last changed."""
    pods: Sequence[Manifest]
    """Those bound to it."""
    is_disrupted: bool
    """No node is Ready: the fault is more likely here than with all of them (N185)."""
    now: datetime
    is_new: bool = False
    """It has not been looked at before."""


def ready_status(node: Manifest) -> str:
    """`True`, `False`, `Unknown`, or empty if the node has never said."""
    status: str = _conditions(node).get("Ready", {}).get("status", "")
    return status


def _conditions(manifest: Manifest) -> dict[str, Manifest]:
    return {each["type"]: each for each in (manifest.get("status") or {}).get("conditions") or ()}


def grace_s(node: Manifest) -> float:
    return GRACE_S if "Ready" in _conditions(node) else STARTUP_GRACE_S


def plan_node(observed: ObservedNode) -> Plan:
    """Conditions first; taints and pods follow from them when they are seen."""
    node = observed.node
    told = [_event(node, "RegisteredNode", "Registered Node {} in Controller")] if observed.is_new else []
    limit_s = grace_s(node)
    if observed.silent_s >= limit_s:
        if unknown := _unknown(observed):
            return Plan(f"silent for {observed.silent_s:.0f} s", [*told, *unknown], subject=node, again_after_s=0)
        again_s = None
    else:
        again_s = max(limit_s - observed.silent_s, SOONEST_S)
    actions = [*told, *_taints(observed), *_pods(observed)]
    return Plan("taints or pods are to follow" if actions else "as it should be", actions, None, (), (), node, again_s)


def plan_removed(node: Manifest) -> Plan:
    """The node is gone."""
    return Plan("removed", [_event(node, "RemovingNode", "Removing Node {} from Controller")], subject=node)


def _event(node: Manifest, reason: str, what: str) -> Emit:
    name = node["metadata"]["name"]
    return Emit(Report("Normal", reason, f"Node {name} event: {what.format(name)}"))


def _unknown(observed: ObservedNode) -> list[Action]:
    """What the node posted is not known any more; empty if that has been said (N183)."""
    node = observed.node
    existing = _conditions(node)
    at = format_time(observed.now)
    changed = [
        {
            **existing.get(type, {"lastHeartbeatTime": node["metadata"].get("creationTimestamp")}),
            "type": type,
            "status": "Unknown",
            **(_STOPPED if type in existing else _NEVER_STARTED),
            "lastTransitionTime": at,
        }
        for type in POSTED
        if existing.get(type, {}).get("status") != "Unknown"
    ]
    if not changed:
        return []
    name = node["metadata"]["name"]
    patch = {"metadata": {"uid": node["metadata"]["uid"]}, "status": {"conditions": changed}}
    write = Patch(NODES, "", name, patch, type=STRATEGIC, subresource="status")
    was_ready = existing.get("Ready", {}).get("status") == "True"
    told = Emit(Report("Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady"))
    return [write, told] if was_ready else [write]


def wanted_taints(observed: ObservedNode) -> list[tuple[str, str]]:
    """(key, effect) of the taints that follow from conditions and spec (N184)."""
    node = observed.node
    conditions = _conditions(node)
    found = []
    lost = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(conditions.get("Ready", {}).get("status", "False"))
    if lost:
        found.append((lost, "NoSchedule"))
        if "Ready" in conditions and not observed.is_disrupted:
            found.append((lost, "NoExecute"))
    found += [
        (key, "NoSchedule") for type, key in OF_CONDITION.items() if conditions.get(type, {}).get("status") == "True"
    ]
    if node["spec"].get("unschedulable"):
        found.append((UNSCHEDULABLE, "NoSchedule"))
    return found


def _taints(observed: ObservedNode) -> list[Action]:
    node = observed.node
    present = node["spec"].get("taints") or []
    wanted = wanted_taints(observed)
    kept = [each for each in present if each["key"] not in MANAGED or (each["key"], each["effect"]) in wanted]
    there = {(each["key"], each["effect"]) for each in kept}
    at = format_time(observed.now)
    added = [{"key": key, "effect": effect, "timeAdded": at} for key, effect in wanted if (key, effect) not in there]
    if not added and len(kept) == len(present):
        return []
    metadata = node["metadata"]
    lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    patch = {"metadata": lock, "spec": {"taints": [*kept, *added] or None}}
    return [Patch(NODES, "", metadata["name"], patch)]


def _pods(observed: ObservedNode) -> list[Action]:
    """Pods of a node that is not Ready are not Ready either, whatever they are; services turn from them (N186)."""
    if ready_status(observed.node) not in ("False", "Unknown"):
        return []
    actions: list[Action] = []
    for pod in observed.pods:
        ready = _conditions(pod).get("Ready", {})
        if ready.get("status") != "True":
            continue
        metadata = pod["metadata"]
        condition = {**ready, "status": "False", "lastTransitionTime": format_time(observed.now)}
        patch = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}}
        told = Report("Warning", "NodeNotReady", "Node is not ready", pod)
        write = Patch(PODS, metadata["namespace"], metadata["name"], patch, STRATEGIC, "status", on_success=told)
        actions.append(write)
    return actions


@dataclass(frozen=True, slots=True)
class ObservedEviction:
    """A pod and the NoExecute taints of its node."""

    pod: Manifest
    taints: Sequence[Taint]
    since: datetime
    """When it was first seen to have such taints to tolerate: of most taints nobody notes when they were added."""
    now: datetime
    was_waiting: bool = False
    """Its deletion was a matter of time when it was last looked at."""


def due_at(pod: Manifest, taints: Sequence[Taint], since: datetime, now: datetime) -> datetime | None:
    """When the shortest of the pod's tolerations is over; None if it may stay."""
    moments = [moment for taint in taints if (moment := _due(pod, taint, since, now)) is not None]
    return min(moments, default=None)


def plan_eviction(observed: ObservedEviction) -> Plan:
    """Deletes a pod when its time is over, counted from the taint where it says since when, so that a restart of the
    controller changes nothing (N187, W118)."""
    pod, now = observed.pod, observed.now
    first = due_at(pod, observed.taints, observed.since, now)
    if first is None:
        return Plan("tolerates its node", _cancelled(pod) if observed.was_waiting else (), subject=pod)
    if pod["metadata"].get("deletionTimestamp"):
        return Plan("on its way out", subject=pod)
    if first > now:
        return Plan(
            "tolerates its node for a while", subject=pod, again_after_s=max((first - now).total_seconds(), SOONEST_S)
        )
    return Plan("does not tolerate its node", _evict(pod, now), subject=pod)


def _due(pod: Manifest, taint: Taint, seen: datetime, now: datetime) -> datetime | None:
    """When the pod has to go because of the taint; None if never."""
    matching = [each for each in pod["spec"].get("tolerations") or () if covers(each, taint)]
    if not matching:
        return now
    limits = [each["tolerationSeconds"] for each in matching if each.get("tolerationSeconds") is not None]
    if not limits:
        return None
    since = parse_time(taint["timeAdded"]) if taint.get("timeAdded") else seen
    return since + timedelta(seconds=max(min(limits), 0))


def _cancelled(pod: Manifest) -> list[Action]:
    return [Emit(Report("Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {_name(pod)}"))]


def _name(pod: Manifest) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _evict(pod: Manifest, now: datetime) -> list[Action]:
    metadata = pod["metadata"]
    disruption = disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", now)
    patch = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [disruption]}}
    return [
        Emit(Report("Normal", "TaintManagerEviction", f"Marking for deletion Pod {_name(pod)}")),
        Patch(PODS, metadata["namespace"], metadata["name"], patch, STRATEGIC, "status"),
        Delete(PODS, metadata["namespace"], metadata["name"], metadata["uid"]),
    ]


def disrupted(reason: str, message: str, now: datetime) -> Manifest:
    at = format_time(now)
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": at,
    }


@dataclass(frozen=True, slots=True)
class ObservedOrphan:
    """A pod whose node is gone for good, or that will never have one."""

    pod: Manifest
    node_is_gone: bool
    is_out_of_service: bool
    """Its node is not Ready and an administrator has declared it dead."""
    now: datetime


def plan_orphan(observed: ObservedOrphan) -> Plan:
    """The phase is written before the forced deletion, for controllers that count pods (W100, W101)."""
    pod, now = observed.pod, observed.now
    going = bool(pod["metadata"].get("deletionTimestamp"))
    if observed.node_is_gone:
        return Plan("its node does not exist", _force(pod, "node no longer exists", now), subject=pod)
    if going and not pod["spec"].get("nodeName"):
        return Plan("deleted before it had a node", _force(pod, "", now), subject=pod)
    if going and observed.is_out_of_service:
        return Plan("its node is out of service", _force(pod, "", now), subject=pod)
    return Plan("its node is there", subject=pod)


def _force(pod: Manifest, why: str, now: datetime) -> list[Action]:
    metadata = pod["metadata"]
    actions: list[Action] = []
    if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
        status: Manifest = {"phase": "Failed"}
        if why:
            status["conditions"] = [disrupted("DeletionByPodGC", f"PodGC: {why}", now)]
        patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
        actions.append(Patch(PODS, metadata["namespace"], metadata["name"], patch, STRATEGIC, "status"))
    actions.append(Delete(PODS, metadata["namespace"], metadata["name"], metadata["uid"], grace_period_s=0))
    return actions
