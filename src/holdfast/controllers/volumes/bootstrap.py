"""The storage class that every cluster starts with."""

from __future__ import annotations

from holdfast.api.errors import AlreadyExists
from holdfast.api.resource import Manifest
from holdfast.api.storage.binding import IS_DEFAULT_CLASS
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client

from .provisioners import LOCAL

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


async def create_standard_class(client: Client) -> None:
    """Once in a cluster's life, by its first start: a class that its user deleted does not come back."""
    try:
        await client.create(STORAGE_CLASSES, STANDARD)
    except AlreadyExists:
        return
