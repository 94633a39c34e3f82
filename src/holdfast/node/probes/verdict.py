"""What a row of answers means: thresholds, delays, gates (N105-N112). Pure.

Source: Kubernetes, pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.api.resource import Manifest

from . import Kind, Result

INITIAL = {Kind.LIVENESS: True, Kind.READINESS: False, Kind.STARTUP: None}
"""Verdicts before the first attempt (N106)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A probe's numbers, defaults filled in (N105)."""

    initial_delay_s: int
    period_s: int
    timeout_s: int
    success_threshold: int
    failure_threshold: int


def timing(probe: Manifest) -> Timing:
    return Timing(
        initial_delay_s=int(probe.get("initialDelaySeconds") or 0),
        period_s=int(probe.get("periodSeconds") or 10),
        timeout_s=int(probe.get("timeoutSeconds") or 1),
        success_threshold=int(probe.get("successThreshold") or 1),
        failure_threshold=int(probe.get("failureThreshold") or 3),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of a run, and the row of identical answers behind it."""

    kind: Kind
    holds: bool | None
    """True, False, or None while nothing is known."""
    last: bool | None = None
    row: int = 0

    @property
    def is_final(self) -> bool:
        """Condemned by liveness or startup: no more attempts on this run (N111)."""
        return self.kind is not Kind.READINESS and self.holds is False

    def after(self, result: Result, timing: Timing) -> Verdict:
        """The verdict one answer later."""
        if result is Result.UNKNOWN:
            return self
        answer = result is not Result.FAILURE
        row = self.row + 1 if self.last is answer else 1
        threshold = timing.success_threshold if answer else timing.failure_threshold
        holds = answer if row >= threshold else self.holds  # N110
        return replace(self, holds=holds, last=answer, row=row)


def fresh(kind: Kind) -> Verdict:
    return Verdict(kind, INITIAL[kind])


def may_ask(kind: Kind, timing: Timing, *, age_s: float, is_started: bool, is_terminating: bool) -> bool:
    """Whether a tick makes an attempt (N107, N108, N118)."""
    if is_terminating and kind is not Kind.READINESS:
        return False
    if age_s < timing.initial_delay_s:
        return False
    return is_started is (kind is not Kind.STARTUP)
