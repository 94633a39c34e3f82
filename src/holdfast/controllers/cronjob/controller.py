"""What the CronJob controller looks at, and what wakes a CronJob."""

from __future__ import annotations

from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import BY_CONTROLLER, controller_uid, of_controller
from holdfast.world import World

from .plan import Observed, plan
from .views import CronJob

CONCURRENCY = 5


class CronJobController:
    """Keys are CronJobs. Between two times of its schedule a timer waits and nothing else."""

    name = "cronjob-controller"
    concurrency = CONCURRENCY

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._cron_jobs = informers.of(CRON_JOBS)
        self._jobs = informers.of(JOBS)
        self._namespaces = informers.of(NAMESPACES)
        self._jobs.add_index(BY_CONTROLLER, of_controller)
        self._cron_jobs.subscribe(self._on_cron_job)
        self._jobs.subscribe(self._on_job)

    def observe(self, key: str) -> Observed | None:
        manifest = self._cron_jobs.get(key)
        if manifest is None:
            return None
        cron_job = CronJob(manifest)
        namespace = self._namespaces.get(cron_job.namespace)
        others = [one for one in self._jobs.list(cron_job.namespace) if controller_uid(one) != cron_job.uid]
        return Observed(
            cron_job,
            self._jobs.by_index(BY_CONTROLLER, cron_job.uid),
            [one["metadata"]["name"] for one in others],
            namespace is not None and "deletionTimestamp" in namespace["metadata"],
            self._world.clock.now(),
            self._world.zone,
        )

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_cron_job(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_job(self, old: Manifest | None, new: Manifest | None) -> None:
        for job in (old, new):
            reference = controller_of(job) if job is not None else None
            if job is None or reference is None or reference["kind"] != CRON_JOBS.kind:
                continue
            key = f"{job['metadata']['namespace']}/{reference['name']}"
            one = self._cron_jobs.get(key)
            if one is not None and one["metadata"]["uid"] == reference["uid"]:
                self._queue.add(key)
