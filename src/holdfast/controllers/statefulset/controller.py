"""What the StatefulSet controller looks at, and what wakes a set (chapter 11)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from holdfast.api import feature_gates
from holdfast.api.apps import stateful_set_beyond
from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import (
    BY_CONTROLLER,
    BY_NAMESPACE_IF_ORPHAN,
    of_controller,
    of_namespace_if_orphan,
)
from holdfast.controllers.revisions import in_order
from holdfast.world import World

from .identity import controller_uid
from .observed import Observed
from .ownership import is_member
from .plan import plan
from .replicas import Replicas
from .views import Pod, StatefulSet, split_pod_name

CONCURRENCY = 5

_CLAIM_NAME = re.compile(r"(.+)-([0-9]{1,10})", re.ASCII | re.DOTALL)


class _Known:
    """The pods that one set controls, sorted as they come and go."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.others: dict[str, Pod] = {}

    def put(self, pod: Pod) -> None:
        if is_member(self.replicas.statefulset, pod):
            self.others.pop(pod.name, None)
            self.replicas.put(pod)
        else:
            self.remove(pod)
            self.others[pod.name] = pod

    def remove(self, pod: Pod) -> None:
        self.others.pop(pod.name, None)
        ordinal = pod.ordinal
        if ordinal is not None and (present := self.replicas.get(ordinal)) and present.name == pod.name:
            self.replicas.remove(ordinal)


class StatefulSetController:
    """Keys are sets. What is kept of their pods is made from the informers alone, and anew whenever
    it is asked for something else."""

    name = "statefulset-controller"
    concurrency = CONCURRENCY

    def __init__(self, world: World, *, recounts: bool = False) -> None:
        """With `recounts` every step checks what is kept against a full count; for tests and simulations."""
        self._world = world
        self._recounts = recounts
        self._known: dict[str, _Known] = {}
        """By the set's uid."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._sets = informers.of(STATEFUL_SETS)
        self._pods = informers.of(PODS)
        self._revisions = informers.of(CONTROLLER_REVISIONS)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._sets.add_index("claims", _claim_prefixes)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._pods.add_index("orphans of", _orphans_of)
        self._revisions.add_index(BY_CONTROLLER, of_controller)
        self._revisions.add_index(BY_NAMESPACE_IF_ORPHAN, of_namespace_if_orphan)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)
        self._claims.subscribe(self._on_claim)

    def observe(self, key: str) -> Observed | None:
        manifest = self._sets.get(key)
        if manifest is None:
            return None
        statefulset = StatefulSet(manifest)
        known = self._up_to_date(statefulset)
        orphans = [Pod(pod) for pod in self._pods.by_index("orphans of", key)]
        return Observed(
            statefulset,
            known.replicas,
            [*known.others.values(), *(pod for pod in orphans if statefulset.selector.matches(pod.labels))],
            in_order(self._revisions_of(statefulset)),
            known.replicas.claim_named,
            partial(_named, self._revisions, statefulset.namespace),
            known.replicas.now,
            feature_gates.all_enabled(),
        )

    def _up_to_date(self, statefulset: StatefulSet) -> _Known:
        now = self._world.clock.now()
        known = self._known.get(statefulset.uid)
        if known is None or not _asks_the_same(known.replicas.statefulset, statefulset):
            known = self._known[statefulset.uid] = self._counted(statefulset, now)
        known.replicas.advance(now)
        if self._recounts:
            kept, counted = known.replicas.summary(), self._counted(statefulset, now).replicas.summary()
            assert kept == counted, f"kept {kept}, counted {counted}"
        return known

    def _counted(self, statefulset: StatefulSet, now: datetime) -> _Known:
        claim_named = partial(_named, self._claims, statefulset.namespace)
        known = _Known(Replicas(statefulset, claim_named, now))
        for manifest in self._pods.by_index(BY_CONTROLLER, statefulset.uid):
            known.put(Pod(manifest))
        return known

    def _revisions_of(self, statefulset: StatefulSet) -> list[Manifest]:
        """Those of the set's selector that it controls, or nobody (S70)."""
        owned = self._revisions.by_index(BY_CONTROLLER, statefulset.uid)
        orphans = self._revisions.by_index(BY_NAMESPACE_IF_ORPHAN, statefulset.namespace)
        matches = statefulset.selector.matches
        return [one for one in (*owned, *orphans) if matches(one["metadata"].get("labels"))]

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    # What wakes a set

    def _on_set(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None:
            self._known.pop(old["metadata"]["uid"], None)
        self._wake(new or old)

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """Its set; of a pod that nobody controls, every set that might want it (S151-S153)."""
        before, after = controller_uid(old) if old else "", controller_uid(new) if new else ""
        if old is not None and before != after:
            if known := self._known.get(before):
                known.remove(Pod(old))
            self._wake(self._set_of(old))
        if new is None:
            return
        if after:
            if known := self._known.get(after):
                known.put(Pod(new))
            self._wake(self._set_of(new))
        elif _may_be_wanted(old, new):
            for manifest in self._sets.list(new["metadata"]["namespace"]):
                if selector_from_manifest(manifest["spec"].get("selector")).matches(new["metadata"].get("labels")):
                    self._wake(manifest)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        """Its set looks at its pod again, but wakes only for what a slot may have waited for: the claim is gone (S58),
        or grows where the set asked it to."""
        metadata = (new or old or {})["metadata"]
        match = _CLAIM_NAME.fullmatch(metadata["name"])
        if match is None:
            return
        for manifest in self._sets.by_index("claims", f"{metadata['namespace']}/{match[1]}"):
            if known := self._known.get(manifest["metadata"]["uid"]):
                known.replicas.recheck(int(match[2]))
            if new is None or stateful_set_beyond.read(manifest).grows_claims:
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


def _asks_the_same(one: StatefulSet, other: StatefulSet) -> bool:
    """What is asked for by annotation changes no generation."""
    return one.generation == other.generation and one.beyond == other.beyond


def _orphans_of(pod: Manifest) -> Iterable[str]:
    """Of a pod that nobody controls, the key of the set that its name speaks of."""
    metadata = pod["metadata"]
    parent = split_pod_name(metadata["name"])[0]
    return (f"{metadata['namespace']}/{parent}",) if parent and not controller_uid(pod) else ()


def _claim_prefixes(manifest: Manifest) -> Iterable[str]:
    """The names of the set's claims, up to the ordinal."""
    metadata = manifest["metadata"]
    for template in manifest["spec"].get("volumeClaimTemplates") or ():
        yield f"{metadata['namespace']}/{template['metadata']['name']}-{metadata['name']}"


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
