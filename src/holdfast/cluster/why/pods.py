"""Why a pod is not ready, or does not go."""

from __future__ import annotations

from holdfast.api.conditions import is_ready, is_terminating, is_true, phase
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.node import NODES
from holdfast.api.core.secret import SECRETS
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .chain import Cause, kubectl, listed, name_of, subject
from .containers import absent_source, containers, why_not_ready, why_not_running
from .evidence import Evidence
from .nodes import is_silent, why_node
from .scheduling import why_unscheduled

MOUNT_TROUBLE = ("FailedMount", "FailedMapVolume")
SANDBOX_TROUBLE = ("FailedCreatePodSandBox", "FailedSync")


def why_pod(evidence: Evidence, pod: Manifest) -> Cause | None:
    """None if it is ready, or has done its work."""
    node = evidence.get(NODES, pod["spec"].get("nodeName") or "")
    if is_terminating(pod):
        return _leaving(evidence, pod, node)
    if phase(pod) == "Failed":
        return _failed(evidence, pod)
    if phase(pod) == "Succeeded" or is_ready(pod):
        return None
    if not pod["spec"].get("nodeName"):
        return why_unscheduled(evidence, pod)
    if node is None and evidence.is_absent(NODES, pod["spec"]["nodeName"]):
        says = f"its node {pod['spec']['nodeName']} does not exist any more"
        return Cause(subject(pod), says, kubectl(pod, f"delete pod {name_of(pod)} --force --grace-period=0"))
    if node is not None and is_silent(node):
        return Cause(subject(pod), f"its node {name_of(node)} is silent", because=why_node(evidence, node))
    return _starting(evidence, pod) or _not_ready(evidence, pod)


def _leaving(evidence: Evidence, pod: Manifest, node: Manifest | None) -> Cause:
    until = parse_time(pod["metadata"]["deletionTimestamp"])
    force = kubectl(pod, f"delete pod {name_of(pod)} --force --grace-period=0")
    if node is not None and is_silent(node):
        says = f"it is to go, but its node {name_of(node)} is silent, so nobody can tell whether it still runs"
        cause = why_node(evidence, node)
        return Cause(subject(pod), says, "" if cause else force, cause)
    if holders := pod["metadata"].get("finalizers"):
        patch = '{"metadata":{"finalizers":null}}'
        says = f"it is to go, and waits for whoever set the finalizers {listed(list(holders))}"
        return Cause(subject(pod), says, kubectl(pod, f"patch pod {name_of(pod)} --type merge -p '{patch}'"))
    if evidence.now < until:
        left_s = (until - evidence.now).total_seconds()
        says = f"it is being stopped: its containers have {left_s:.0f} s more to end by themselves"
        return Cause(subject(pod), says, "have the program end on SIGTERM, or shorten terminationGracePeriodSeconds")
    return Cause(subject(pod), "it is to go, and its node has not reported its end", force)


def _failed(evidence: Evidence, pod: Manifest) -> Cause:
    status = pod.get("status") or {}
    if status.get("reason"):
        return Cause(subject(pod), f"it failed ({status['reason']}): {status.get('message', '')}", _remove(pod))
    for container in containers(pod):
        if cause := why_not_running(evidence, pod, container):
            return cause
    return Cause(subject(pod), "it has failed", _remove(pod))


def _remove(pod: Manifest) -> str:
    return kubectl(pod, f"delete pod {name_of(pod)}")


def _starting(evidence: Evidence, pod: Manifest) -> Cause | None:
    for container in containers(pod):
        if cause := why_not_running(evidence, pod, container):
            return cause
    if any(container.is_running for container in containers(pod)):
        return None
    if message := evidence.last_message(pod, "FailedAttachVolume"):
        cure = "let the pod there end first (the strategy Recreate of a Deployment, or a StatefulSet)"
        return Cause(subject(pod), f"a volume of it is on another node: {message}", cure)
    if message := evidence.last_message(pod, *MOUNT_TROUBLE):
        cause = _missing_volume_source(evidence, pod)
        says = f"a volume of it cannot be mounted: {message}"
        return Cause(subject(pod), says, "" if cause else kubectl(pod, f"describe pod {name_of(pod)}"), cause)
    if message := evidence.last_message(pod, *SANDBOX_TROUBLE):
        return Cause(subject(pod), f"its sandbox cannot be made: {message}", "holdfast doctor")
    return None


def _missing_volume_source(evidence: Evidence, pod: Manifest) -> Cause | None:
    for volume in pod["spec"].get("volumes") or ():
        for source, field, resource in (
            (volume.get("configMap"), "name", CONFIG_MAPS),
            (volume.get("secret"), "secretName", SECRETS),
        ):
            if source and not source.get("optional") and evidence.is_absent(resource, source[field]):
                return absent_source(evidence, resource, source[field], f"the volume {volume['name']} is to hold it")
    return None


def _not_ready(evidence: Evidence, pod: Manifest) -> Cause:
    for container in containers(pod):
        if container.is_running and (cause := why_not_ready(evidence, pod, container)):
            return cause
    for gate in pod["spec"].get("readinessGates") or ():
        if not is_true(pod, gate["conditionType"]):
            says = f"its readiness gate {gate['conditionType']} is not open: somebody has to set that condition to True"
            return Cause(subject(pod), says, "see to the controller that sets it")
    for container in containers(pod):
        if container.is_init and container.is_running:
            return Cause(
                subject(pod),
                f"{container.title} is still at work",
                f"its own words: {kubectl(pod, f'logs {name_of(pod)} -c {container.name}')}",
            )
    return Cause(subject(pod), "it is being started")
