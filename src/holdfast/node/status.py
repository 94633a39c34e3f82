"""From what was seen of a pod to its status: phase, addresses, containers. Pure.

Source: rules N10-N19, N40-N52; Kubernetes, pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase).
"""

from __future__ import annotations

from typing import Any

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time

from .conditions import conditions
from .container_spec import is_recursive
from .observed import STARTED_ANEW, Observed, Seen, Verdict
from .pod import TERMINAL_PHASES, Container, Pod, Role
from .pod_level import pod_level
from .runtime import ContainerRecord, ContainerState, RunsAs

NEVER_STARTED = "1970-01-01T00:00:00Z"
"""Container runtimes tell no time as the first there was, and so it is told on."""
LOST_CODE = 137
LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod was terminated"
LOST_WHILE_RUNNING = "The container could not be located when the pod was deleted.  The container used to be Running"


def pod_status(pod: Pod, observed: Observed, runtime: str, old: Manifest | None = None) -> Manifest:
    """The status the agent owns, conditions of others included where they were.

    `runtime` is the prefix of container ids. `old` is the status last written or read (default: the
    pod's own): what it says of the past, such as transition times, is carried on.
    """
    old = pod.status if old is None else old
    status: Manifest = {}
    if pod.generation:
        status["observedGeneration"] = pod.generation
    lists = {
        "initContainerStatuses": [container_status(pod, c, observed, runtime, old) for c in pod.init_containers],
        "containerStatuses": sorted(
            (container_status(pod, c, observed, runtime, old) for c in pod.app_containers), key=_by_name
        ),
        "ephemeralContainerStatuses": [
            container_status(pod, c, observed, runtime, old) for c in pod.ephemeral_containers
        ],
    }
    verdict = observed.verdict
    if verdict is not None and verdict.is_rejection:
        return {**status, **_rejected(pod, verdict, observed)}
    status["phase"] = settled_phase(pod, observed, lists, old)
    for reason in ("reason", "message"):
        if old.get(reason) and old.get("phase") == status["phase"]:
            status[reason] = old[reason]  # N17
    if verdict is not None:
        status["reason"], status["message"] = verdict.reason, verdict.message
    status["conditions"] = conditions(pod, observed, status["phase"], lists, old)
    if observed.host_ips:
        status["hostIP"] = observed.host_ips[0]
        status["hostIPs"] = [{"ip": ip} for ip in observed.host_ips]
    ips = observed.ips
    if not ips and status["phase"] in TERMINAL_PHASES and old.get("podIPs"):
        ips = tuple(entry["ip"] for entry in old["podIPs"])  # N82
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": ip} for ip in ips]
    status["startTime"] = old.get("startTime") or format_time(observed.now)
    status.update({field: entries for field, entries in lists.items() if entries})
    if qos := (old.get("qosClass") or pod.status.get("qosClass")):
        status["qosClass"] = qos
    return status | pod_level(pod, observed, status["phase"], old)


def _rejected(pod: Pod, verdict: Verdict, observed: Observed) -> Manifest:
    """Of a pod that this node never began with: nothing is said of its containers (N191)."""
    status: Manifest = {
        "phase": "Failed",
        "reason": verdict.reason,
        "message": f"Pod was rejected: {verdict.message}",
        "startTime": pod.status.get("startTime") or format_time(observed.now),
    }
    kept = ("conditions", "qosClass")
    return status | {member: pod.status[member] for member in kept if pod.status.get(member)}


def _by_name(entry: Manifest) -> str:
    return str(entry["name"])


# -- containers -----------------------------------------------------------------------------------


def container_status(pod: Pod, container: Container, observed: Observed, runtime: str, old: Manifest) -> Manifest:
    """The entry of one container (N41-N52)."""
    before = old_entry(old, container)
    seen = observed.seen(container.name)
    current, previous = seen.current, seen.previous
    state, last = _states(pod, container, observed, old, runtime)
    is_running = "running" in state
    shown = current or previous
    image_id = (shown.image_reference or shown.image_id) if shown else before.get("imageID", "")
    entry: Manifest = {
        "name": container.name,
        "state": state,
        "lastState": last,
        "ready": _is_ready(container, seen, state),
        "restartCount": _restart_count(seen, before, last),
        "image": current.image if current else container.image,
        "imageID": image_id,
    }
    if shown is not None and shown.id and shown.state is not ContainerState.CREATED:
        entry["containerID"] = f"{runtime}://{shown.id}"
    elif before.get("containerID") and current is None:
        entry["containerID"] = before["containerID"]
    if container.role is not Role.EPHEMERAL:
        entry["started"] = is_running and seen.is_started
    if shown is not None and shown.runs_as is not None:
        entry["user"] = {"linux": _user(shown.runs_as)}
    elif before.get("user") and current is None:
        entry["user"] = before["user"]
    if shown is not None and shown.state is not ContainerState.CREATED:
        entry |= _resources(container, seen.resources if is_running else None)
    else:
        entry |= {member: before[member] for member in ("allocatedResources", "resources") if member in before}
    if mounts := container.manifest.get("volumeMounts"):
        has_recursive = observed.has_recursive_read_only
        entry["volumeMounts"] = [_mount_status(mount, has_recursive=has_recursive) for mount in mounts]
    return entry


def old_entry(old: Manifest, container: Container) -> Manifest:
    """What the status said of that container before; empty if nothing."""
    field = {
        Role.APP: "containerStatuses",
        Role.EPHEMERAL: "ephemeralContainerStatuses",
    }.get(container.role, "initContainerStatuses")
    for entry in old.get(field) or ():
        if entry["name"] == container.name:
            return entry  # type: ignore[no-any-return]
    return {}


def _states(
    pod: Pod, container: Container, observed: Observed, old: Manifest, runtime: str
) -> tuple[Manifest, Manifest]:
    """`state` and `lastState`."""
    before = old_entry(old, container)
    seen = observed.seen(container.name)
    last = _last_state(seen, observed, before, runtime)
    waiting = _waiting_state(pod, container, seen)
    match seen.current:
        case None if seen.waiting == STARTED_ANEW and not observed.has_ended:
            ended = {"exitCode": LOST_CODE, "reason": STARTED_ANEW.reason, "message": STARTED_ANEW.message}
            return waiting, {"terminated": {**ended, "startedAt": None, "finishedAt": None}}
        case None if "terminated" in (before.get("state") or {}) and (seen.waiting is None or observed.has_ended):
            return before["state"], dict(before.get("lastState") or {})  # N52: the runtime forgot it
        case None if observed.has_ended and may_have_run(pod, container, observed, old):
            return _state_of_lost(before), last  # N51
        case None if "running" in (before.get("state") or {}) and seen.previous is None:
            return waiting, _lost_state(LOST_WHILE_RUNNING)  # N50
        case None if "terminated" in (before.get("state") or {}) and seen.previous is None:
            return waiting, dict(before["state"])
        case None:
            return waiting, last
        case ContainerRecord(state=ContainerState.CREATED):
            is_lost = observed.has_ended and may_have_run(pod, container, observed, old)
            return (_state_of_lost(before) if is_lost else waiting), last
        case ContainerRecord(state=ContainerState.RUNNING) if seen.is_in_hook:
            return waiting, last
        case ContainerRecord(state=ContainerState.RUNNING, started=started) as run:
            return {"running": {"startedAt": format_time(started or run.created)}}, last
        case run if seen.waiting is not None and not observed.is_ending:
            return waiting, _terminated_state(run, observed, runtime)  # N49
        case run:
            ended = _terminated_state(run, observed, runtime)
            return ended, {} if last == ended else last  # a failed start was `lastState` as long as another was due


def may_have_run(pod: Pod, container: Container, observed: Observed, old: Manifest) -> bool:
    """Whether the pod came as far as that container: else its never having run is no failure of its own (N51)."""
    inits = pod.init_containers
    if container.role is Role.APP:
        return not inits or _is_through(inits[-1], observed, old)
    if container in inits:
        return any(_has_run(later, observed, old) for later in inits[inits.index(container) :])
    return True


def _has_run(container: Container, observed: Observed, old: Manifest) -> bool:
    seen, before = observed.seen(container.name), old_entry(old, container)
    states = (before.get("state") or {}).keys() | (before.get("lastState") or {}).keys()
    return bool(seen.current or seen.previous or states & {"running", "terminated"})


def _is_through(container: Container, observed: Observed, old: Manifest) -> bool:
    """The init container has succeeded, or is a sidecar that has run."""
    if container.role is Role.SIDECAR:
        return _has_run(container, observed, old)
    seen, before = observed.seen(container.name), old_entry(old, container)
    ends = [(before.get(state) or {}).get("terminated") for state in ("state", "lastState")]
    codes = [run.exit_code for run in (seen.current, seen.previous) if run is not None]
    return 0 in codes or any(end is not None and end.get("exitCode") == 0 for end in ends)


def _last_state(seen: Seen, observed: Observed, before: Manifest, runtime: str) -> Manifest:
    """The run before the current one: as the agent remembers it, else as the status said (N49, N235)."""
    if seen.previous is not None:
        return _terminated_state(seen.previous, observed, runtime)
    is_new = seen.current is not None and seen.current.attempt > int(before.get("restartCount") or 0)
    if is_new and "terminated" in (before.get("state") or {}):
        return dict(before["state"])
    return dict(before.get("lastState") or {})


def _waiting_state(pod: Pod, container: Container, seen: Seen) -> Manifest:
    if seen.waiting is None:
        has_init = bool(pod.init_containers) and container.role is not Role.EPHEMERAL
        return {"waiting": {"reason": "PodInitializing" if has_init else "ContainerCreating"}}  # N43
    waiting = {"reason": seen.waiting.reason}
    if seen.waiting.message:
        waiting["message"] = seen.waiting.message
    return {"waiting": waiting}


def _terminated_state(run: ContainerRecord, observed: Observed, runtime: str) -> Manifest:
    code = LOST_CODE if run.exit_code is None else run.exit_code
    terminated: Manifest = {
        "exitCode": code,
        "reason": run.reason or ("Error" if code else "Completed"),
    }
    if message := observed.messages.get(run.id) or run.message:
        terminated["message"] = message
    terminated["startedAt"] = format_time(run.started) if run.started else NEVER_STARTED
    terminated["finishedAt"] = format_time(run.finished or run.started or run.created)
    if run.id:
        terminated["containerID"] = f"{runtime}://{run.id}"
    return {"terminated": terminated}


def _lost_state(message: str) -> Manifest:
    return {
        "terminated": {
            "exitCode": LOST_CODE,
            "reason": LOST_REASON,
            "message": message,
            "startedAt": None,
            "finishedAt": None,
        }
    }


def _state_of_lost(before: Manifest) -> Manifest:
    state = before.get("state") or {}
    return dict(state) if "terminated" in state else _lost_state(LOST_MESSAGE)


def _restart_count(seen: Seen, before: Manifest, last: Manifest) -> int:
    """From the runtime's own count of runs (N48), never lower than what was said before (N230)."""
    said = int(before.get("restartCount") or 0)
    if seen.current is not None:
        return max(seen.current.attempt, said)
    if seen.waiting == STARTED_ANEW:
        return said + ("waiting" not in (before.get("state") or {}))
    was_running = "running" in (before.get("state") or {})
    is_lost = (last.get("terminated") or {}).get("reason") == LOST_REASON
    return said + 1 if was_running and is_lost and seen.previous is None else said


def _is_ready(container: Container, seen: Seen, state: Manifest) -> bool:
    if container.role is Role.INIT:
        return "terminated" in state and state["terminated"]["exitCode"] == 0
    if container.role is Role.EPHEMERAL:
        return False
    return "running" in state and seen.is_started and seen.is_ready


def _resources(container: Container, given: Manifest | None) -> Manifest:
    """What is granted and what the run has: not the same while a resize is under way (N148)."""
    resources = container.resources if given is None else given
    told: Manifest = {"resources": {kind: resources[kind] for kind in ("limits", "requests") if resources.get(kind)}}
    if requests := container.resources.get("requests"):
        told["allocatedResources"] = requests
    return told


def _user(runs_as: RunsAs) -> Manifest:
    return {"uid": runs_as.uid, "gid": runs_as.gid, "supplementalGroups": list(runs_as.supplementary_gids)}


def _mount_status(mount: Manifest, *, has_recursive: bool) -> dict[str, Any]:
    shown = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        mode = "Enabled" if is_recursive(mount, has_recursive=has_recursive) else "Disabled"
        shown |= {"readOnly": True, "recursiveReadOnly": mode}
    return shown


# -- phase ----------------------------------------------------------------------------------------


def settled_phase(pod: Pod, observed: Observed, lists: dict[str, list[Manifest]], old: Manifest) -> str:
    """The phase to publish: never out of a terminal one (N12), never terminal while anything runs (N15)."""
    before = str(old.get("phase") or "Pending")
    if before in TERMINAL_PHASES:
        return before
    if observed.has_ended and (observed.is_ending or observed.verdict):
        computed = _final_phase(pod, observed, lists)
    elif observed.verdict is not None:
        computed = "Failed"
    else:
        computed = phase(pod, lists)
    return before if computed in TERMINAL_PHASES and observed.any_running else computed


def _final_phase(pod: Pod, observed: Observed, lists: dict[str, list[Manifest]]) -> str:
    """N14: what is left of a pod that was stopped. One that never ran has failed: who counts pods waits for that."""
    if observed.verdict is not None:
        return "Failed"
    if not any(observed.seen(c.name).current or observed.seen(c.name).previous for c in pod.containers()):
        return "Failed"
    ends = [entry["state"].get("terminated") for entry in lists["containerStatuses"]]
    return "Succeeded" if all(end and end["exitCode"] == 0 for end in ends) else "Failed"


def phase(pod: Pod, lists: dict[str, list[Manifest]]) -> str:
    """N11, in its order, from the entries of the containers."""
    inits = dict(zip(pod.init_containers, lists["initContainerStatuses"], strict=True))
    by_name = {entry["name"]: entry for entry in lists["containerStatuses"]}
    apps = [(container, by_name[container.name]) for container in pod.app_containers]
    app_ever_ran = any("waiting" not in e["state"] or "terminated" in e["lastState"] for _, e in apps)
    pending_init = False
    for container, entry in inits.items():
        end = entry["state"].get("terminated")
        if container.role is Role.SIDECAR:
            pending_init |= not entry.get("started") and not app_ever_ran
            continue
        if end and end["exitCode"] == 0:
            continue
        if end and not pod.may_restart(container, end["exitCode"]):
            return "Failed"
        if end or (last := entry["lastState"].get("terminated")) is None or last["exitCode"] != 0:
            pending_init |= not app_ever_ran
    waiting = [e for _, e in apps if "waiting" in e["state"] and "terminated" not in e["lastState"]]
    if pending_init or waiting:
        return "Pending"
    sidecars = [e for c, e in inits.items() if c.role is Role.SIDECAR]
    if any("running" in e["state"] for e in [*sidecars, *(e for _, e in apps)]) and not _apps_ended_for_good(pod, apps):
        return "Running"
    ends = [(c, e["state"].get("terminated") or e["lastState"].get("terminated")) for c, e in apps]
    if not ends or any(end is None for _, end in ends):
        return "Pending"
    if any("waiting" in e["state"] for _, e in apps) or any(pod.may_restart(c, end["exitCode"]) for c, end in ends):
        return "Running"  # N13
    return "Succeeded" if all(end["exitCode"] == 0 for _, end in ends) else "Failed"


def _apps_ended_for_good(pod: Pod, apps: list[tuple[Container, Manifest]]) -> bool:
    """N98: sidecars do not keep a pod alive. `settled_phase` holds the phase back until they are stopped."""
    ends = [(c, e["state"].get("terminated")) for c, e in apps]
    return all(end is not None and not pod.may_restart(c, end["exitCode"]) for c, end in ends)
