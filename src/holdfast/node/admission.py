"""Whether a node takes a pod that was bound to it: what the scheduler knew may have changed, or nobody asked it (N191).

Pure. Source: Kubernetes, pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.api.core import node_affinity
from holdfast.api.core.host_ports import collide, host_ports
from holdfast.api.core.taints import tolerates
from holdfast.api.resource import Manifest

from . import sysctls
from .amounts import amounts
from .eviction.manager import refusal
from .observed import Verdict
from .pod import Pod
from .resizing import requested

OS, SYSTEM = "kubernetes.io/os", "linux"
_FIRST = ("pods", "cpu", "memory", "ephemeral-storage")


def rejection(
    pod: Pod, node: Manifest, others: Sequence[Pod], pressures: frozenset[str], allowed_sysctls: Sequence[str] = ()
) -> Verdict | None:
    """Why the pod may not run here; `others` are those that have been taken and still count."""
    if text := refusal(pod, pressures):
        return Verdict("Evicted", text, is_rejection=True)
    if name := sysctls.forbidden(pod, allowed_sysctls):
        return Verdict("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted', is_rejection=True)
    return next(_objections(pod, node, others), None)


def _objections(pod: Pod, node: Manifest, others: Sequence[Pod]) -> Iterator[Verdict]:
    if (pod.spec.get("nodeSelector") or {}).get(OS, SYSTEM) != SYSTEM:
        text = f"Failed to admit pod as the `{OS}` label doesn't match node label"
        yield Verdict("PodOSSelectorNodeLabelDoesNotMatch", text, is_rejection=True)
    if (pod.spec.get("os") or {}).get("name", SYSTEM) != SYSTEM:
        text = "Failed to admit pod as the OS field doesn't match node OS"
        yield Verdict("PodOSNotSupported", text, is_rejection=True)
    yield from _short(pod, node, others)
    if not node_affinity.pod_allows(pod.manifest, node):
        yield _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if _wants_taken_ports(pod, others):
        yield _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    for taint in node["spec"].get("taints") or ():
        if taint.get("effect") == "NoExecute" and not tolerates(pod.manifest, taint):
            yield _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")


def _short(pod: Pod, node: Manifest, others: Sequence[Pod]) -> Iterator[Verdict]:
    """What the node does not have in such amounts; what it does not have at all is no matter of its own."""
    there = amounts((node.get("status") or {}).get("allocatable") or {})
    asked, used = requested([pod]), requested(others)
    asked["pods"], used["pods"] = 1, len(others)
    for name in sorted(asked.keys() & there.keys(), key=_place):
        if asked[name] and asked[name] > there[name] - used.get(name, 0):
            text = f"{name}, requested: {asked[name]}, used: {used.get(name, 0)}, capacity: {there[name]}"
            yield Verdict(f"OutOf{name}", f"Node didn't have enough resource: {text}", is_rejection=True)


def _wants_taken_ports(pod: Pod, others: Sequence[Pod]) -> bool:
    wanted = host_ports(pod.manifest)
    if not wanted:
        return False  # most pods: what all others have is not looked through for them
    taken = [port for other in others for port in host_ports(other.manifest)]
    return any(collide(port, other) for port in wanted for other in taken)


def _place(name: str) -> tuple[int, str]:
    """The order in which resources are looked at."""
    return _FIRST.index(name) if name in _FIRST else len(_FIRST), name


def _failed(name: str, text: str) -> Verdict:
    return Verdict(name, f"Predicate {name} failed: {text}", is_rejection=True)
