"""What the controllers of volumes and claims look at, and what wakes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.api.storage import volume_attributes_class as attributes
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client
from holdfast.client.informer import Handler, Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .origin import source_key
from .plan import ObservedClaim, ObservedVolume, plan_claim, plan_volume
from .protection import (
    ProtectedClaim,
    ProtectedClass,
    plan_claim_protection,
    plan_class_protection,
    plan_volume_protection,
)

BY_CLASS = "storage class"
FREE_BY_CLASS = "free, by storage class"
BY_CLAIM = "claim"
BY_VOLUME = "volume"
BY_SOURCE = "source"
BY_ATTRIBUTES = "class of attributes"
NO_CLASS_NAMED = "\0"
"""In the index of unbound claims: those that leave the choice of a class to the cluster (V8)."""


def volumes_of(informers: Informers) -> Informer:
    """The volumes, to be found by the claim they are for, and by class while they are for none."""
    volumes = informers.of(PERSISTENT_VOLUMES)
    volumes.add_index(FREE_BY_CLASS, binding.free_classes)
    volumes.add_index(BY_CLAIM, lambda volume: filter(None, (binding.claim_key(volume),)))
    return volumes


def claims_in(informers: Informers) -> Informer:
    """The claims, to be found by the volume they name, and by class while they name none."""
    claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
    claims.add_index(BY_VOLUME, lambda claim: filter(None, (claim["spec"].get("volumeName"),)))
    claims.add_index(BY_CLASS, _class_if_unbound)
    claims.add_index(BY_SOURCE, _source_if_unbound)
    return claims


def pods_in(informers: Informers) -> Informer:
    """The pods, to be found by the claims they use."""
    pods = informers.of(PODS)
    pods.add_index(BY_CLAIM, binding.claim_keys)
    return pods


def _class_if_unbound(claim: Manifest) -> Iterable[str]:
    if claim["spec"].get("volumeName"):
        return ()
    if claim["spec"].get("storageClassName") is None and not binding.class_of(claim):
        return ("", NO_CLASS_NAMED)
    return (binding.class_of(claim),)


def _source_if_unbound(claim: Manifest) -> Iterable[str]:
    return () if claim["spec"].get("volumeName") else filter(None, (source_key(claim),))


class ClaimBinder:
    """Binds claims to volumes. Keys are claims."""

    name = "persistentvolume-controller"
    concurrency = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes, self._claims, self._pods = volumes_of(informers), claims_in(informers), pods_in(informers)
        self._classes = informers.of(STORAGE_CLASSES)
        self._claims.subscribe(self._on_claim)
        self._volumes.subscribe(self._on_volume)
        self._classes.subscribe(self._on_class)
        self._pods.subscribe(self._on_pod)

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        if old is None and new is not None and _has_node(new):
            for key in binding.claim_keys(new):
                self._queue.add(key)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        for volume in (old, new):
            if volume is None:
                continue
            if key := binding.claim_key(volume):
                self._queue.add(key)
            self._add(self._claims.by_index(BY_VOLUME, volume["metadata"]["name"]))
        if new is not None and not new["spec"].get("claimRef") and new.get("status", {}).get("phase") == "Available":
            self._add(self._claims.by_index(BY_CLASS, binding.class_of(new)))

    def _on_class(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            return
        self._add(self._claims.by_index(BY_CLASS, new["metadata"]["name"]))
        if binding.is_default_class(new):
            self._add(self._claims.by_index(BY_CLASS, NO_CLASS_NAMED))

    def _add(self, claims: Iterable[Manifest]) -> None:
        for claim in claims:
            self._queue.add(key_of(claim))

    def observe(self, key: str) -> ObservedClaim | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        name = binding.class_of(claim)
        volume_name = claim["spec"].get("volumeName")
        pods = [pod for pod in self._pods.by_index(BY_CLAIM, key) if not pod["metadata"].get("deletionTimestamp")]
        return ObservedClaim(
            claim=claim,
            volumes=self._named(volume_name) if volume_name else self._candidates(key, name),
            storage_class=self._classes.get(name) if name else None,
            default_class="" if name else binding.default_class(self._classes.list()),
            waiting_pods=[pod["metadata"]["name"] for pod in pods if not _has_node(pod)],
            consumer_node=next((pod["spec"]["nodeName"] for pod in pods if _has_node(pod)), ""),
            now=self._clock.now(),
        )

    def _named(self, name: str) -> list[Manifest]:
        volume = self._volumes.get(name)
        return [volume] if volume is not None else []

    def _candidates(self, key: str, storage_class: str) -> list[Manifest]:
        return [*self._volumes.by_index(FREE_BY_CLASS, storage_class), *self._volumes.by_index(BY_CLAIM, key)]

    def plan(self, observed: ObservedClaim) -> Plan:
        return plan_claim(observed)


class VolumePhases:
    """Keeps volumes' phases. Keys are volumes."""

    name = "persistentvolume-controller"
    concurrency = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes, self._claims = volumes_of(informers), claims_in(informers)
        self._volumes.subscribe(self._on_volume)
        self._claims.subscribe(self._on_claim)

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        claim = new or old
        assert claim is not None
        for volume in self._volumes.by_index(BY_CLAIM, key_of(claim)):
            self._queue.add(key_of(volume))

    def observe(self, key: str) -> ObservedVolume | None:
        volume = self._volumes.get(key)
        if volume is None:
            return None
        return ObservedVolume(volume, self._claims.get(binding.claim_key(volume)), self._clock.now())

    async def verify(self, observed: ObservedVolume, client: Client) -> ObservedVolume:
        """A volume is released only if its claim is gone for certain: its data may be deleted next."""
        volume = observed.volume
        uid = (volume["spec"].get("claimRef") or {}).get("uid")
        is_there = observed.claim is not None and observed.claim["metadata"]["uid"] == uid
        if not uid or is_there or (volume.get("status") or {}).get("phase") in ("Released", "Failed"):
            return observed
        return replace(observed, claim=await live_claim(volume, client))

    def plan(self, observed: ObservedVolume) -> Plan:
        return plan_volume(observed)


async def live_claim(volume: Manifest, client: Client) -> Manifest | None:
    """The claim of the name in the volume's claimRef as the server has it now."""
    reference = volume["spec"]["claimRef"]
    try:
        return await client.get(PERSISTENT_VOLUME_CLAIMS, reference["name"], reference["namespace"])
    except NotFound:
        return None


class ClaimProtection:
    """Keeps claims while pods use them. Keys are claims."""

    name = "pvc-protection-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims, self._pods = claims_in(informers), pods_in(informers)
        self._claims.subscribe(self._on_claim)
        self._pods.subscribe(self._on_pod)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None:
            for key in binding.claim_keys(old):
                self._queue.add(key)

    def observe(self, key: str) -> ProtectedClaim | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        return ProtectedClaim(claim, any(map(_has_node, self._pods.by_index(BY_CLAIM, key))))

    async def verify(self, observed: ProtectedClaim, client: Client) -> ProtectedClaim:
        """The view of pods may lag behind that of claims: a user is looked for once more at the server."""
        metadata = observed.claim["metadata"]
        if observed.is_used or not metadata.get("deletionTimestamp"):
            return observed
        pods = (await client.list(PODS, metadata["namespace"])).items
        return replace(
            observed, is_used=any(_has_node(pod) and key_of(observed.claim) in binding.claim_keys(pod) for pod in pods)
        )

    def plan(self, observed: ProtectedClaim) -> Plan:
        return plan_claim_protection(observed)


def _has_node(pod: Manifest) -> bool:
    return bool(pod["spec"].get("nodeName"))


class VolumeProtection:
    """Keeps volumes while they are bound. Keys are volumes."""

    name = "pv-protection-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes = volumes_of(informers)
        self._volumes.subscribe(self._on_volume)

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def observe(self, key: str) -> Manifest | None:
        return self._volumes.get(key)

    def plan(self, observed: Manifest) -> Plan:
        return plan_volume_protection(observed)


class AttributesClassProtection:
    """Keeps classes of attributes while claims or volumes name them. Keys are such classes."""

    name = "vac-protection-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._classes = informers.of(attributes.VOLUME_ATTRIBUTES_CLASSES)
        self._claims, self._volumes = claims_in(informers), volumes_of(informers)
        self._claims.add_index(BY_ATTRIBUTES, attributes.of_claim)
        self._volumes.add_index(BY_ATTRIBUTES, attributes.of_volume)
        self._classes.subscribe(self._on_class)
        self._claims.subscribe(self._no_longer_naming(attributes.of_claim))
        self._volumes.subscribe(self._no_longer_naming(attributes.of_volume))

    def _on_class(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _no_longer_naming(self, names: Callable[[Manifest], Iterable[str]]) -> Handler:
        def on_change(old: Manifest | None, new: Manifest | None) -> None:
            for name in set(names(old) if old else ()) - set(names(new) if new else ()):
                self._queue.add(name)

        return on_change

    def observe(self, key: str) -> ProtectedClass | None:
        found = self._classes.get(key)
        if found is None:
            return None
        naming = self._claims.by_index(BY_ATTRIBUTES, key) or self._volumes.by_index(BY_ATTRIBUTES, key)
        return ProtectedClass(found, bool(naming))

    def plan(self, observed: ProtectedClass) -> Plan:
        return plan_class_protection(observed)
