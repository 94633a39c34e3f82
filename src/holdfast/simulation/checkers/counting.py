"""The guarantees of Jobs and CronJobs: each pod that ends is counted once, each time has one Job."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.resource import Manifest
from holdfast.controllers.cronjob.plan import SCHEDULED_AT
from holdfast.controllers.job import indexes
from holdfast.controllers.job.pods import is_tracked
from holdfast.controllers.job.views import Job
from holdfast.simulation.observation import Facts, Observation

OUTCOMES = ("succeeded", "failed")


class PodsAreCountedOnce:
    """Judged write by write: what a Job notes has ended so, what it counts it had noted, what it lets go it knows."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._endings: dict[str, set[str]] = {}
        """By uid how a pod may be said to have ended."""
        self._noted: set[str] = set()

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind == "Job":
            return self._job(seen)
        return self._pod(seen) if seen.kind == "Pod" else ""

    def _job(self, seen: Observation) -> str:
        if seen.new is None:
            self._jobs.pop(Job(seen.manifest).uid, None)
            return ""
        job = Job(seen.new)
        before = self._jobs.get(job.uid, Job({**seen.new, "status": {}}))
        self._jobs[job.uid] = job
        return next(self._problems(seen.key, before, job), "")

    def _problems(self, key: str, before: Job, job: Job) -> Iterator[str]:
        for outcome in OUTCOMES:
            known, noted = set(before.uncounted(outcome)), set(job.uncounted(outcome))
            for uid in sorted(noted - known):
                if uid in self._noted:
                    yield f"{key} counts pod {uid} twice"
                if outcome not in self._endings.get(uid, ()):
                    yield f"{key} says that pod {uid} {outcome}, and it did not"
            self._noted |= noted
            if outcome == "succeeded" and job.is_indexed:
                if job.succeeded != len(job.completed_indexes):
                    yield f"{key} counts {job.succeeded} of the indexes {job.status.get('completedIndexes')}"
                continue
            counted = getattr(job, outcome) - getattr(before, outcome)
            if counted != len(known - noted):
                yield f"{key} adds {counted} to {outcome} for {len(known - noted)} pods"

    def _pod(self, seen: Observation) -> str:
        owner = _job_uid(seen.manifest)
        job = self._jobs.get(owner)
        if job is None:
            return ""
        uid = seen.manifest["metadata"]["uid"]
        if seen.new is not None and is_tracked(seen.new):
            self._endings.setdefault(uid, set()).update(_endings(job, seen.new))
        is_released = seen.old is not None and is_tracked(seen.old) and not (seen.new and is_tracked(seen.new))
        if not is_released or job.is_being_deleted or job.is_finished or uid in self._noted:
            return ""
        endings = self._endings.get(uid, set())
        if not endings or self._is_complete(job, seen.manifest):
            return ""
        return f"{job.name} lets go of pod {seen.key}, which {' or '.join(sorted(endings))}, uncounted"

    def _is_complete(self, job: Job, pod: Manifest) -> bool:
        text = pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index", "")
        return job.is_indexed and bool(indexes.parse(text, job.indexes) <= job.completed_indexes)


class OneJobPerTime:
    """A CronJob makes no second Job for a time, not even when the first is gone."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Job" or seen.old is not None or not (at := _scheduled(seen.manifest)):
            return ""
        first = self._made.setdefault(f"{seen.key} {at}", seen.manifest["metadata"]["uid"])
        return f"{seen.key} was made again for {at}" if first != seen.manifest["metadata"]["uid"] else ""


def _scheduled(job: Manifest) -> str:
    return str((job["metadata"].get("annotations") or {}).get(SCHEDULED_AT) or "")


def _endings(job: Job, pod: Manifest) -> Iterator[str]:
    phase = pod.get("status", {}).get("phase")
    if phase == "Succeeded":
        yield "succeeded"
    elif phase == "Failed" or ("deletionTimestamp" in pod["metadata"] and not job.replaces_only_failed):
        yield "failed"


def _job_uid(pod: Manifest) -> str:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference["kind"] == "Job" and reference.get("controller"):
            return str(reference["uid"])
    return ""
