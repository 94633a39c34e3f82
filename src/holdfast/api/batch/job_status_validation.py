"""What a Job's status may become, given what it was: a job that has ended stays ended, counts of pods do not shrink.

Most rules hold a write back only if it touches what they are about, so that whoever finds a status already wrong
can still write the rest of it. Source: Kubernetes, pkg/apis/batch/validation/validation.go and
pkg/registry/batch/job/strategy.go (getStatusValidationOptions).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.api.conditions import is_true
from holdfast.api.errors import FieldError, duplicate, invalid, invalid_whole, required
from holdfast.api.field_rules import not_negative
from holdfast.api.resource import Manifest

from .job_indexes import check_indexes, overlap

_NUMBERS = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS = "status.conditions"
_TERMINAL = ("Failed", "Complete", "FailureTarget")


@dataclass(frozen=True, slots=True)
class Change:
    """A Job before and after a write of its status."""

    new: Manifest
    old: Manifest

    @property
    def spec(self) -> Manifest:
        return dict(self.new["spec"])

    def now(self, member: str) -> Any:
        return self.new.get("status", {}).get(member)

    def before(self, member: str) -> Any:
        return self.old.get("status", {}).get(member)

    def touches(self, *members: str) -> bool:
        return any((self.now(member) or None) != (self.before(member) or None) for member in members)

    def turns(self, *conditions: str) -> bool:
        """Whether one of them is true after the write and was not before, or the other way round."""
        return any(is_true(self.new, condition) != is_true(self.old, condition) for condition in conditions)

    @property
    def is_finished(self) -> bool:
        return is_true(self.new, "Complete") or is_true(self.new, "Failed")

    @property
    def ends(self) -> bool:
        was_finished = is_true(self.old, "Complete") or is_true(self.old, "Failed")
        return self.is_finished != was_finished


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    change = Change(new, old)
    return [
        *_numbers(change),
        *_uncounted(change.now("uncountedTerminatedPods") or {}),
        *_completion(change),
        *_end(change),
        *_indexes(change),
        *_pods(change),
        *_success(change),
        *_history(change),
    ]


def _numbers(change: Change) -> Iterator[FieldError]:
    for name in _NUMBERS:
        yield from not_negative(f"status.{name}", change.now(name))


def _uncounted(pods: Manifest) -> Iterator[FieldError]:
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for index, uid in enumerate(pods.get(kind) or ()):
            at = f"status.uncountedTerminatedPods.{kind}[{index}]"
            if not uid:
                yield invalid(at, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(at, uid)
            seen.add(uid)


def _completion(change: Change) -> Iterator[FieldError]:
    """Complete, with the time of it, and not failed at once."""
    is_complete = is_true(change.new, "Complete")
    if is_complete and is_true(change.new, "Failed") and change.turns("Complete", "Failed"):
        yield invalid_whole(_CONDITIONS, "cannot set Complete=True and Failed=true conditions")
    if is_complete and is_true(change.new, "FailureTarget") and change.turns("Complete", "FailureTarget"):
        yield invalid_whole(_CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions")
    at, start = change.now("completionTime"), change.now("startTime")
    if change.turns("Complete") or change.touches("completionTime"):
        if at and not is_complete:
            refusal = "cannot set completionTime when there is no Complete=True condition"
            yield invalid("status.completionTime", at, refusal)
        if is_complete and not at:
            yield required("status.completionTime", "completionTime is required for Complete jobs")
    if at and start and at < start and change.touches("startTime", "completionTime"):
        yield invalid("status.completionTime", at, "completionTime cannot be set before startTime")


def _end(change: Change) -> Iterator[FieldError]:
    """Each end is announced by the condition that leads to it; nothing runs after it, and something ran before it."""
    failed, complete = is_true(change.new, "Failed"), is_true(change.new, "Complete")
    if failed and not is_true(change.new, "FailureTarget") and change.turns("Failed", "FailureTarget"):
        yield invalid_whole(_CONDITIONS, "cannot set Failed=True condition without the FailureTarget=true condition")
    if complete and not is_true(change.new, "SuccessCriteriaMet") and change.turns("Complete", "SuccessCriteriaMet"):
        refusal = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        yield invalid_whole(_CONDITIONS, refusal)
    if not change.is_finished:
        return
    active, uncounted = change.now("active") or 0, change.now("uncountedTerminatedPods") or {}
    if active > 0 and (change.ends or change.touches("active")):
        yield invalid("status.active", active, "active>0 is invalid for finished job")
    if not change.now("startTime") and (change.ends or change.touches("startTime")):
        yield required("status.startTime", "startTime is required for finished job")
    if any(uncounted.values()) and (change.ends or change.touches("uncountedTerminatedPods")):
        shown = {"Succeeded": uncounted.get("succeeded"), "Failed": uncounted.get("failed")}
        refusal = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", shown, refusal)


def _indexes(change: Change) -> Iterator[FieldError]:
    """Which of an indexed job's pods are done and which have failed: below its size, in order, never both."""
    spec, count = change.spec, change.spec.get("completions")
    done, failed = change.now("completedIndexes") or "", change.now("failedIndexes")
    is_new, is_failing = change.touches("completedIndexes"), change.before("failedIndexes") != failed
    if is_new and count is not None:
        yield from _well_formed("completedIndexes", done, count)
    if is_failing and count is not None and "backoffLimitPerIndex" in spec and failed is not None:
        yield from _well_formed("failedIndexes", failed, count)
    if is_new and done and spec.get("completionMode") != "Indexed":
        refusal = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid("status.completedIndexes", done, refusal)
    if is_failing and failed is not None and "backoffLimitPerIndex" not in spec:
        refusal = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield invalid("status.failedIndexes", failed, refusal)
    if (is_new or is_failing) and count is not None and failed is not None:
        at = overlap(done, failed, count)
        if at is not None:
            refusal = f"failedIndexes and completedIndexes overlap at index: {at}"
            yield invalid("status.failedIndexes", failed, refusal)


def _well_formed(member: str, text: str, count: int) -> Iterator[FieldError]:
    try:
        check_indexes(text, count)
    except ValueError as error:
        yield invalid(f"status.{member}", text, f"error parsing {member}: {error}")


def _pods(change: Change) -> Iterator[FieldError]:
    leaving, ready = change.now("terminating") or 0, change.now("ready")
    if leaving > 0 and change.is_finished and (change.ends or change.touches("terminating")):
        yield invalid("status.terminating", leaving, "terminating>0 is invalid for finished job")
    if ready is not None and ready > (change.now("active") or 0) and change.touches("ready", "active"):
        yield invalid("status.ready", ready, "cannot set more ready pods than active")


def _success(change: Change) -> Iterator[FieldError]:
    is_met = is_true(change.new, "SuccessCriteriaMet")
    if is_met and is_true(change.new, "Failed"):
        yield invalid_whole(_CONDITIONS, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if is_met and is_true(change.new, "FailureTarget"):
        yield invalid_whole(_CONDITIONS, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    if "successPolicy" in change.spec and not is_met and is_true(change.new, "Complete"):
        refusal = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        yield invalid_whole(_CONDITIONS, refusal)


def _history(change: Change) -> Iterator[FieldError]:
    for condition in _TERMINAL:
        if is_true(change.old, condition) and not is_true(change.new, condition):
            yield invalid_whole(_CONDITIONS, f"cannot disable the terminal {condition}=True condition")
    failed, succeeded = change.now("failed") or 0, change.now("succeeded") or 0
    if failed < (change.before("failed") or 0):
        yield invalid("status.failed", failed, "cannot decrease the failed counter")
    if succeeded < (change.before("succeeded") or 0) and not _may_shrink(change.spec):
        yield invalid("status.succeeded", succeeded, "cannot decrease the succeeded counter")
    at, start = change.now("completionTime"), change.before("startTime")
    if at and change.before("completionTime") and change.touches("completionTime"):
        yield invalid("status.completionTime", at, "completionTime cannot be mutated")
    if start and change.touches("startTime") and not change.spec.get("suspend"):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")
    yield from _success_history(change)


def _success_history(change: Change) -> Iterator[FieldError]:
    if not change.turns("SuccessCriteriaMet"):
        return
    if is_true(change.old, "SuccessCriteriaMet"):
        yield invalid_whole(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition")
    elif is_true(change.old, "Complete"):
        refusal = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield invalid_whole(_CONDITIONS, refusal)


def _may_shrink(spec: Manifest) -> bool:
    """An indexed job whose pods all run at once can be scaled down, and its count with it."""
    return spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
