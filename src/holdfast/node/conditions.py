"""The conditions of a pod that the agent owns (N25-N34). Pure."""

from __future__ import annotations

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time

from .observed import Observed
from .pod import TERMINAL_PHASES, Pod, Role

RESIZE = ("PodResizePending", "PodResizeInProgress")
"""There only while they are true (N148)."""
DISRUPTION, TERMINATED_BY_NODE = "DisruptionTarget", "TerminationByKubelet"
RESTARTING = "AllContainersRestarting"
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", RESTARTING)
"""In the order they are generated (N25)."""

Claim = tuple[bool, str, str]
"""Status, reason, message."""


def conditions(
    pod: Pod, observed: Observed, phase: str, lists: dict[str, list[Manifest]], old: Manifest
) -> list[Manifest]:
    """Ours in their order, then those of others as they were."""
    before = {condition["type"]: condition for condition in pod.status.get("conditions") or ()}
    before |= {condition["type"]: condition for condition in old.get("conditions") or () if condition["type"] in OWNED}
    containers_ready = _containers_ready(pod, phase, lists)
    claims: dict[str, Claim] = {
        "PodReadyToStartContainers": (observed.sandbox is not None and bool(observed.ips), "", ""),
        "Initialized": _initialized(pod, phase, lists),
        "Ready": _ready(pod, phase, containers_ready, before),
        "ContainersReady": containers_ready,
        "PodScheduled": (True, "", ""),
    }
    if pod.may_restart_all:
        claims[RESTARTING] = _restarting(pod, observed, phase)
    ours = [_condition(type, claims[type], before.get(type), observed, pod.generation) for type in claims]
    resize = [
        _condition(type, (True, state.reason, state.message), before.get(type), observed, pod.generation)
        for type, state in zip(RESIZE, (observed.resizing.pending, observed.resizing.progress), strict=True)
        if state is not None
    ]
    foreign = {type: condition for type, condition in before.items() if type not in OWNED + RESIZE}
    if observed.verdict is not None and observed.verdict.is_disruption:
        claim = (True, TERMINATED_BY_NODE, observed.verdict.message)
        foreign[DISRUPTION] = _condition(DISRUPTION, claim, before.get(DISRUPTION), observed, pod.generation)
    return resize + ours + list(foreign.values())


def _condition(type: str, claim: Claim, before: Manifest | None, observed: Observed, generation: int) -> Manifest:
    is_true, reason, message = claim
    status = "True" if is_true else "False"
    since = format_time(observed.now)
    if before is not None and before.get("status") == status and before.get("lastTransitionTime"):
        since = before["lastTransitionTime"]  # N26
    condition: Manifest = {"type": type, "status": status, "lastProbeTime": None, "lastTransitionTime": since}
    if generation:
        condition["observedGeneration"] = generation
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _initialized(pod: Pod, phase: str, lists: dict[str, list[Manifest]]) -> Claim:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if not pod.init_containers or any(
        "waiting" not in entry["state"] or "terminated" in entry["lastState"] for entry in lists["containerStatuses"]
    ):
        return True, "", ""
    incomplete = []
    for container, entry in zip(pod.init_containers, lists["initContainerStatuses"], strict=True):
        is_done = entry.get("started") if container.role is Role.SIDECAR else entry["ready"]
        if not is_done:
            incomplete.append(container.name)
    if incomplete:
        return False, "ContainersNotInitialized", f"containers with incomplete status: {_listed(incomplete)}"
    return True, "", ""


def _restarting(pod: Pod, observed: Observed, phase: str) -> Claim:
    if phase in TERMINAL_PHASES:
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    if observed.restarts_all(pod):
        return True, "RestartAllContainersStarted", "container exited with restart policy rule"
    return False, "", ""


def _containers_ready(pod: Pod, phase: str, lists: dict[str, list[Manifest]]) -> Claim:
    if phase in TERMINAL_PHASES:
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""  # N16
    entries = {entry["name"]: entry for entry in lists["initContainerStatuses"] + lists["containerStatuses"]}
    unready = [c.name for c in (*pod.sidecars, *pod.app_containers) if not entries[c.name]["ready"]]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: {_listed(unready)}"
    return True, "", ""


def _ready(pod: Pod, phase: str, containers_ready: Claim, before: dict[str, Manifest]) -> Claim:
    if not containers_ready[0] or phase in TERMINAL_PHASES:
        return containers_ready
    clauses = []
    for gate in pod.spec.get("readinessGates") or ():
        type = gate["conditionType"]
        if type not in before:
            clauses.append(f'corresponding condition of pod readiness gate "{type}" does not exist.')
        elif before[type].get("status") != "True":
            clauses.append(
                f'the status of pod readiness gate "{type}" is not "True", but {before[type].get("status", "")}'
            )
    if clauses:
        return False, "ReadinessGatesNotReady", ", ".join(clauses)
    return True, "", ""


def _listed(names: list[str]) -> str:
    return f"[{' '.join(names)}]"


def is_ours(condition: Manifest) -> bool:
    """Whether the agent writes it; others' are left alone (N25)."""
    type = condition["type"]
    return type in OWNED + RESIZE or (type == DISRUPTION and condition.get("reason") == TERMINATED_BY_NODE)
