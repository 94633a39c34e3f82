"""What the Deployment controller looks at, and what wakes a Deployment."""

from __future__ import annotations

from itertools import chain

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import (
    BY_CONTROLLER,
    BY_NAMESPACE_IF_ORPHAN,
    concerned,
    of_controller,
    of_namespace_if_orphan,
    owner_of,
)
from holdfast.controllers.replicaset.pods import has_ended
from holdfast.world import Clock

from .plan import Observed, plan
from .views import Deployment

CONCURRENCY = 5


class DeploymentController:
    """Keys are Deployments."""

    name = "deployment-controller"
    concurrency = CONCURRENCY

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._deployments = informers.of(DEPLOYMENTS)
        self._sets = informers.of(REPLICA_SETS)
        self._pods = informers.of(PODS)
        self._sets.add_index(BY_CONTROLLER, of_controller)
        self._sets.add_index(BY_NAMESPACE_IF_ORPHAN, of_namespace_if_orphan)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._deployments.subscribe(self._on_deployment)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)

    def observe(self, key: str) -> Observed | None:
        manifest = self._deployments.get(key)
        if manifest is None:
            return None
        deployment = Deployment(manifest)
        owned = self._sets.by_index(BY_CONTROLLER, manifest["metadata"]["uid"])
        pods: list[Manifest] = []
        if not deployment.is_rolling:
            lists = (self._pods.by_index(BY_CONTROLLER, one["metadata"]["uid"]) for one in owned)
            pods = list(chain.from_iterable(lists))
        return Observed(
            deployment,
            [*owned, *self._sets.by_index(BY_NAMESPACE_IF_ORPHAN, deployment.namespace)],
            pods,
            lambda name: self._sets.get(f"{deployment.namespace}/{name}"),
            self._clock.now(),
        )

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_deployment(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_set(self, old: Manifest | None, new: Manifest | None) -> None:
        for one in concerned(old, new, DEPLOYMENTS, self._deployments, lambda one: Deployment(one).selector):
            self._queue.add(key_of(one))

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """The end of a pod is what a Deployment that recreates waits for (W25)."""
        if old is None or (new is not None and (has_ended(old) or not has_ended(new))):
            return
        owner = owner_of(old, REPLICA_SETS, self._sets.get)
        deployment = owner and owner_of(owner, DEPLOYMENTS, self._deployments.get)
        if deployment is not None and not Deployment(deployment).is_rolling:
            self._queue.add(key_of(deployment))
