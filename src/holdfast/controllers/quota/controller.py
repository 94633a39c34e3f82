"""What the quota controller counts, and what wakes a quota: every object of a namespace that has one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from holdfast.api import registry
from holdfast.api.core.quota_tally import Tally, counts_alike
from holdfast.api.core.quota_usage import is_counted
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.resource import Manifest, Resource
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import Observed, plan


def counted() -> tuple[Resource, ...]:
    """Kinds that quotas may limit; of one that is served in several versions the one that is stored."""
    return tuple({each.qualified: each for each in reversed(registry.RESOURCES) if is_counted(each)}.values())


class QuotaController:
    """Keys are quotas. The sums follow every change of an object; the first look at a quota counts its namespace."""

    name = "resourcequota-controller"
    concurrency = 2

    def __init__(self, clock: Clock, resources: Sequence[Resource] = ()) -> None:
        self._clock = clock
        self._resources = tuple(resources) or counted()
        self._tallies: dict[str, dict[str, Tally]] = {}
        """By namespace and key."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._informers: dict[str, Informer] = {each.qualified: informers.of(each) for each in self._resources}
        self._quotas = informers.of(RESOURCE_QUOTAS)
        self._quotas.subscribe(self._on_quota)
        for informer in self._informers.values():
            informer.subscribe(partial(self._on_object, informer))
        informers.follow_defined(partial(self._came, informers), self._went)

    def _came(self, informers: Informers, resource: Resource) -> None:
        """A kind was defined: quotas may limit how many there are of it."""
        if is_counted(resource):
            informer = self._informers[resource.qualified] = informers.of(resource)
            self._count_anew()
            informer.subscribe(partial(self._on_object, informer))

    def _went(self, resource: Resource) -> None:
        if self._informers.pop(resource.qualified, None) is not None:
            self._count_anew()

    def _count_anew(self) -> None:
        for namespace, tallies in self._tallies.items():
            for key, tally in tallies.items():
                tallies[key] = self._count_all(tally.quota, namespace)
                self._queue.add(key)

    def observe(self, key: str) -> Observed | None:
        quota = self._quotas.get(key)
        tally = self._tallies.get(key.partition("/")[0], {}).get(key)
        if quota is None or tally is None:
            return None
        now = self._clock.now()
        for kind, of in tally.due(now):
            self._count(tally, self._informers[kind], of)
        return Observed(quota, dict(tally.used), min(tally.leaving.values(), default=None), now)

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_quota(self, old: Manifest | None, new: Manifest | None) -> None:
        quota = new or old
        assert quota is not None
        key, namespace = key_of(quota), quota["metadata"]["namespace"]
        here = self._tallies.setdefault(namespace, {})
        if new is None:
            here.pop(key, None)
            if not here:
                del self._tallies[namespace]
            return
        tally = here.get(key)
        if tally is None or not counts_alike(tally.quota, new):
            here[key] = self._count_all(new, namespace)
        else:
            tally.quota = new
        self._queue.add(key)

    def _count_all(self, quota: Manifest, namespace: str) -> Tally:
        tally = Tally(quota, (informer.resource for informer in self._informers.values()))
        for informer in self._informers.values():
            for manifest in informer.list(namespace) if tally.names(informer.resource) else ():
                self._count(tally, informer, key_of(manifest))
        return tally

    def _on_object(self, informer: Informer, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        assert manifest is not None
        for key, tally in self._tallies.get(manifest["metadata"]["namespace"], {}).items():
            if tally.names(informer.resource) and self._count(tally, informer, key_of(manifest)):
                self._queue.add(key)

    def _count(self, tally: Tally, informer: Informer, key: str) -> bool:
        manifest = informer.get(key)
        states = [manifest] if manifest is not None else []
        before = dict(tally.leaving)
        return tally.count(informer.resource, key, states, self._clock.now()) or tally.leaving != before
