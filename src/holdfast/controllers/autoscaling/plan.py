"""What becomes of an autoscaler's target, its conditions and its events (W82, W83). Pure.

Source: Kubernetes, pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from holdfast.api.autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Emit, Plan, Report, Update

from . import limits
from .limits import Bounds, History
from .metrics import Asked, Failed, Measured, Surroundings, ask

EVERY_S = 15.0
_UNABLE = "the HPA controller was unable to"


@dataclass(frozen=True, slots=True)
class Target:
    """What is scaled, as its Scale tells."""

    resource: Resource
    scale: Manifest
    pods: Sequence[Manifest] = ()
    """That its selector selects."""
    measured: Measured = field(default_factory=Measured)
    selector_error: str = ""
    rivals: Sequence[str] = ()
    """Keys of all autoscalers whose targets select some of the pods."""

    @property
    def current(self) -> int:
        """How many pods are asked for."""
        return (self.scale.get("spec") or {}).get("replicas") or 0

    @property
    def selector(self) -> str:
        return self.scale["status"].get("selector") or ""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    autoscaler: Manifest
    target: Target | str
    """Or why it cannot be had."""
    history: History
    now: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    plan: Plan
    history: History
    """With what was recommended."""
    change: int = 0
    """By how many pods the target is scaled, if that succeeds."""


class _Unable(Exception):
    """No number of replicas follows; the text is the event's."""


def decide(observed: Observed) -> Decision:
    return _Step(observed).decide()


class _Step:
    """One look at an autoscaler: what is decided, and on the way what is told."""

    def __init__(self, observed: Observed) -> None:
        self._autoscaler = observed.autoscaler
        self._spec: Manifest = observed.autoscaler["spec"]
        self._status: Manifest = observed.autoscaler.get("status") or {}
        self._target = observed.target
        self._now = observed.now
        self._history = observed.history
        self._conditions: list[Manifest] = list(self._status.get("conditions") or ())
        self._events: list[Action] = []

    def decide(self) -> Decision:
        if isinstance(self._target, str):
            self._warn("FailedGetScale", self._target)
            why = f"{_UNABLE} get the target's current scale: {self._target}"
            self._set("AbleToScale", False, "FailedGetScale", why)
            return self._decided("its target has no scale", {**self._status, "conditions": self._conditions})
        target, got = self._target, "the HPA controller was able to get the target's current scale"
        self._set("AbleToScale", True, "SucceededGetScale", got)
        self._history = self._history.begun(self._now, target.current)
        bounds = Bounds(target.current, self._spec["minReplicas"], self._spec["maxReplicas"])
        if not bounds.current and bounds.least:
            disabled = "scaling is disabled since the replica count of the target is zero"
            self._set("ScalingActive", False, "ScalingDisabled", disabled)
            return self._decided("disabled by hand", self._told(bounds.current, 0, None))
        if bounds.current > bounds.most:
            return self._scaled(target, bounds.most, "Current number of replicas above Spec.MaxReplicas", None)
        if bounds.current < bounds.least:
            return self._scaled(target, bounds.least, "Current number of replicas below Spec.MinReplicas", None)
        return self._by_metrics(target, bounds)

    def _by_metrics(self, target: Target, bounds: Bounds) -> Decision:
        try:
            desired, metric, statuses = self._desired(target)
        except _Unable as error:
            self._warn("FailedComputeMetricsReplicas", str(error))
            kept = self._status.get("desiredReplicas", 0)
            return self._decided(str(error), self._told(bounds.current, kept, self._status.get("currentMetrics")))
        behavior = self._spec.get("behavior")
        limited = limits.limited(desired, bounds, behavior, self._history, self._now)
        self._history = self._history.recommended(self._now, desired)
        self._set("AbleToScale", True, *limited.able)
        self._set("ScalingLimited", limited.is_limited, *limited.limit)
        if limited.replicas == bounds.current:
            return self._decided("as it should be", self._told(bounds.current, bounds.current, statuses))
        reason = f"{metric} above target" if desired > bounds.current else "All metrics below target"
        return self._scaled(target, limited.replicas, reason if desired != bounds.current else "", statuses)

    def _desired(self, target: Target) -> tuple[int, str, list[Manifest]]:
        """The most that a metric asks for, and which it is. Raises _Unable."""
        self._check_selector(target)
        around = Surroundings(
            self._autoscaler["metadata"]["namespace"],
            target.pods,
            target.measured,
            target.current,
            limits.tolerance(self._spec.get("behavior")),
            self._now,
        )
        asked, failures, statuses = [], [], []
        for metric in self._spec["metrics"]:
            try:
                asked.append(ask(metric, around))
                statuses.append(asked[-1].status)
            except Failed as failure:
                self._warn(failure.reason, failure.cause)
                failures.append(failure)
                statuses.append({"type": ""})
        most = _most(asked)
        if failures and (most is None or most.replicas < target.current):
            why = f"the HPA was unable to compute the replica count: {failures[0].cause}"
            self._set("ScalingActive", False, failures[0].reason, why)
            count = f"{len(failures)} invalid out of {len(self._spec['metrics'])}"
            raise _Unable(f"invalid metrics ({count}), first error is: {failures[0]}")
        assert most is not None
        found = f"the HPA was able to successfully calculate a replica count from {most.name}"
        self._set("ScalingActive", True, "ValidMetricFound", found)
        return most.replicas, most.name, statuses

    def _check_selector(self, target: Target) -> None:
        """Raises _Unable."""
        if not target.selector:
            self._warn("SelectorRequired", "selector is required")
            missing = "the HPA target's scale is missing a selector"
            self._set("ScalingActive", False, "InvalidSelector", missing)
            raise _Unable("selector is required")
        if target.selector_error:
            wrong = f"couldn't convert selector into a corresponding internal selector object: {target.selector_error}"
            self._refuse("InvalidSelector", wrong)
        if len(target.rivals) > 1:
            rivals = " ".join(target.rivals)
            self._refuse(
                "AmbiguousSelector", f"pods by selector {target.selector} are controlled by multiple HPAs: [{rivals}]"
            )

    def _refuse(self, reason: str, message: str) -> None:
        """Raises _Unable."""
        self._warn(reason, message)
        self._set("ScalingActive", False, reason, message)
        raise _Unable(message)

    # -- what follows

    def _scaled(self, target: Target, replicas: int, reason: str, statuses: list[Manifest] | None) -> Decision:
        size, before = f"New size: {replicas}; reason: {reason}", self._conditions
        self._set("AbleToScale", False, "FailedUpdateScale", f"{_UNABLE} update the target scale: {{error}}")
        kept = self._status.get("desiredReplicas", 0)
        failed = self._told(target.current, kept, self._status.get("currentMetrics"))
        self._conditions = before
        done = f"the HPA controller was able to update the target scale to {replicas}"
        self._set("AbleToScale", True, "SucceededRescale", done)
        told = {**self._told(target.current, replicas, statuses), "lastScaleTime": format_time(self._now)}
        write = Update(
            target.resource,
            {**target.scale, "spec": {"replicas": replicas}},
            "scale",
            on_success=Report("Normal", "SuccessfulRescale", size),
            on_failure=Report("Warning", "FailedRescale", f"{size}; error: {{error}}"),
        )
        decided = self._decided(size, told, (write,), failed)
        return replace(decided, change=replicas - target.current)

    def _told(self, current: int, desired: int, metrics: list[Manifest] | None) -> Manifest:
        """A status."""
        status = {
            "currentReplicas": current,
            "desiredReplicas": desired,
            "currentMetrics": metrics,
            "conditions": self._conditions,
        }
        last = self._status.get("lastScaleTime")
        return {**status, "lastScaleTime": last} if last else status

    def _decided(
        self, why: str, status: Manifest, actions: Sequence[Action] = (), failed: Manifest | None = None
    ) -> Decision:
        plan = Plan(
            why,
            (*self._events, *actions),
            self._write(status),
            subject=self._autoscaler,
            again_after_s=EVERY_S,
            failed_status=None if failed is None else self._write(failed),
        )
        return Decision(plan, self._history)

    def _write(self, status: Manifest) -> Update | None:
        if status == self._autoscaler.get("status"):
            return None
        return Update(HORIZONTAL_POD_AUTOSCALERS, {**self._autoscaler, "status": status}, "status", insists=True)

    def _warn(self, reason: str, message: str) -> None:
        self._events.append(Emit(Report("Warning", reason, message)))

    def _set(self, kind: str, holds: bool, reason: str, message: str) -> None:
        """A condition; its place and, as long as it holds as it did, its time stay."""
        status = "True" if holds else "False"
        old = next((one for one in self._conditions if one["type"] == kind), None)
        since = old["lastTransitionTime"] if old and old["status"] == status else format_time(self._now)
        new = {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
        if old is None:
            self._conditions = [*self._conditions, new]
        else:
            self._conditions = [new if one is old else one for one in self._conditions]


def _most(asked: Sequence[Asked]) -> Asked | None:
    """The first of those that ask for most; zero counts for least."""
    most: Asked | None = None
    for one in asked:
        if most is None or not most.replicas or one.replicas > most.replicas:
            most = one
    return most
