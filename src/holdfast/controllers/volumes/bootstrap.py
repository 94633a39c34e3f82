"""The storage classes that every cluster starts with."""

from __future__ import annotations

import contextlib

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
    "allowVolumeExpansion": False,
}
"""The default class (V44). Volumes of it appear with the first pod that uses the claim."""

EBS: Manifest = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "ebs"},
    "provisioner": "kubernetes.io/aws-ebs",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}
"""What manifests written for a cloud ask for and take for granted (V44, V46)."""


async def create_first_classes(client: Client) -> None:
    """Once in a cluster's life, by its first start: a class that its user deleted does not come back."""
    await create_standard_class(client)
    await _create(client, EBS)


async def create_standard_class(client: Client) -> None:
    await _create(client, STANDARD)


async def _create(client: Client, storage_class: Manifest) -> None:
    with contextlib.suppress(AlreadyExists):
        await client.create(STORAGE_CLASSES, storage_class)
