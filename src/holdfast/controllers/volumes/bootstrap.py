"""The classes of storage and of snapshots that every cluster starts with."""

from __future__ import annotations

import contextlib

from holdfast.api.errors import AlreadyExists
from holdfast.api.resource import Manifest, Resource
from holdfast.api.snapshots import IS_DEFAULT_CLASS as IS_DEFAULT_SNAPSHOT_CLASS
from holdfast.api.snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from holdfast.api.storage.binding import IS_DEFAULT_CLASS
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client

from .provisioners import DRIVER, LOCAL

OLD_MARK = "storageclass.beta.kubernetes.io/is-default-class"

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
    await _create(client, STORAGE_CLASSES, EBS)


NONE = "none"
"""As the name of the default class: there is to be no default."""


class NoSuchClass(Exception):
    """The class that is to be the default does not exist."""


STANDARD_SNAPSHOTS: Manifest = {
    "apiVersion": "snapshot.storage.k8s.io/v1",
    "kind": "VolumeSnapshotClass",
    "metadata": {"name": "standard", "annotations": {IS_DEFAULT_SNAPSHOT_CLASS: "true"}},
    "driver": DRIVER,
    "deletionPolicy": "Delete",
}
"""The default class of snapshots (V115)."""


async def create_standard_class(client: Client) -> None:
    await _create(client, STORAGE_CLASSES, STANDARD)
    await _create(client, VOLUME_SNAPSHOT_CLASSES, STANDARD_SNAPSHOTS)


async def _create(client: Client, resource: Resource, manifest: Manifest) -> None:
    with contextlib.suppress(AlreadyExists):
        await client.create(resource, manifest)


async def set_default_class(client: Client, name: str) -> None:
    """Marks this class alone as the default; `NONE` marks none (V9, V10). Raises NoSuchClass, and changes nothing."""
    classes = (await client.list(STORAGE_CLASSES)).items
    if name != NONE and all(each["metadata"]["name"] != name for each in classes):
        raise NoSuchClass(name)
    for each in classes:
        if marks := _marks(each, is_wanted=each["metadata"]["name"] == name):
            await client.patch(STORAGE_CLASSES, each["metadata"]["name"], {"metadata": {"annotations": marks}})


def _marks(storage_class: Manifest, *, is_wanted: bool) -> dict[str, str]:
    """The annotations to be changed: the old one only where it is, for it would still count."""
    wanted = "true" if is_wanted else "false"
    there = storage_class["metadata"].get("annotations") or {}
    marks = {mark: wanted for mark in (IS_DEFAULT_CLASS, OLD_MARK) if mark in there and there[mark] != wanted}
    if is_wanted and IS_DEFAULT_CLASS not in there:
        marks[IS_DEFAULT_CLASS] = wanted
    return marks
