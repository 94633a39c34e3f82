"""Kinds that are stored as another: how an object looks on the way in and on the way out (A209, A261).

Both functions leave alone what has the wanted form already, and objects of every other kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.api import registry
from holdfast.api.resource import Manifest, Resource

STORED_AS: Mapping[Resource, Resource] = {
    resource: resource.stored_as.resource for resource in registry.RESOURCES if resource.stored_as
}


def is_converted(resource: Resource) -> bool:
    """Whether stored objects may look otherwise than `resource` shows them."""
    return resource.stored_as is not None or resource.custom is not None


def served(resource: Resource, manifest: Manifest) -> Manifest:
    """A stored object as `resource` shows it."""
    if resource.custom is not None:
        return resource.custom.read(manifest)
    other = resource.stored_as
    if other is None or manifest.get("apiVersion") != other.resource.api_version:
        return manifest
    return other.read(manifest)


def stored(resource: Resource, manifest: Manifest) -> Manifest:
    """An object of `resource` as it is stored."""
    if resource.custom is not None:
        return resource.custom.written(manifest)
    other = resource.stored_as
    if other is None or manifest.get("apiVersion") != resource.api_version:
        return manifest
    return other.write(manifest)
