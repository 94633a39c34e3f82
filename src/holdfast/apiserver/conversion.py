"""Kinds that are stored as another: how an object looks on the way in and on the way out (A261).

Both functions leave alone what has the wanted form already, and objects of every other kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.api import registry
from holdfast.api.resource import Manifest, Resource

STORED_AS: Mapping[Resource, Resource] = {
    resource: resource.stored_as.resource for resource in registry.RESOURCES if resource.stored_as
}


def served(resource: Resource, manifest: Manifest) -> Manifest:
    """A stored object as `resource` shows it."""
    other = resource.stored_as
    if other is None or manifest.get("apiVersion") != other.resource.api_version:
        return manifest
    return other.read(manifest)


def stored(resource: Resource, manifest: Manifest) -> Manifest:
    """An object of `resource` as it is stored."""
    other = resource.stored_as
    if other is None or manifest.get("apiVersion") != resource.api_version:
        return manifest
    return other.write(manifest)
