"""Pods that wait to be counted by a Job that is gone: they are freed, or nobody could ever delete them (W52)."""

from __future__ import annotations

from typing import Any

from holdfast.api.batch.job import JOBS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import BY_CONTROLLER, of_controller

from .pods import is_tracked, released


class OrphanedPods:
    """Keys are pods."""

    name = "job-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._jobs = informers.of(JOBS)
        self._pods = informers.of(PODS)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._pods.subscribe(self._on_pod)
        self._jobs.subscribe(self._on_job)

    def observe(self, key: str) -> Manifest | None:
        pod = self._pods.get(key)
        return pod if pod is not None and self._is_orphan(pod) else None

    async def verify(self, pod: Any, client: Client) -> Any | None:
        """The view of Jobs may be behind that of pods: the server has the last word."""
        reference = controller_of(pod)
        if reference is None:
            return pod
        try:
            job = await client.get(JOBS, reference["name"], pod["metadata"]["namespace"])
        except NotFound:
            return pod
        return pod if job["metadata"]["uid"] != reference["uid"] else None

    def plan(self, pod: Manifest) -> Plan:
        return Plan("its job is gone", (released(pod),), subject=pod)

    def _is_orphan(self, pod: Manifest) -> bool:
        if not is_tracked(pod):
            return False
        reference = controller_of(pod)
        if reference is None:
            return True
        if (reference["apiVersion"], reference["kind"]) != (JOBS.api_version, JOBS.kind):
            return False
        job = self._jobs.get(f"{pod['metadata']['namespace']}/{reference['name']}")
        return job is None or bool(job["metadata"]["uid"] != reference["uid"])

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and self._is_orphan(new):
            self._queue.add(key_of(new))

    def _on_job(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None:
            for pod in self._pods.by_index(BY_CONTROLLER, old["metadata"]["uid"]):
                if is_tracked(pod):
                    self._queue.add(key_of(pod))
