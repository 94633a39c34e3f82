"""Claims and volumes: the default class, protection while in use, growing (A239-A241)."""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.resource import Manifest
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

IS_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
CLAIM_PROTECTION, VOLUME_PROTECTION = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
ATTRIBUTES_CLASS_PROTECTION = "kubernetes.io/vac-protection"


def default_class(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """The newest of the default classes, for a claim that says nothing of its class; an empty name is an answer."""
    spec = new.setdefault("spec", {})
    if old is not None or spec.get("storageClassName") is not None:
        return
    if CLASS_ANNOTATION in (new["metadata"].get("annotations") or {}):
        return
    classes = [stored.manifest for stored in cache.of(STORAGE_CLASSES).select() if is_default(stored.manifest)]
    if classes:
        newest = sorted(classes, key=lambda one: one["metadata"]["name"])
        newest.sort(key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True)
        spec["storageClassName"] = newest[0]["metadata"]["name"]


def is_default(storage_class: Manifest) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return any(annotations.get(name) == "true" for name in IS_DEFAULT)


def protect_claim(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    _protect(new, old, CLAIM_PROTECTION)


def protect_volume(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    _protect(new, old, VOLUME_PROTECTION)


def protect_attributes_class(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    _protect(new, old, ATTRIBUTES_CLASS_PROTECTION)


def _protect(new: Manifest, old: Manifest | None, finalizer: str) -> None:
    finalizers = new["metadata"].get("finalizers") or []
    if old is None and finalizer not in finalizers:
        new["metadata"]["finalizers"] = [*finalizers, finalizer]


def check_resize(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """A claim grows only if its class can make volumes grow. Raises Forbidden."""
    if old is None or not _grows(new, old):
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise call.forbidden("Only bound persistent volume claims can be expanded")
    stored = cache.of(STORAGE_CLASSES).get("", new["spec"].get("storageClassName") or "")
    if stored is None or not stored.manifest.get("allowVolumeExpansion"):
        raise call.forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
            "must support resize"
        )


def _grows(new: Manifest, old: Manifest) -> bool:
    asked, had = _size(new), _size(old)
    return bool(asked and had and quantity.compare(asked, had) > 0)


def _size(claim: Manifest) -> str:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return str(requests.get("storage") or "")
