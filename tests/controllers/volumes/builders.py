"""Claims, volumes and classes with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"


def claim(
    name: str = "data",
    *,
    size: str = "1Gi",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    storage_class: str | None = "",
    volume: str = "",
    phase: str = "Pending",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "annotations": annotations or {},
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {"accessModes": list(modes), "resources": {"requests": {"storage": size}}, **spec},
        "status": {"phase": phase},
    }
    if storage_class is not None:
        made["spec"]["storageClassName"] = storage_class
    if volume:
        made["spec"]["volumeName"] = volume
    return made


def volume(
    name: str,
    *,
    size: str = "1Gi",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    storage_class: str = "",
    phase: str = "Available",
    policy: str = "Retain",
    claim_ref: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    deleting: bool = False,
    path: str = "/data",
    **spec: Any,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "9",
            "annotations": annotations or {},
            "labels": labels or {},
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "capacity": {"storage": size},
            "accessModes": list(modes),
            "persistentVolumeReclaimPolicy": policy,
            "hostPath": {"path": path},
            **spec,
        },
        "status": {"phase": phase},
    }
    if storage_class:
        made["spec"]["storageClassName"] = storage_class
    if claim_ref:
        made["spec"]["claimRef"] = claim_ref
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:00Z"
    return made


def reference(of: str, uid: str | None = None) -> dict[str, Any]:
    """A claimRef; `uid` empty leaves the uid out."""
    made = {"namespace": "default", "name": of}
    uid = f"uid-{of}" if uid is None else uid
    return {**made, "uid": uid} if uid else made


def storage_class(
    name: str, provisioner: str = "holdfast.dev/local", *, delayed: bool = False, policy: str = "Delete"
) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "reclaimPolicy": policy,
        "volumeBindingMode": "WaitForFirstConsumer" if delayed else "Immediate",
    }
