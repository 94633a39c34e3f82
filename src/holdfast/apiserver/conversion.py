"""Kinds that are stored as another: the events of events.k8s.io are those of the core group (A261).

Both functions leave alone what has the wanted form already, and objects of every other kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.api.core.event import EVENTS
from holdfast.api.events.event import EVENTS as NEW_EVENTS
from holdfast.api.resource import Manifest, Resource

STORED_AS: Mapping[Resource, Resource] = {NEW_EVENTS: EVENTS}

NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}


def served(resource: Resource, manifest: Manifest) -> Manifest:
    """A stored object as `resource` shows it."""
    if resource is NEW_EVENTS and manifest.get("apiVersion") == EVENTS.api_version:
        return _renamed(manifest, NEW_NAMES, NEW_EVENTS)
    return manifest


def stored(resource: Resource, manifest: Manifest) -> Manifest:
    """An object of `resource` as it is stored."""
    if resource is NEW_EVENTS and manifest.get("apiVersion") == NEW_EVENTS.api_version:
        return _renamed(manifest, OLD_NAMES, EVENTS)
    return manifest


def _renamed(manifest: Manifest, names: Mapping[str, str], resource: Resource) -> Manifest:
    renamed = {names.get(name, name): value for name, value in manifest.items()}
    return {**renamed, "kind": resource.kind, "apiVersion": resource.api_version}
