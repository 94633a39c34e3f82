"""What the DaemonSet controller looks at, and what wakes a set."""

from __future__ import annotations

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informer, Informers, key_of
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
from holdfast.controllers.replicaset.pods import phase
from holdfast.world import Clock

from .backoff import FailedPods
from .daemons import is_leaving
from .placement import Fit, fit, node_of
from .plan import Observed, plan
from .views import DaemonSet

CONCURRENCY = 2


class DaemonSetController:
    """Keys are DaemonSets. What is remembered of failed pods is lost with it, which only makes it less patient."""

    name = "daemonset-controller"
    concurrency = CONCURRENCY

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed = FailedPods()

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._sets = informers.of(DAEMON_SETS)
        self._pods = informers.of(PODS)
        self._revisions = informers.of(CONTROLLER_REVISIONS)
        self._nodes = informers.of(NODES)
        self._namespaces = informers.of(NAMESPACES)
        for owned in (self._pods, self._revisions):
            owned.add_index(BY_CONTROLLER, of_controller)
            owned.add_index(BY_NAMESPACE_IF_ORPHAN, of_namespace_if_orphan)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)
        self._revisions.subscribe(self._on_owned)
        self._nodes.subscribe(self._on_node)

    def observe(self, key: str) -> Observed | None:
        manifest = self._sets.get(key)
        if manifest is None:
            return None
        daemon_set, now = DaemonSet(manifest), self._clock.now()
        namespace = self._namespaces.get(daemon_set.namespace)
        return Observed(
            daemon_set,
            self._nodes.list(),
            self._candidates(self._pods, daemon_set),
            self._candidates(self._revisions, daemon_set),
            lambda name: self._revisions.get(f"{daemon_set.namespace}/{name}"),
            self._failed.waits(daemon_set.uid, daemon_set.observed_generation, now),
            namespace is not None and "deletionTimestamp" in namespace["metadata"],
            now,
        )

    def _candidates(self, owned: Informer, daemon_set: DaemonSet) -> list[Manifest]:
        orphans = owned.by_index(BY_NAMESPACE_IF_ORPHAN, daemon_set.namespace)
        return [*owned.by_index(BY_CONTROLLER, daemon_set.uid), *orphans]

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    # What wakes a set

    def _on_set(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))
        elif old is not None:
            self._failed.forget(old["metadata"]["uid"])

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """The deletion of a failed pod is remembered, so that the next one waits its turn (W41)."""
        if old is not None and phase(old) == "Failed" and not is_leaving(old) and (new is None or is_leaving(new)):
            manifest = owner_of(old, DAEMON_SETS, self._sets.get)
            if manifest is not None:
                daemon_set = DaemonSet(manifest)
                self._failed.note(daemon_set.uid, daemon_set.observed_generation, node_of(old), self._clock.now())
        self._on_owned(old, new)

    def _on_owned(self, old: Manifest | None, new: Manifest | None) -> None:
        for one in concerned(old, new, DAEMON_SETS, self._sets, lambda one: DaemonSet(one).selector):
            self._queue.add(key_of(one))

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        """Every set to which the node is something else than before; heartbeats make no difference."""
        if old is not None and new is not None and _decisive(old) == _decisive(new):
            return
        for manifest in self._sets.list():
            template = DaemonSet(manifest).tolerant_template
            before, after = (fit(template, node) if node is not None else Fit.REFUSED for node in (old, new))
            if before is not after:
                self._queue.add(key_of(manifest))


def _decisive(node: Manifest) -> tuple[object, ...]:
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")
