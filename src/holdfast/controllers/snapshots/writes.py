"""The patches that these controllers make, each on the very object that was seen."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage import binding
from holdfast.controllers.actions import Patch


def change(resource: Resource, manifest: Manifest, patch: Manifest) -> Patch:
    metadata = manifest["metadata"]
    return Patch(resource, metadata.get("namespace", ""), metadata["name"], binding.locked(manifest, patch))


def set_finalizers(resource: Resource, manifest: Manifest, finalizers: Sequence[str]) -> Patch:
    return change(resource, manifest, {"metadata": {"finalizers": list(finalizers) or None}})
