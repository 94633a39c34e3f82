"""VolumeSnapshotClasses (V115, V120)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError
from holdfast.api.resource import NAME, Column, Manifest, Resource
from holdfast.api.table import age

from . import GROUP, POLICIES, VERSION
from .rules import needed, one_of


def validate(snapshot_class: Manifest) -> list[FieldError]:
    return [
        *needed("", snapshot_class, ("deletionPolicy", "driver")),
        *one_of("deletionPolicy", snapshot_class.get("deletionPolicy"), POLICIES),
    ]


def cells(snapshot_class: Manifest, now: datetime) -> list[Any]:
    return [
        snapshot_class["metadata"]["name"],
        snapshot_class.get("driver"),
        snapshot_class.get("deletionPolicy"),
        age(snapshot_class["metadata"].get("creationTimestamp"), now),
    ]


VOLUME_SNAPSHOT_CLASSES = Resource(
    group=GROUP,
    version=VERSION,
    kind="VolumeSnapshotClass",
    plural="volumesnapshotclasses",
    namespaced=False,
    short_names=("vsclass", "vsclasses"),
    validate=validate,
    columns=(
        NAME,
        Column("Driver", text="The CSI driver."),
        Column("DeletionPolicy", text="What becomes of the data when a VolumeSnapshot of the class is deleted."),
        Column("Age", "date"),
    ),
    cells=cells,
    has_generation=True,
    generation_of=lambda manifest: {key: manifest.get(key) for key in ("deletionPolicy", "driver", "parameters")},
    allows_unconditional_update=False,
)
