"""NamespaceLifecycle (A238)."""

from __future__ import annotations

from datetime import datetime

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.errors import FieldError, NotFound
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

IMMORTAL = ("default", "kube-system", "kube-public")
NAME_LABEL = "kubernetes.io/metadata.name"


def must_take_new_objects(cache: Cache, call: Call, new: Manifest, now: datetime) -> None:
    """The namespace of a new object exists and is not being deleted. Raises NotFound, Forbidden."""
    if not call.resource.namespaced:
        return
    namespace = call.namespace
    stored = cache.of(NAMESPACES).get("", namespace)
    if stored is None:
        raise NotFound(f'namespaces "{namespace}" not found', name=namespace, kind="namespaces")
    if stored.manifest["metadata"].get("deletionTimestamp"):
        cause = FieldError("metadata.namespace", "NamespaceTerminating", f"namespace {namespace} is being terminated")
        detail = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise call.forbidden(detail, [cause])


def must_be_mortal(call: Call) -> None:
    if call.name in IMMORTAL:
        raise call.forbidden("this namespace may not be deleted")


def label(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Every namespace carries its name as a label, so that selectors can choose it."""
    metadata = new["metadata"]
    if metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), NAME_LABEL: metadata["name"]}
