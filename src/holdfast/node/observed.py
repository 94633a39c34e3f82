"""What the agent has seen of a pod at a moment: the input of its pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.api.core.restarts import RESTART_ALL, matching_rule
from holdfast.api.resource import Manifest

from .pod import Pod
from .runtime import ContainerRecord, ContainerState, Sandbox


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container is not running yet, as its status says it (N44)."""

    reason: str
    message: str = ""


STARTED_ANEW = Waiting("RestartingAllContainers", "The container is removed because RestartAllContainers in place")
"""Of a container that ran, until all of its pod are started anew."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the agent ends a pod, rather than its containers: reason and message at pod level (N17)."""

    reason: str
    message: str
    is_disruption: bool = False
    """The condition DisruptionTarget says it too (N33)."""
    is_rejection: bool = False
    """The pod was never begun with (N191)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one container."""

    current: ContainerRecord | None = None
    """The latest run, as the runtime has it; None before the first in this sandbox."""
    previous: ContainerRecord | None = None
    """The run before; may be one that the runtime has forgotten."""
    waiting: Waiting | None = None
    """What keeps the next run from starting."""
    is_started: bool = True
    """Of the current run: postStart is done and the startup probe has succeeded (N47)."""
    is_ready: bool = True
    """Of the current run: the readiness probe's verdict, True without one."""
    is_in_hook: bool = False
    """postStart is at work: the run does not count as running yet (N123)."""
    is_due: bool = False
    """It was stopped to be replaced: another run follows, whatever the restart policy says (N83)."""
    resources: Manifest | None = None
    """Requests and limits that the current run has; None if those of the spec."""
    failed_probe: str = ""
    """`liveness` or `startup` once that probe has condemned the current run (N111)."""

    @property
    def is_running(self) -> bool:
        return self.current is not None and self.current.state is ContainerState.RUNNING

    @property
    def has_ended(self) -> bool:
        return self.current is not None and self.current.state in (ContainerState.EXITED, ContainerState.UNKNOWN)

    @property
    def exit_code(self) -> int:
        """Of the current, ended run; one whose end nobody saw counts as killed (N45)."""
        if self.current is None or self.current.exit_code is None:
            return 137
        return self.current.exit_code


@dataclass(frozen=True, slots=True)
class Resizing:
    """Where a change of the pod's resources stands (N148)."""

    pending: Waiting | None = None
    """Why the node has not granted what the spec asks for."""
    progress: Waiting | None = None
    """Granted, but not yet given to every container; with reason and message if that failed."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a decision about a pod or its status may rest on, beside the pod itself."""

    now: datetime
    sandbox: Sandbox | None = None
    """The healthy sandbox, if there is one."""
    ips: tuple[str, ...] = ()
    """Of the pod: the sandbox's addresses, or the node's under hostNetwork."""
    host_ips: tuple[str, ...] = ()
    containers: Mapping[str, Seen] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    """Termination messages by container id (N176)."""
    is_ending: bool = False
    """The agent is stopping all containers, for whatever reason: nothing restarts any more."""
    has_ended: bool = False
    """All containers are stopped for good (N14, N51)."""
    has_recursive_read_only: bool = False
    """Whether the runtime can make a mount read-only with all that is mounted below it."""
    resizing: Resizing = Resizing()
    verdict: Verdict | None = None
    """Why the agent ended the pod; its phase is Failed then."""

    def seen(self, name: str) -> Seen:
        return self.containers.get(name, _NOTHING)

    def restarts_all(self, pod: Pod) -> bool:
        """Whether a run has ended in a way that all containers are to be started anew for."""
        if not pod.may_restart_all:
            return False
        seen = ((container, self.seen(container.name)) for container in pod.restartable)
        return any(
            one.has_ended and matching_rule(container.manifest, one.exit_code) == RESTART_ALL for container, one in seen
        )

    @property
    def any_running(self) -> bool:
        return any(seen.is_running for seen in self.containers.values())


_NOTHING = Seen()
