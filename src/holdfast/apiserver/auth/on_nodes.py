"""What is on which node, for rights that depend on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from holdfast.apiserver.cache import Cache, Event

KINDS = {kind.plural: kind for kind in (PODS, PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS, VOLUME_ATTACHMENTS)}


class OnNodes:
    """`joined_rights.Objects`. Pods are sorted by node from the first time that somebody asks: where no machine has
    joined nobody does."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pods = cache.of(PODS)
        self._names: defaultdict[tuple[str, str], set[str]] | None = None
        """By node and namespace."""

    def find(self, resource: str, namespace: str, name: str) -> Manifest | None:
        found = self._cache.of(KINDS[resource]).get(namespace, name)
        return None if found is None else found.manifest

    def pods_at(self, node: str, namespace: str) -> Iterator[Manifest]:
        if self._names is None:
            self._names = defaultdict(set)
            for pod in self._pods.select():
                self._add(pod.manifest)
            self._pods.follow(self._changed)
        for name in self._names.get((node, namespace), ()):
            if (stored := self._pods.get(namespace, name)) is not None:
                yield stored.manifest

    def _changed(self, event: Event) -> None:
        assert self._names is not None
        pod = event.new.manifest
        if event.is_delete:
            key = (pod["spec"].get("nodeName") or "", pod["metadata"]["namespace"])
            self._names[key].discard(pod["metadata"]["name"])
            if not self._names[key]:
                del self._names[key]
        else:
            self._add(pod)

    def _add(self, pod: Manifest) -> None:
        if node := pod["spec"].get("nodeName"):
            assert self._names is not None
            self._names[node, pod["metadata"]["namespace"]].add(pod["metadata"]["name"])
