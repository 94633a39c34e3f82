"""The classes of storage and of snapshots that every cluster starts with."""

from __future__ import annotations

import contextlib

from holdfast.api.errors import AlreadyExists
from holdfast.api.resource import Manifest
from holdfast.api.snapshots import IS_DEFAULT_CLASS as IS_DEFAULT_SNAPSHOT_CLASS
from holdfast.api.snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from holdfast.api.storage.binding import IS_DEFAULT_CLASS
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client

from .provisioners import DRIVER, LOCAL

STANDARD: Manifest = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {IS_DEFAULT_CLASS: "true"}},
    "provisioner": LOCAL,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}
"""The default class (V44). Volumes of it appear with the first pod that uses the claim."""


STANDARD_SNAPSHOTS: Manifest = {
    "apiVersion": "snapshot.storage.k8s.io/v1",
    "kind": "VolumeSnapshotClass",
    "metadata": {"name": "standard", "annotations": {IS_DEFAULT_SNAPSHOT_CLASS: "true"}},
    "driver": DRIVER,
    "deletionPolicy": "Delete",
}
"""The default class of snapshots (V115)."""


async def create_standard_class(client: Client) -> None:
    """Once in a cluster's life, by its first start: a class that its user deleted does not come back."""
    for resource, manifest in ((STORAGE_CLASSES, STANDARD), (VOLUME_SNAPSHOT_CLASSES, STANDARD_SNAPSHOTS)):
        with contextlib.suppress(AlreadyExists):
            await client.create(resource, manifest)
