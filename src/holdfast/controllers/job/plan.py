"""One sync of a Job, from start to end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import is_ready
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Each, Emit, Plan, Report, Update, Waves
from holdfast.controllers.owners import claim, controller_uid
from holdfast.controllers.pod_writes import delete_pod
from holdfast.controllers.replicaset.pods import is_active

from . import indexes
from .backoff import Ended
from .conditions import COMPLETE, SUSPENDED, Verdict, with_condition
from .pods import TRACKING, by_age, is_tracked, released
from .tally import Tally
from .verdict import completed, deadline_in_s, verdict
from .views import Job
from .work import Work, dismiss, work

SOONEST_S = 0.001
"""A timer that fires a moment early must not find the same moment again and again."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    job: Job
    pods: Sequence[Manifest]
    """Those it controls, and those of its namespace that nobody controls."""
    ended: Sequence[Ended]
    """How its pods ended, also those that are gone: back-off goes by it."""
    is_namespace_terminating: bool
    now: datetime


def plan(observed: Observed) -> Plan:
    """The next step towards the spec, and the status as of now (W50-W57)."""
    job = observed.job
    if job.is_managed_elsewhere:
        return Plan("somebody else manages it", subject=job.manifest)
    if job.is_finished:
        return _let_go(observed)
    claimed = claim(
        JOBS,
        job.manifest,
        lambda pod: job.selector.matches(pod["metadata"].get("labels")),
        PODS,
        observed.pods,
        finalizers=(TRACKING,),
    )
    pods = sorted((pod if controller_uid(pod) else _as_adopted(pod) for pod in claimed.kept), key=by_age)
    return Sync(observed, pods).planned(claimed.before)


class Sync:
    """One plan in the making."""

    def __init__(self, observed: Observed, pods: Sequence[Manifest]) -> None:
        self._observed = observed
        self._job = observed.job
        self._now = observed.now
        self._tally = Tally(observed.job, pods)
        self._verdict = verdict(observed.job, self._tally, pods, observed.now)

    def planned(self, before: Sequence[Action]) -> Plan:
        done = self._work()
        active = len(self._tally.active) - len([pod for pod in done.deleted if is_tracked(pod)]) + done.created
        if self._verdict is None:
            self._verdict = completed(self._job, self._tally.succeeded, active)
        status = self._status(done, self._verdict)
        final = self._final(done, status)
        return Plan(
            done.reason,
            before=before,
            actions=final or done.actions,
            status=None if final else self._write(status),
            failed_status=None if final else self._write(self._status(Work(""), None), always=True),
            cleanup=self._releases(),
            subject=self._job.manifest,
            again_after_s=self._again_after_s(done),
        )

    def _work(self) -> Work:
        """Of a Job that is over every pod is sent away.

        They fail with a Job that failed. If it has succeeded they count as nothing.
        """
        tally = self._tally
        if self._job.is_being_deleted:
            return Work("being deleted")
        if self._verdict is not None:
            gone = [*tally.condemned, *tally.active]
            if self._verdict.is_success:
                return Work("succeeded", dismiss(gone), deleted=gone)
            return Work("failed", (Waves([(delete_pod(pod),) for pod in gone]),) if gone else (), deleted=gone)
        done = work(self._job, tally, self._observed.ended, self._now)
        if done.created and self._observed.is_namespace_terminating:
            return Work("nothing is created in a namespace that is being deleted")
        return done

    def _releases(self) -> Sequence[Action]:
        pods = self._tally.releasable(self._verdict)
        return (Each([released(pod) for pod in pods]),) if pods else ()

    # Status

    def _status(self, done: Work, verdict: Verdict | None) -> Manifest:
        job, tally = self._job, self._tally
        gone = {pod["metadata"]["uid"] for pod in done.deleted}
        ready = sum(is_ready(pod) for pod in tally.active if pod["metadata"]["uid"] not in gone)
        active = len(tally.active) - sum(is_tracked(pod) for pod in done.deleted) + done.created
        status: dict[str, Any] = {
            "conditions": self._conditions(verdict),
            "startTime": self._start_time(),
            "active": active,
            "succeeded": len(tally.succeeded_indexes) if job.is_indexed else job.succeeded + tally.counted("succeeded"),
            "failed": job.failed + tally.counted("failed"),
            "completedIndexes": indexes.show(tally.succeeded_indexes),
        }
        status = {name: value for name, value in status.items() if value}
        if job.backoff_limit_per_index is not None:
            status["failedIndexes"] = indexes.show(tally.failed_indexes)
        return status | {
            "ready": ready,
            "terminating": len(tally.terminating) + len(gone),
            "uncountedTerminatedPods": tally.noted(verdict),
        }

    def _conditions(self, verdict: Verdict | None) -> list[Any]:
        conditions, job = self._job.conditions, self._job
        if verdict is not None:
            return with_condition(conditions, verdict.announcement, verdict.reason, verdict.message, self._now)
        if job.is_being_deleted:
            return conditions
        if job.is_suspended:
            return with_condition(conditions, SUSPENDED, "JobSuspended", "Job suspended", self._now)
        return with_condition(conditions, SUSPENDED, "JobResumed", "Job resumed", self._now, "False")

    def _start_time(self) -> str:
        """Of a Job that is suspended there is none; it starts anew when it is resumed (W56)."""
        if self._verdict is None and self._job.is_suspended:
            return ""
        return str(self._job.status.get("startTime") or format_time(self._now))

    def _final(self, done: Work, status: Manifest) -> Sequence[Action]:
        """The last write of all, with its events: everything has ended and is counted."""
        verdict, tally = self._verdict, self._tally
        if verdict is None or done.actions or tally.tracked or tally.condemned or tally.terminating:
            return ()
        if status["uncountedTerminatedPods"]:
            return ()
        conditions = with_condition(status["conditions"], verdict.end, verdict.reason, verdict.message, self._now)
        status = {**status, "conditions": conditions}
        if not verdict.is_success:
            return (self._update(status, Report("Warning", verdict.reason, verdict.message)),)
        at = next(each["lastTransitionTime"] for each in conditions if each["type"] == COMPLETE)
        write = self._update({**status, "completionTime": at}, Report("Normal", "Completed", "Job completed"))
        completions = self._job.completions
        if completions is None or status.get("succeeded", 0) <= completions:
            return (write,)
        message = "Too many succeeded pods running after completion count reached"
        return (write, Emit(Report("Warning", "TooManySucceededPods", message)))

    def _write(self, status: Manifest, *, always: bool = False) -> Update | None:
        """The write; None if nothing changed."""
        if status == self._job.status and not always:
            return None
        was, now = (_suspended(each) for each in (self._job.conditions, status.get("conditions") or ()))
        report = None
        if now == "True" != was:
            report = Report("Normal", "Suspended", "Job suspended")
        elif now == "False" != was:
            report = Report("Normal", "Resumed", "Job resumed")
        return self._update(status, report)

    def _update(self, status: Manifest, report: Report | None) -> Update:
        manifest = {**self._job.manifest, "status": status}
        return Update(JOBS, manifest, subresource="status", on_success=report)

    def _again_after_s(self, done: Work) -> float | None:
        waits = [done.again_after_s, None if self._verdict else deadline_in_s(self._job, self._now)]
        if self._job.started_at is None and not self._job.is_suspended:
            waits.append(self._job.deadline_s)
        return min((max(wait, SOONEST_S) for wait in waits if wait is not None), default=None)


def _suspended(conditions: Sequence[Manifest]) -> str:
    return next((str(each["status"]) for each in conditions if each["type"] == SUSPENDED), "")


def _as_adopted(pod: Manifest) -> Manifest:
    """As it will be once the adoption is written."""
    metadata = pod["metadata"]
    finalizers = [*(metadata.get("finalizers") or ()), *(() if is_tracked(pod) else (TRACKING,))]
    return {**pod, "metadata": {**metadata, "finalizers": finalizers}}


def _let_go(observed: Observed) -> Plan:
    """Of a Job that has finished nothing is counted any more: what came late must not stay behind."""
    own = [pod for pod in observed.pods if controller_uid(pod) == observed.job.uid]
    late = dismiss(pod for pod in sorted(own, key=by_age) if is_active(pod))
    releases = [released(pod) for pod in sorted(own, key=by_age) if is_tracked(pod) and not is_active(pod)]
    actions = (*late, *((Each(releases),) if releases else ()))
    return Plan("finished", actions=actions, subject=observed.job.manifest)
