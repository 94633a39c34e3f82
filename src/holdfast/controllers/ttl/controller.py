"""What the controller that deletes finished Jobs looks at."""

from __future__ import annotations

from holdfast.api.batch.job import JOBS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import Observed, expires_at, plan


class TtlAfterFinished:
    """Keys are Jobs that have finished and may not stay."""

    name = "ttl-after-finished-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._jobs = informers.of(JOBS)
        self._jobs.subscribe(self._on_job)

    def observe(self, key: str) -> Observed | None:
        job = self._jobs.get(key)
        return None if job is None else Observed(job, self._clock.now())

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_job(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and expires_at(new) is not None:
            self._queue.add(key_of(new))
