"""What the controllers of ReplicaSets and ReplicationControllers look at, and what wakes a set."""

from __future__ import annotations

from functools import partial
from itertools import chain

from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.resource import Manifest, Resource
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import (
    BY_CONTROLLER,
    BY_NAMESPACE_IF_ORPHAN,
    concerned,
    controller_uid,
    of_controller,
    of_namespace_if_orphan,
)
from holdfast.world import Clock

from .plan import Observed, plan, selector_of, wanted_replicas

CONCURRENCY = 5


class ReplicaSetController:
    """Keys are sets; of `resource`, which may be that of ReplicationControllers as well."""

    concurrency = CONCURRENCY

    def __init__(self, clock: Clock, resource: Resource = REPLICA_SETS) -> None:
        self.name = "replicaset-controller" if resource is REPLICA_SETS else "replication-controller"
        self._resource = resource
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._sets = informers.of(self._resource)
        self._pods = informers.of(PODS)
        self._namespaces = informers.of(NAMESPACES)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._pods.add_index(BY_NAMESPACE_IF_ORPHAN, of_namespace_if_orphan)
        self._sets.add_index(BY_CONTROLLER, of_controller)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)

    def observe(self, key: str) -> Observed | None:
        replica_set = self._sets.get(key)
        if replica_set is None:
            return None
        metadata = replica_set["metadata"]
        owned = self._pods.by_index(BY_CONTROLLER, metadata["uid"])
        namespace = self._namespaces.get(metadata["namespace"])
        return Observed(
            self._resource,
            replica_set,
            [*owned, *self._pods.by_index(BY_NAMESPACE_IF_ORPHAN, metadata["namespace"])],
            self._related(replica_set, owned),
            namespace is not None and "deletionTimestamp" in namespace["metadata"],
            self._clock.now(),
        )

    def _related(self, replica_set: Manifest, owned: list[Manifest]) -> list[Manifest]:
        """Asked for only if there may be too many pods."""
        uid = controller_uid(replica_set)
        if not uid or len(owned) <= wanted_replicas(replica_set):
            return owned
        sets = self._sets.by_index(BY_CONTROLLER, uid)
        return list(chain.from_iterable(self._pods.by_index(BY_CONTROLLER, one["metadata"]["uid"]) for one in sets))

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_set(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        for one in concerned(old, new, self._resource, self._sets, partial(selector_of, self._resource)):
            self._queue.add(key_of(one))


def replication_controllers(clock: Clock) -> ReplicaSetController:
    return ReplicaSetController(clock, REPLICATION_CONTROLLERS)
