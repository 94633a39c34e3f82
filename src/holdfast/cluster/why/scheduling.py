"""Why a pod has no node."""

from __future__ import annotations

import re
from collections.abc import Iterable

from holdfast.api import quantity
from holdfast.api.conditions import condition, phase
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.resource import Manifest

from .chain import Cause, kubectl, listed, name_of, subject
from .claims import claims_of, why_claim
from .evidence import Evidence
from .nodes import is_silent, why_node

DEFAULT_SCHEDULER = "default-scheduler"
_INSUFFICIENT = re.compile(r"Insufficient ([^\s,.]+)")


def why_unscheduled(evidence: Evidence, pod: Manifest) -> Cause:
    """Of a pod that has no node."""
    if gates := pod["spec"].get("schedulingGates"):
        says = f"it may not be scheduled yet: gates {listed([gate['name'] for gate in gates])}"
        return Cause(subject(pod), says, "whoever set the gates removes them; see spec.schedulingGates")
    if cause := _of_claims(evidence, pod):
        return Cause(subject(pod), "it has no node, since a claim of it is not bound", because=cause)
    scheduler = pod["spec"].get("schedulerName") or DEFAULT_SCHEDULER
    message = (condition(pod, "PodScheduled") or {}).get("message") or evidence.last_message(pod, "FailedScheduling")
    if not message:
        return _unseen(pod, scheduler)
    nodes = evidence.all(NODES)
    if evidence.is_known(NODES) and not nodes:
        return Cause(subject(pod), "it has no node: there are none", "holdfast up --nodes 1")
    if nodes and all(is_silent(node) for node in nodes):
        return Cause(subject(pod), "it has no node: none of them is ready", because=why_node(evidence, nodes[0]))
    says, cure = _in_words(pod, nodes, message)
    return Cause(subject(pod), f"it has no node: {says}", cure)


def _of_claims(evidence: Evidence, pod: Manifest) -> Cause | None:
    for name in claims_of(pod):
        claim = evidence.get(PERSISTENT_VOLUME_CLAIMS, name)
        if claim is None:
            if evidence.is_known(PERSISTENT_VOLUME_CLAIMS):
                says = "it does not exist"
                return Cause(f"persistentvolumeclaim/{name}", says, f"make the PersistentVolumeClaim {name}")
        elif phase(claim) != "Bound" and (cause := why_claim(evidence, claim)):
            return cause
    return None


def _unseen(pod: Manifest, scheduler: str) -> Cause:
    if scheduler != DEFAULT_SCHEDULER:
        says = f"it is to be scheduled by {scheduler}, which has not looked at it: there may be no such scheduler"
        return Cause(subject(pod), says, "start that scheduler, or make the pod anew without schedulerName")
    return Cause(subject(pod), "the scheduler has not looked at it yet: it may not be running", "holdfast status")


def _in_words(pod: Manifest, nodes: Iterable[Manifest], message: str) -> tuple[str, str]:
    """The scheduler's verdict for people: the first of what it says that a command can change, and that command."""
    nodes = list(nodes)
    if short := _INSUFFICIENT.search(message):
        return _too_big(pod, nodes, short[1])
    if "unschedulable" in message and (cordoned := [node for node in nodes if node["spec"].get("unschedulable")]):
        names = [name_of(node) for node in cordoned]
        return f"{listed(names)} may take no new pods (cordoned)", f"kubectl uncordon {' '.join(names)}"
    if "untolerated taint" in message:
        return _tainted(nodes)
    if "node affinity/selector" in message:
        return _unlike(pod, nodes)
    if "free ports" in message:
        ports = [
            str(port["hostPort"])
            for container in pod["spec"]["containers"]
            for port in container.get("ports") or ()
            if port.get("hostPort")
        ]
        return f"its host port {listed(ports)} is taken on every node", "use a Service, or another hostPort"
    is_bound_to_a_place = "PersistentVolume's node affinity" in message or "volume node affinity" in message
    if "anti-affinity" in message and is_bound_to_a_place:
        return (
            f"where its volume is there is a pod already that it must not be beside ({_brief(message)})",
            "let that pod end first (the strategy Recreate of a Deployment, or a StatefulSet)",
        )
    if "anti-affinity" in message:
        return (
            f"every node has a pod already that it must not be beside ({_brief(message)})",
            "add a node (holdfast up --nodes N), or make the anti-affinity a preference",
        )
    if is_bound_to_a_place:
        return "its volume can be reached from another node only", kubectl(pod, f"describe pod {name_of(pod)}")
    return _brief(message), kubectl(pod, f"describe pod {name_of(pod)}")


def _too_big(pod: Manifest, nodes: list[Manifest], resource: str) -> tuple[str, str]:
    asked = [
        requests[resource]
        for container in pod["spec"]["containers"]
        if resource in (requests := (container.get("resources") or {}).get("requests") or {})
    ]
    offers = [
        allocatable[resource]
        for node in nodes
        if resource in (allocatable := (node.get("status") or {}).get("allocatable") or {})
    ]
    most = max(offers, key=quantity.parse, default="none")
    wanted = quantity.add(*asked) if asked else "some"
    says = f"it asks for {wanted} {resource}, and no node has that left (the biggest has {most} in all)"
    return says, "lower resources.requests in its template, or delete what takes the room: kubectl describe nodes"


def _tainted(nodes: list[Manifest]) -> tuple[str, str]:
    taints = [
        (name_of(node), f"{taint['key']}={taint.get('value', '')}:{taint['effect']}", taint["key"])
        for node in nodes
        for taint in node["spec"].get("taints") or ()
        if not taint["key"].startswith("node.kubernetes.io/")
    ]
    if not taints:
        return "the nodes keep pods away (not ready, or under pressure)", "kubectl describe nodes"
    node, taint, key = taints[0]
    return f"it does not tolerate the taint {taint} of {node}", f"kubectl taint nodes {node} {key}-"


def _unlike(pod: Manifest, nodes: list[Manifest]) -> tuple[str, str]:
    selector = pod["spec"].get("nodeSelector") or {}
    if not selector:
        return "no node is as its node affinity wants", "kubectl get nodes --show-labels"
    labels = " ".join(f"{key}={value}" for key, value in selector.items())
    name = name_of(nodes[0]) if nodes else "NODE"
    return f"no node has the labels of its nodeSelector ({labels})", f"kubectl label node {name} {labels}"


def _brief(message: str) -> str:
    """Without the count of nodes in front and what is said of preemption behind."""
    reasons = message.partition("nodes are available: ")[2] or message
    return reasons.partition(" preemption:")[0].strip(" .")
