"""What `kubectl get pods` shows (A193, S195-S198, N55-N58)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.api.conditions import condition, is_true
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.table import age

COLUMNS = (
    NAME,
    Column("Ready", text="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", text="The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        text="The number of times the containers in this pod have been restarted "
        "and when the last container in this pod has restarted.",
    ),
    AGE,
    Column("IP", priority=1, documents="core.v1.PodStatus.podIP"),
    Column("Node", priority=1, documents="core.v1.PodSpec.nodeName"),
    Column("Nominated Node", priority=1, documents="core.v1.PodStatus.nominatedNodeName"),
    Column("Readiness Gates", priority=1, documents="core.v1.PodSpec.readinessGates"),
)
NONE = "<none>"
_COMPLETED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def cells(pod: Manifest, now: datetime) -> list[Any]:
    summary = summarize(pod)
    spec, status = pod.get("spec", {}), pod.get("status", {})
    addresses = status.get("podIPs") or [{}]
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.status,
        _restarts(summary, now),
        age(pod["metadata"].get("creationTimestamp"), now),
        addresses[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(pod),
    ]


def row_conditions(pod: Manifest) -> list[Manifest]:
    """A finished pod's row says so (A194)."""
    phase = pod.get("status", {}).get("phase")
    if phase not in _COMPLETED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _COMPLETED[phase]}]


@dataclass(slots=True)
class Summary:
    status: str
    total: int
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""
    """When the last run of any container ended, empty if that is not known."""

    def count(self, container: Manifest) -> None:
        """Adds a container's restarts."""
        self.restarts += container.get("restartCount", 0)
        ended = container.get("lastState", {}).get("terminated", {}).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, ended)


def summarize(pod: Manifest) -> Summary:
    """The pod in one word and three numbers."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    sidecars = {c.get("name", "") for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"}
    summary = Summary(_phase(pod), len(spec.get("containers", ())) + len(sidecars))
    inits = status.get("initContainerStatuses", [])
    initializing = _initializing(inits, sidecars, len(spec.get("initContainers", ())))
    for container in _until_unfinished(inits, sidecars):
        summary.count(container)
        summary.ready += _is_started_sidecar(container, sidecars) and bool(container.get("ready"))
    if initializing:
        summary.status = initializing
    if not initializing or is_true(pod, "Initialized"):
        _summarize_containers(summary, pod, [c for c in inits if c.get("name") in sidecars])
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            summary.status = "Unknown"
        elif status.get("phase") not in _COMPLETED:
            summary.status = "Terminating"
    return summary


def _phase(pod: Manifest) -> str:
    status = pod.get("status", {})
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("reason") == "SchedulingGated":
        return "SchedulingGated"
    return str(status.get("reason") or status.get("phase") or "")


def _is_started_sidecar(container: Manifest, sidecars: set[str]) -> bool:
    return container.get("name") in sidecars and bool(container.get("started"))


def _is_done(container: Manifest, sidecars: set[str]) -> bool:
    terminated = container.get("state", {}).get("terminated")
    if terminated is not None and terminated.get("exitCode", 0) == 0:
        return True
    return _is_started_sidecar(container, sidecars)


def _until_unfinished(inits: list[Manifest], sidecars: set[str]) -> Iterable[Manifest]:
    for container in inits:
        yield container
        if not _is_done(container, sidecars):
            return


def _initializing(inits: list[Manifest], sidecars: set[str], total: int) -> str:
    """What the first unfinished init container is about, empty if all are done."""
    for i, container in enumerate(inits):
        if _is_done(container, sidecars):
            continue
        state = container.get("state", {})
        waiting = state.get("waiting", {}).get("reason", "")
        if "terminated" in state:
            return f"Init:{_ending(state['terminated'])}"
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{i}/{total}"
    return ""


def _ending(terminated: Manifest) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _summarize_containers(summary: Summary, pod: Manifest, sidecars: list[Manifest]) -> None:
    """From the last container to the first, so that the first one's trouble is shown."""
    summary.restarts, summary.last_restart = 0, ""
    for sidecar in sidecars:
        summary.count(sidecar)
    has_running, error = False, ""
    for container in reversed(pod.get("status", {}).get("containerStatuses", [])):
        summary.count(container)
        state = container.get("state", {})
        terminated = state.get("terminated")
        if waiting := state.get("waiting", {}).get("reason"):
            summary.status = waiting
        elif terminated is not None:
            summary.status = _ending(terminated)
            if terminated.get("exitCode", 0) and terminated.get("reason"):
                error = terminated["reason"]
        elif container.get("ready") and "running" in state:
            has_running = True
            summary.ready += 1
    if summary.status == "Completed":
        if has_running and is_true(pod, "Ready"):
            summary.status = "Running"
        elif error:
            summary.status = error
        elif has_running:
            summary.status = "NotReady"


def _restarts(summary: Summary, now: datetime) -> str:
    if summary.restarts and summary.last_restart:
        return f"{summary.restarts} ({age(summary.last_restart, now)} ago)"
    return str(summary.restarts)


def _readiness_gates(pod: Manifest) -> str:
    gates = pod.get("spec", {}).get("readinessGates", ())
    if not gates:
        return NONE
    return f"{sum(is_true(pod, gate.get('conditionType', '')) for gate in gates)}/{len(gates)}"
