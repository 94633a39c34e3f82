"""Options that a PersistentVolume is to be mounted with (V90)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

ANNOTATION = "volume.beta.kubernetes.io/mount-options"
"""Older than the field `mountOptions`, and stronger."""


def mount_options(volume: Manifest) -> tuple[str, ...]:
    """As given: neither sorted nor checked. Also of the content of a snapshot, which has the annotation alone."""
    annotation = (volume["metadata"].get("annotations") or {}).get(ANNOTATION)
    given = volume["spec"].get("mountOptions") or () if annotation is None else str(annotation).split(",")
    return tuple(option.strip() for option in given if option.strip())
