"""ResourceQuota: nothing is created, or grows, beyond what the namespace's quotas allow (A243).

What is used is read off the stored objects once and followed from then on, as addresses and ports are; a request that
is let through counts until it has come to its end, when what it stored counts instead. So of requests at the same time
none is let through on what another has taken, and nothing has to be given back. Namespaces without quotas pay nothing.

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from holdfast.api import quantity
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.quota_scopes import is_in_scope
from holdfast.api.core.quota_tally import Tally, counts_alike, hard_of
from holdfast.api.core.quota_usage import NONE, Amounts, growth, is_counted, unspecified, use_of
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.core.service import SERVICES
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache, Event, ResourceCache
from holdfast.apiserver.call import Call
from holdfast.world import Clock

_NOTHING = nullcontext()


class Quotas:
    """The quotas of all namespaces."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._of: dict[str, NamespaceQuotas] = {}
        self._caches: dict[str, ResourceCache] = {}
        self._followed: set[ResourceCache] = set()
        quotas = cache.of(RESOURCE_QUOTAS)
        for stored in quotas.select():
            self._put(stored.namespace, stored.name, stored.manifest)
        quotas.follow(self._on_quota)

    def charged(self, call: Call, new: Manifest, old: Manifest | None) -> AbstractContextManager[None]:
        """Holds what a write takes until the block ends. Raises Forbidden, when it is entered."""
        quotas = self._of.get(call.namespace)
        if quotas is not None and call.resource.custom is not None:
            self._know(self._cache.of(call.resource))
        return _NOTHING if quotas is None or not _is_charged(call, old) else quotas.charged(call, new, old)

    def _on_quota(self, event: Event) -> None:
        namespace, name = event.new.namespace, event.new.name
        if not event.is_delete:
            self._put(namespace, name, event.new.manifest)
        elif (quotas := self._of.get(namespace)) is not None and not quotas.without(name):
            del self._of[namespace]

    def _put(self, namespace: str, name: str, quota: Manifest) -> None:
        if namespace not in self._of:
            self._caches |= {each.resource.qualified: each for each in self._cache.all() if is_counted(each.resource)}
            self._of[namespace] = NamespaceQuotas(namespace, self._caches, self._clock)
        self._follow(self._of[namespace].put(name, quota))

    def _know(self, cache: ResourceCache) -> None:
        """Counts objects of a kind that was defined after the quotas."""
        if self._caches.get(cache.resource.qualified) is not cache:
            self._caches[cache.resource.qualified] = cache
            for quotas in self._of.values():
                self._follow(quotas.count_anew())

    def _follow(self, counted: Iterable[ResourceCache]) -> None:
        for cache in counted:
            if cache not in self._followed:
                self._followed.add(cache)
                cache.follow(lambda event, cache=cache: self._on_object(cache, event))  # type: ignore[misc]

    def _on_object(self, cache: ResourceCache, event: Event) -> None:
        quotas = self._of.get(event.new.namespace)
        if quotas is not None:
            quotas.count(cache, event.new.key)


def _is_charged(call: Call, old: Manifest | None) -> bool:
    """New objects of any kind, and those that may come to use more later."""
    if call.subresource:
        return call.resource is PODS and call.subresource == "resize"
    return old is None or call.resource is SERVICES or call.resource is PERSISTENT_VOLUME_CLAIMS


class NamespaceQuotas:
    """The quotas of one namespace, and the requests that have been let through and are under way."""

    def __init__(self, namespace: str, caches: Mapping[str, ResourceCache], clock: Clock) -> None:
        self._namespace = namespace
        self._caches = caches
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._under_way: dict[str, list[Manifest]] = {}
        """By key: what is going to be stored there."""

    def put(self, name: str, quota: Manifest) -> list[ResourceCache]:
        """Takes over a quota, and counts everything anew if it counts otherwise than before. Says what it counts."""
        tally = self._tallies.get(name)
        if tally is not None and counts_alike(tally.quota, quota):
            tally.quota = quota
            return []
        tally = self._tallies[name] = Tally(quota, (cache.resource for cache in self._caches.values()))
        counted = [cache for cache in self._caches.values() if tally.names(cache.resource)]
        for cache in counted:
            for stored in cache.select(self._namespace):
                self._count(tally, cache, stored.key)
        for cache in counted:
            for key in self._under_way:
                if key.startswith(cache.prefix):
                    self._count(tally, cache, key)
        return counted

    def count_anew(self) -> list[ResourceCache]:
        """Takes over all quotas again. Says what they count."""
        quotas = {name: tally.quota for name, tally in self._tallies.items()}
        self._tallies.clear()
        return [cache for name, quota in quotas.items() for cache in self.put(name, quota)]

    def without(self, name: str) -> bool:
        """Forgets a quota; says whether there are others."""
        self._tallies.pop(name, None)
        return bool(self._tallies)

    def count(self, cache: ResourceCache, key: str) -> None:
        for tally in self._tallies.values():
            if tally.names(cache.resource):
                self._count(tally, cache, key)

    def _count(self, tally: Tally, cache: ResourceCache, key: str) -> None:
        stored = cache.objects.get(key)
        states = [*([stored.manifest] if stored is not None else []), *self._under_way.get(key, ())]
        tally.count(cache.resource, key, states, self._clock.now())

    @contextmanager
    def charged(self, call: Call, new: Manifest, old: Manifest | None) -> Iterator[None]:
        cache = self._caches.get(call.resource.qualified)
        if cache is None:
            yield
            return
        self._check(call, new, old)
        key = cache.key(call.namespace, call.name)
        self._under_way.setdefault(key, []).append(new)
        self.count(cache, key)
        try:
            yield
        finally:
            self._end(key, new)
            self.count(cache, key)

    def _end(self, key: str, new: Manifest) -> None:
        left = [each for each in self._under_way[key] if each is not new]
        if left:
            self._under_way[key] = left
        else:
            del self._under_way[key]

    def _check(self, call: Call, new: Manifest, old: Manifest | None) -> None:
        now, resource = self._clock.now(), call.resource
        before: Amounts = use_of(resource, old).at(now) if old is not None else {}
        asked = dict(growth(use_of(resource, new).at(now), before))
        for name in sorted(self._tallies):
            tally = self._tallies[name]
            limited = tally.names(resource)
            if not limited or not is_in_scope(tally.quota, resource, new):
                continue
            if resource is PODS and (lacking := unspecified(new, limited)):
                raise call.forbidden(f"failed quota: {name}: must specify {lacking}")
            self._refresh(tally)
            hard, used = hard_of(tally.quota), tally.used
            requested = {each: asked[each] for each in sorted(limited) if each in asked}
            exceeded = {
                each: amount
                for each, amount in requested.items()
                if quantity.compare(quantity.add(used.get(each, NONE), amount), hard[each]) > 0
            }
            if exceeded:
                raise call.forbidden(
                    f"exceeded quota: {name}, requested: {_printed(exceeded, exceeded)}, "
                    f"used: {_printed(used, exceeded)}, limited: {_printed(hard, exceeded)}"
                )

    def _refresh(self, tally: Tally) -> None:
        """Takes off what has stopped to count by itself."""
        for kind, key in tally.due(self._clock.now()):
            self._count(tally, self._caches[kind], key)


def _printed(amounts: Amounts, names: Mapping[str, str]) -> str:
    return ",".join(f"{name}={amounts.get(name, NONE)}" for name in sorted(names))
