"""Finalizers that keep a claim while a pod uses it, a volume while it is bound (V11, V50-V52), and a class of
attributes while claims or volumes name it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES
from holdfast.controllers.actions import Patch, Plan

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
CLASS_FINALIZER = "kubernetes.io/vac-protection"


@dataclass(frozen=True, slots=True)
class ProtectedClaim:
    claim: Manifest
    is_used: bool
    """Whether a pod that has a node refers to it, in whatever phase the pod is (V50)."""


@dataclass(frozen=True, slots=True)
class ProtectedClass:
    attributes_class: Manifest
    is_named: bool
    """By a claim or a volume."""


def plan_claim_protection(observed: ProtectedClaim) -> Plan:
    claim = observed.claim
    if not claim["metadata"].get("deletionTimestamp"):
        return _add(PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_FINALIZER)
    if observed.is_used:
        return Plan("a pod uses the claim")
    return _remove(PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_FINALIZER)


def plan_volume_protection(volume: Manifest) -> Plan:
    if not volume["metadata"].get("deletionTimestamp"):
        return _add(PERSISTENT_VOLUMES, volume, VOLUME_FINALIZER)
    if (volume.get("status") or {}).get("phase") == "Bound":
        return Plan("the volume is bound")
    return _remove(PERSISTENT_VOLUMES, volume, VOLUME_FINALIZER)


def plan_class_protection(observed: ProtectedClass) -> Plan:
    attributes_class = observed.attributes_class
    if not attributes_class["metadata"].get("deletionTimestamp"):
        return _add(VOLUME_ATTRIBUTES_CLASSES, attributes_class, CLASS_FINALIZER)
    if observed.is_named:
        return Plan("a claim or a volume names the class")
    return _remove(VOLUME_ATTRIBUTES_CLASSES, attributes_class, CLASS_FINALIZER)


def _add(resource: Resource, manifest: Manifest, finalizer: str) -> Plan:
    present = manifest["metadata"].get("finalizers") or []
    if finalizer in present:
        return Plan("protected")
    return _write(resource, manifest, [*present, finalizer], "unprotected")


def _remove(resource: Resource, manifest: Manifest, finalizer: str) -> Plan:
    present = manifest["metadata"].get("finalizers") or []
    if finalizer not in present:
        return Plan("no longer protected")
    return _write(resource, manifest, [each for each in present if each != finalizer], "not in use any more")


def _write(resource: Resource, manifest: Manifest, finalizers: list[str], reason: str) -> Plan:
    """Conditional on the version: the list is written whole, another writer's entry must not be lost."""
    metadata = manifest["metadata"]
    lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    patch = {"metadata": {**lock, "finalizers": finalizers or None}}
    return Plan(reason, (Patch(resource, metadata.get("namespace", ""), metadata["name"], patch),))
