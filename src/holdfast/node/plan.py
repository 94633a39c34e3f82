"""What to do next for a pod that should run: its sandbox, which containers to start and to stop. Pure.

A plan rests on the state alone, never on the event that woke the worker; each is the step of an agent
that may have been restarted since. Source: Kubernetes, pkg/kubelet/kuberuntime (computePodActions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .backoff import Backoff, in_words
from .container_spec import pod_resources, widest
from .observed import STARTED_ANEW, Observed, Seen, Verdict, Waiting
from .pod import TERMINAL_PHASES, Container, Pod, Role
from .resizing import changed, needs_restart
from .runtime import ContainerRecord, ContainerResources
from .status import LOST_REASON, old_entry

DEADLINE_EXCEEDED = Verdict("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Volumes, then namespaces and network."""


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """What is left of a broken sandbox, its containers included, before it is made anew (N81)."""


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Image, creation, start and postStart of the next run."""

    container: Container


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Ends the current run; whether another follows is decided when it has ended."""

    container: Container
    id: str
    message: str
    """Of the Killing event."""
    grace_period_s: int
    is_replaced: bool = False
    """Another run follows whatever the restart policy says: it is the container that changed (N83)."""


@dataclass(frozen=True, slots=True)
class RestartAll:
    """Ends and forgets every run: the next plan begins with the first init container, in the sandbox there is."""


@dataclass(frozen=True, slots=True)
class EndPod:
    """Stops what still runs, for good; the object stays."""

    verdict: Verdict | None = None
    """Reason and message at pod level, if the agent ends it rather than its containers (N17)."""


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """Gives the current run the container's requests and limits (N148)."""

    container: Container
    id: str


@dataclass(frozen=True, slots=True)
class LimitPod:
    """Changes what all containers have together (N142)."""

    resources: ContainerResources


Action = (
    CreateSandbox | RemoveSandbox | StartContainer | StopContainer | ResizeContainer | LimitPod | RestartAll | EndPod
)


@dataclass(frozen=True, slots=True)
class Plan:
    reason: str
    actions: tuple[Action, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    """Containers whose next run is put off by back-off (N89)."""
    again_after_s: float | None = None
    """When to plan again although nothing happened."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent remembers of its own attempts; lost with the agent, on purpose (N90)."""

    restarts: Backoff
    held: Mapping[str, datetime] = field(default_factory=dict)
    """Containers whose start failed, and when to try again."""
    resize_held: datetime | None = None
    """When a resize that failed is tried again."""


def plan(pod: Pod, observed: Observed, memory: Memory) -> Plan:
    """The next step of a pod that is neither deleted nor ended."""
    left_s = deadline_left_s(pod, observed.now)
    if left_s is not None and left_s <= 0:
        return Plan("the active deadline has passed", (EndPod(DEADLINE_EXCEEDED),))
    step = _plan_containers(pod, observed, memory)
    if left_s is None:
        return step
    again_s = left_s if step.again_after_s is None else min(left_s, step.again_after_s)
    return Plan(step.reason, step.actions, step.waiting, again_s)


def deadline_left_s(pod: Pod, now: datetime) -> float | None:
    """Seconds until activeDeadlineSeconds are over, counted from startTime (N19)."""
    limit_s, start = pod.spec.get("activeDeadlineSeconds"), pod.status.get("startTime")
    if limit_s is None or not start:
        return None
    return float(limit_s) - (now - parse_time(start)).total_seconds()


def restart_key(pod: Pod, container: Container) -> tuple[str, ...]:
    """What back-off is counted by; with a new image or new resources it begins anew (N86, N87)."""
    return (pod.uid, container.name, container.image, msgspec.json.encode(container.resources, order="sorted").decode())


def next_attempt(pod: Pod, container: Container, seen: Seen, newest_log: int | None = None) -> int:
    """The number of the next run: above all that the runtime, the status and the log files know (N48, N230)."""
    attempts = [run.attempt + 1 for run in (seen.current, seen.previous) if run is not None]
    if newest_log is not None:
        attempts.append(newest_log + 1)
    entry = old_entry(pod.status, container)
    said = int(entry.get("restartCount") or 0)
    last = (entry.get("lastState") or {}).get("terminated")
    state = entry.get("state") or {}
    is_counted = "waiting" in state and last is not None and last.get("reason") in (LOST_REASON, STARTED_ANEW.reason)
    if is_counted or ("waiting" in state and last is None):
        attempts.append(said)
    elif entry:
        attempts.append(said + 1)
    return max(attempts, default=0)


def has_ended_for_good(pod: Pod, observed: Observed, containers: Iterable[Container]) -> bool:
    """Every one of them has run to its end and may not run again."""
    seen = [(container, observed.seen(container.name)) for container in containers]
    return all(one.has_ended and not _runs_again(pod, container, one) for container, one in seen)


def _runs_again(pod: Pod, container: Container, ended: Seen) -> bool:
    return ended.is_due or pod.may_restart(container, ended.exit_code)


def _plan_containers(pod: Pod, observed: Observed, memory: Memory) -> Plan:
    if observed.sandbox is None:
        return _plan_sandbox(pod, observed)
    if observed.restarts_all(pod):
        return Plan("a container's end restarts all of them", (RestartAll(),))
    stops, again_s = _changes(pod, observed, memory)
    apps = pod.app_containers
    if apps and has_ended_for_good(pod, observed, apps):
        return Plan("all containers have ended", (EndPod(),))
    step = _Step(pod, observed, memory, again_s)
    for container in pod.ephemeral_containers:
        step.consider(container)
    if not _initialize(step, pod, observed):
        if step.has_failed:
            return Plan("an init container failed", (EndPod(),))
        return step.plan(f"waiting for init container {step.blocking}", stops)
    for container in apps:
        step.consider(container)
    return step.plan("every container runs", stops)


def _plan_sandbox(pod: Pod, observed: Observed) -> Plan:
    ever_ran = any(seen.current or seen.previous for seen in observed.containers.values()) or any(
        "terminated" in entry.get("state", {}) or "running" in entry.get("state", {})
        for field_name in ("initContainerStatuses", "containerStatuses")
        for entry in pod.status.get(field_name) or ()
    )
    if ever_ran and pod.restart_policy == "Never":
        return Plan("the sandbox is gone and nothing may restart", (EndPod(),))
    if any(seen.current for seen in observed.containers.values()):
        return Plan("the sandbox is broken", (RemoveSandbox(), CreateSandbox()))
    return Plan("the pod has no sandbox", (CreateSandbox(),))


def _initialize(step: _Step, pod: Pod, observed: Observed) -> bool:
    """Plans for the init containers, up to the first that is not through (N95-N97). True if all are."""
    was_initialized = any(observed.seen(container.name).current for container in pod.app_containers)
    for container in pod.init_containers:
        seen = observed.seen(container.name)
        if container.role is Role.SIDECAR:
            step.consider(container)
            if not was_initialized and not (seen.is_running and seen.is_started and not seen.is_in_hook):
                step.blocking = container.name
                return False
            continue
        if was_initialized or (seen.has_ended and seen.exit_code == 0):
            continue  # N103
        step.blocking = container.name
        if seen.has_ended and not _runs_again(pod, container, seen):
            step.has_failed = True
        else:
            step.consider(container)
        return False
    return True


class _Step:
    """A plan in the making."""

    def __init__(self, pod: Pod, observed: Observed, memory: Memory, again_s: list[float]) -> None:
        self._pod = pod
        self._observed = observed
        self._memory = memory
        self._starts: list[Action] = []
        self._waiting: dict[str, Waiting] = {}
        self._delays_s = again_s
        self.blocking = ""
        self.has_failed = False

    def consider(self, container: Container) -> None:
        """Starts the container if it should run and does not, now or when its back-off is over."""
        seen = self._observed.seen(container.name)
        if seen.is_running:
            return
        if seen.has_ended:
            if not _runs_again(self._pod, container, seen) or self._is_backing_off(container, seen):
                return
        elif container.role is Role.EPHEMERAL and old_entry(self._pod.status, container).get("containerID"):
            return  # N205: once only
        held = self._memory.held.get(container.name)
        if held is not None and (wait_s := (held - self._observed.now).total_seconds()) > 0:
            self._delays_s.append(wait_s)
            return
        self._starts.append(StartContainer(container))

    def plan(self, reason: str, stops: tuple[Action, ...]) -> Plan:
        actions = (*stops, *self._starts)
        if actions:
            reason = "containers are to be started" if self._starts else "containers are to be stopped or resized"
        elif self._delays_s:
            reason = "waiting for a back-off"
        return Plan(reason, actions, self._waiting, min(self._delays_s, default=None))

    def _is_backing_off(self, container: Container, seen: Seen) -> bool:
        key = restart_key(self._pod, container)
        ended = (seen.current.finished if seen.current else None) or self._observed.now
        wait_s = self._memory.restarts.remaining_s(key, ended, self._observed.now)
        if wait_s <= 0:
            return False
        delay = in_words(self._memory.restarts.delay_s(key))
        message = f"back-off {delay} restarting failed container={container.name} pod={self._pod.full_name}"
        self._waiting[container.name] = Waiting("CrashLoopBackOff", message)
        self._delays_s.append(wait_s)
        return True


def _changes(pod: Pod, observed: Observed, memory: Memory) -> tuple[tuple[Action, ...], list[float]]:
    """Runs to be ended and runs to be resized; and how long to wait before the latter is tried again."""
    stops: list[Action] = []
    resizes: list[Action] = []
    for container in (*pod.init_containers, *pod.app_containers):
        seen = observed.seen(container.name)
        if not seen.is_running or seen.current is None:
            continue
        if stop := _stop(pod, container, seen, seen.current):
            stops.append(stop)
        elif seen.resources is not None and changed(seen.resources, container.resources):
            resizes.append(ResizeContainer(container, seen.current.id))
    resizes[:0] = _pod_limits(pod, observed, has_to_wait=bool(stops or resizes))
    wait_s = 0.0 if memory.resize_held is None else (memory.resize_held - observed.now).total_seconds()
    if resizes and wait_s > 0:
        return tuple(stops), [wait_s]
    return (*resizes, *stops), []


def _pod_limits(pod: Pod, observed: Observed, *, has_to_wait: bool) -> Iterator[LimitPod]:
    """The pod as a whole has at all times as much as any container: it grows before them, and shrinks after them."""
    limits = observed.sandbox.resources if observed.sandbox else None
    if limits is None:
        return
    wanted = pod_resources(pod)
    if has_to_wait:
        wanted = widest(limits, wanted)
    if wanted != limits:
        yield LimitPod(wanted)


def _stop(pod: Pod, container: Container, seen: Seen, run: ContainerRecord) -> StopContainer | None:
    """For a run that a probe condemned (N111), or that is no longer what the pod asks for (N83, N148)."""
    if seen.failed_probe:
        probe = container.probe(seen.failed_probe) or {}
        grace_period_s = int(probe.get("terminationGracePeriodSeconds") or pod.grace_period_s)
        message = f"Container {container.name} failed {seen.failed_probe} probe"
        if pod.may_restart(container, 1):
            message += ", will be restarted"
        return StopContainer(container, run.id, message, grace_period_s)
    if run.image != container.image:
        message = f"Container {container.name} definition changed, will be restarted"
    elif seen.resources is not None and needs_restart(container, changed(seen.resources, container.resources)):
        message = f"Container {container.name} resize requires restart"
    else:
        return None
    return StopContainer(container, run.id, message, pod.grace_period_s, is_replaced=True)


def is_over(phase: str) -> bool:
    """The pod has reached its end (N12)."""
    return phase in TERMINAL_PHASES


def unfinished(manifest: Manifest) -> bool:
    """Whether the object says that the pod should still run."""
    return not is_over(str((manifest.get("status") or {}).get("phase") or "Pending"))
