"""What the StatefulSet controller looks at, and what wakes a set (chapter 11)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import World

from .identity import controller_uid
from .plan import plan
from .revisions import in_order
from .views import Observed, Pod, StatefulSet

CONCURRENCY = 5

_CLAIM_NAME = re.compile(r"(.+)-[0-9]+", re.ASCII | re.DOTALL)


class StatefulSetController:
    """Keys are sets. Nothing is kept that a restart would lose."""

    name = "statefulset-controller"
    concurrency = CONCURRENCY

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._sets = informers.of(STATEFUL_SETS)
        self._pods = informers.of(PODS)
        self._revisions = informers.of(CONTROLLER_REVISIONS)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._sets.add_index("claims", _claim_prefixes)
        for informer in (self._pods, self._revisions):
            informer.add_index("controller", _controllers)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)
        self._claims.subscribe(self._on_claim)

    def observe(self, key: str) -> Observed | None:
        manifest = self._sets.get(key)
        if manifest is None:
            return None
        statefulset = StatefulSet(manifest)
        namespace = statefulset.namespace
        return Observed(
            statefulset,
            [Pod(manifest) for manifest in _candidates(self._pods, statefulset)],
            in_order(_matching(self._revisions, statefulset)),
            partial(_named, self._claims, namespace),
            partial(_named, self._revisions, namespace),
            self._world.clock.now(),
        )

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    # What wakes a set

    def _on_set(self, old: Manifest | None, new: Manifest | None) -> None:
        self._wake(new or old)

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """Its set; of a pod that nobody controls, every set that might want it (S151-S153)."""
        if old is not None and new is not None and controller_uid(old) != controller_uid(new):
            self._wake(self._set_of(old))
        pod = new or old
        assert pod is not None
        if controller_uid(pod):
            self._wake(self._set_of(pod))
        elif new is not None and _may_be_wanted(old, new):
            for manifest in self._sets.list(new["metadata"]["namespace"]):
                if selector_from_manifest(manifest["spec"].get("selector")).matches(new["metadata"].get("labels")):
                    self._wake(manifest)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        """Only that one is gone: a slot may have waited for it (S58)."""
        if new is not None or old is None:
            return
        match = _CLAIM_NAME.fullmatch(old["metadata"]["name"])
        if match is not None:
            for manifest in self._sets.by_index("claims", f"{old['metadata']['namespace']}/{match[1]}"):
                self._wake(manifest)

    def _set_of(self, pod: Manifest) -> Manifest | None:
        """The set that controls the pod, by name and uid."""
        for reference in pod["metadata"].get("ownerReferences") or ():
            if reference.get("controller") and reference["kind"] == "StatefulSet":
                manifest = self._sets.get(f"{pod['metadata']['namespace']}/{reference['name']}")
                if manifest is not None and manifest["metadata"]["uid"] == reference["uid"]:
                    return manifest
        return None

    def _wake(self, manifest: Manifest | None) -> None:
        if manifest is not None:
            self._queue.add(key_of(manifest))


def _controllers(manifest: Manifest) -> Iterable[str]:
    """The uid of the controller; the namespace of what has none."""
    return (controller_uid(manifest) or f"of nobody in {manifest['metadata']['namespace']}",)


def _claim_prefixes(manifest: Manifest) -> Iterable[str]:
    """The names of the set's claims, up to the ordinal."""
    metadata = manifest["metadata"]
    for template in manifest["spec"].get("volumeClaimTemplates") or ():
        yield f"{metadata['namespace']}/{template['metadata']['name']}-{metadata['name']}"


def _candidates(informer: Informer, statefulset: StatefulSet) -> list[Manifest]:
    """What the set controls, and what nobody controls that its selector matches (S70, S108)."""
    orphans = informer.by_index("controller", f"of nobody in {statefulset.namespace}")
    matches = statefulset.selector.matches
    return informer.by_index("controller", statefulset.uid) + [
        manifest for manifest in orphans if matches(manifest["metadata"].get("labels"))
    ]


def _matching(informer: Informer, statefulset: StatefulSet) -> list[Manifest]:
    matches = statefulset.selector.matches
    return [one for one in _candidates(informer, statefulset) if matches(one["metadata"].get("labels"))]


def _may_be_wanted(old: Manifest | None, new: Manifest) -> bool:
    """Whether a pod without controller is new, or has other labels or another controller than before (S152)."""
    if "deletionTimestamp" in new["metadata"] and old is None:
        return False
    return (
        old is None
        or old["metadata"].get("labels") != new["metadata"].get("labels")
        or controller_uid(old) != controller_uid(new)
    )


def _named(informer: Informer, namespace: str, name: str) -> Manifest | None:
    return informer.get(f"{namespace}/{name}")
