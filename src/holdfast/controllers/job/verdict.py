"""Whether a Job is over (W53, W54)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from holdfast.api.resource import Manifest

from .conditions import Verdict, announced
from .failures import why_job_fails
from .pods import restarts
from .success import met_rule
from .tally import Tally
from .views import Job


def verdict(job: Job, tally: Tally, pods: Sequence[Manifest], now: datetime) -> Verdict | None:
    """The one that was announced, else the first reason there is to end now; not yet that all has been completed."""
    return (
        announced(job.conditions)
        or _by_policy(job, pods)
        or _by_indexes(job, tally)
        or _by_limits(job, tally, pods, now)
    )


def completed(job: Job, succeeded: int, active: int) -> Verdict | None:
    """So many succeeded as were asked for, and none is at work any more. Without a number one is enough."""
    asked = 1 if job.completions is None else job.completions
    if succeeded < asked or active:
        return None
    return Verdict(True, "CompletionsReached", "Reached expected number of succeeded pods")


def deadline_in_s(job: Job, now: datetime) -> float | None:
    """Seconds until the Job has been active for too long; None if it may be for ever, or is not."""
    if job.deadline_s is None or job.started_at is None or job.is_suspended:
        return None
    return job.deadline_s - (now - job.started_at).total_seconds()


def _by_policy(job: Job, pods: Sequence[Manifest]) -> Verdict | None:
    why = why_job_fails(job, pods)
    return Verdict(False, "PodFailurePolicy", why) if why else None


def _by_indexes(job: Job, tally: Tally) -> Verdict | None:
    if not job.is_indexed:
        return None
    failed, succeeded = len(tally.failed_indexes), len(tally.succeeded_indexes)
    if job.most_failed_indexes is not None and failed > job.most_failed_indexes:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return Verdict(False, "MaxFailedIndexesExceeded", message)
    if failed and failed + succeeded >= job.indexes:
        return Verdict(False, "FailedIndexes", "Job has failed indexes")
    rule = met_rule(job.success_policy, tally.succeeded_indexes, job.indexes)
    return Verdict(True, "SuccessPolicy", rule) if rule else None


def _by_limits(job: Job, tally: Tally, pods: Sequence[Manifest], now: datetime) -> Verdict | None:
    if tally.failed > job.backoff_limit or _restarted_too_often(job, pods):
        return Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left_s = deadline_in_s(job, now)
    if left_s is not None and left_s <= 0:
        return Verdict(False, "DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _restarted_too_often(job: Job, pods: Sequence[Manifest]) -> bool:
    """Containers that are restarted in their pods count as well."""
    return job.restarts_containers and restarts(pods) >= max(job.backoff_limit, 1)
