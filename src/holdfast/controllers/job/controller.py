"""What the Job controller looks at, and what wakes a Job."""

from __future__ import annotations

from holdfast.api.batch.job import JOBS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import (
    BY_CONTROLLER,
    BY_NAMESPACE_IF_ORPHAN,
    controller_uid,
    of_controller,
    of_namespace_if_orphan,
)
from holdfast.world import Clock

from .backoff import Ended, remember
from .plan import Observed, plan
from .views import Job

CONCURRENCY = 5
MANY_PODS = 100
BATCH_S = 1.0
"""What happens to the pods of a Job with more than so many is looked at together, that much later at most."""


class JobController:
    """Keys are Jobs.

    It remembers how pods ended that are gone since, for the back-off alone: whoever starts anew waits less.
    """

    name = "job-controller"
    concurrency = CONCURRENCY

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: dict[str, dict[str, Ended]] = {}

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._jobs = informers.of(JOBS)
        self._pods = informers.of(PODS)
        self._namespaces = informers.of(NAMESPACES)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._pods.add_index(BY_NAMESPACE_IF_ORPHAN, of_namespace_if_orphan)
        self._jobs.subscribe(self._on_job)
        self._pods.subscribe(self._on_pod)

    def observe(self, key: str) -> Observed | None:
        manifest = self._jobs.get(key)
        if manifest is None:
            return None
        job = Job(manifest)
        owned = self._pods.by_index(BY_CONTROLLER, job.uid)
        namespace = self._namespaces.get(job.namespace)
        return Observed(
            job,
            [*owned, *self._pods.by_index(BY_NAMESPACE_IF_ORPHAN, job.namespace)],
            self._endings(job, owned),
            namespace is not None and "deletionTimestamp" in namespace["metadata"],
            self._clock.now(),
        )

    def _endings(self, job: Job, owned: list[Manifest]) -> list[Ended]:
        if job.is_finished:
            self._ended.pop(job.uid, None)
            return []
        ended = self._ended[job.uid] = remember(job, owned, self._ended.get(job.uid, {}))
        return list(ended.values())

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_job(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))
        elif old is not None:
            self._ended.pop(old["metadata"]["uid"], None)

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """Its Job; of a pod that nobody controls, every Job that might want it (W2)."""
        if old is not None and (new is None or controller_uid(old) != controller_uid(new)):
            self._wake_owner(old)
        if new is None:
            return
        if controller_uid(new):
            self._wake_owner(new)
        elif old is None or old["metadata"].get("labels") != new["metadata"].get("labels") or controller_uid(old):
            for one in self._jobs.list(new["metadata"]["namespace"]):
                if Job(one).selector.matches(new["metadata"].get("labels")):
                    self._queue.add(key_of(one))

    def _wake_owner(self, pod: Manifest) -> None:
        reference = controller_of(pod)
        if reference is None or reference["kind"] != JOBS.kind:
            return
        key = f"{pod['metadata']['namespace']}/{reference['name']}"
        one = self._jobs.get(key)
        if one is None or one["metadata"]["uid"] != reference["uid"]:
            return
        has_many = len(self._pods.by_index(BY_CONTROLLER, reference["uid"])) > MANY_PODS
        self._queue.add_after(key, BATCH_S if has_many else 0)
