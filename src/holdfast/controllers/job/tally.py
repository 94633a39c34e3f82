"""What has been counted, what is still to count, and what that changes in status (W52). See the package's docstring."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from holdfast.api.resource import Manifest
from holdfast.controllers.replicaset.pods import is_active, is_terminating

from .conditions import Verdict
from .failures import failures_before, index_has_failed, meaning
from .pods import finished_at, has_failed, has_succeeded, index_of, is_tracked, uid
from .views import Job

OUTCOMES = ("succeeded", "failed")
MOST_UNCOUNTED = 500
"""So many uids are in status at once."""


class Tally:
    """The pods of one Job, sorted by how far their counting is."""

    def __init__(self, job: Job, pods: Sequence[Manifest]) -> None:
        self._job = job
        self.active = [pod for pod in pods if is_active(pod) and is_tracked(pod)]
        self.condemned = [pod for pod in pods if is_active(pod) and not is_tracked(pod)]
        """The job has let go of them already and was about to delete them: nobody would count how they end."""
        self.terminating = [pod for pod in pods if is_terminating(pod)]
        self.tracked = [pod for pod in pods if is_tracked(pod)]
        self._noted = {outcome: job.uncounted(outcome) for outcome in OUTCOMES}
        noted = {uid for uids in self._noted.values() for uid in uids}
        self._known = [pod for pod in self.tracked if uid(pod) in noted]
        self._new = [pod for pod in self.tracked if uid(pod) not in noted]

    # What is so

    @cached_property
    def succeeded_indexes(self) -> frozenset[int]:
        found = (index_of(self._job, pod) for pod in self.tracked if has_succeeded(pod))
        return self._job.completed_indexes | {index for index in found if index is not None}

    @cached_property
    def failed_indexes(self) -> frozenset[int]:
        """Those given up; empty without a limit for each index."""
        if self._job.backoff_limit_per_index is None:
            return frozenset()
        failed = [pod for pod in self.tracked if has_failed(self._job, pod) and index_has_failed(self._job, pod)]
        found = (index_of(self._job, pod) for pod in failed)
        return self._job.failed_indexes | {index for index in found if index is not None}

    @property
    def succeeded(self) -> int:
        if self._job.is_indexed:
            return len(self.succeeded_indexes)
        return self._job.succeeded + len(self._noted["succeeded"]) + sum(map(has_succeeded, self._new))

    @property
    def failed(self) -> int:
        new = sum(self._counts_as_failed(pod) for pod in self._new if has_failed(self._job, pod))
        return self._job.failed + len(self._noted["failed"]) + new

    @cached_property
    def waiting_for_replacement(self) -> dict[int, Manifest]:
        """By index the pod that failed there last, while no other has taken over the count of its failures.

        It keeps its finalizer so long: without it the count would begin again.
        """
        if self._job.backoff_limit_per_index is None:
            return {}
        over = {*self.succeeded_indexes, *self.failed_indexes, *(index_of(self._job, pod) for pod in self.active)}
        waiting: dict[int, Manifest] = {}
        for pod in self._new:
            index = index_of(self._job, pod)
            if index is None or index in over or not has_failed(self._job, pod):
                continue
            if index not in waiting or _order(pod) >= _order(waiting[index]):
                waiting[index] = pod
        return waiting

    # What follows

    def releasable(self, verdict: Verdict | None) -> list[Manifest]:
        """Pods about which the stored status has noted all there is to note."""
        return [*self._known, *(pod for pod in self._new if self._is_done(pod, verdict))]

    def noted(self, verdict: Verdict | None) -> dict[str, list[str]]:
        """`status.uncountedTerminatedPods` as it has to be: without those that were released, with the new ones."""
        tracked = {uid(pod) for pod in self._known}
        kept = {outcome: [each for each in self._noted[outcome] if each in tracked] for outcome in OUTCOMES}
        room = max(0, MOST_UNCOUNTED - sum(map(len, kept.values())))
        for pod in [pod for pod in self._new if self._is_to_note(pod, verdict)][:room]:
            kept["succeeded" if has_succeeded(pod) else "failed"].append(uid(pod))
        return {outcome: uids for outcome, uids in kept.items() if uids}

    def counted(self, outcome: str) -> int:
        """How many of those noted have been released: they go to the counters."""
        tracked = {uid(pod) for pod in self._known}
        return sum(each not in tracked for each in self._noted[outcome])

    def _is_to_note(self, pod: Manifest, verdict: Verdict | None) -> bool:
        if has_succeeded(pod):
            return not self._job.is_indexed
        return self._is_failure(pod, verdict) and self._counts_as_failed(pod) and not self._waits(pod, verdict)

    def _is_done(self, pod: Manifest, verdict: Verdict | None) -> bool:
        """Whether it can be let go although its uid was not noted."""
        if has_succeeded(pod):
            index = index_of(self._job, pod)
            return self._job.is_indexed and (index is None or index in self._job.completed_indexes)
        if self._is_failure(pod, verdict):
            return not self._counts_as_failed(pod) and not self._waits(pod, verdict)
        return self._job.is_being_deleted or _is_success(verdict)

    def _is_failure(self, pod: Manifest, verdict: Verdict | None) -> bool:
        """A pod that is sent away because the job has succeeded did not fail."""
        return has_failed(self._job, pod) and not (_is_success(verdict) and is_terminating(pod))

    def _counts_as_failed(self, pod: Manifest) -> bool:
        has_place = not self._job.is_indexed or index_of(self._job, pod) is not None
        return has_place and meaning(self._job, pod).counts

    def _waits(self, pod: Manifest, verdict: Verdict | None) -> bool:
        if verdict is not None or self._job.is_being_deleted:
            return False  # no replacement will come
        index = index_of(self._job, pod)
        return index is not None and self.waiting_for_replacement.get(index) is pod


def _is_success(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.is_success


def _order(pod: Manifest) -> tuple[int, datetime]:
    return failures_before(pod), finished_at(pod)
