"""VolumeSnapshots (V116, V120)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from . import GROUP, VERSION
from .rules import exactly_one, kept, needed

_SOURCES = ("persistentVolumeClaimName", "volumeSnapshotContentName")


def validate(snapshot: Manifest) -> list[FieldError]:
    spec = snapshot.get("spec")
    if spec is None:
        return [*needed("", snapshot, ("spec",))]
    if spec.get("source") is None:
        return [*needed("spec", spec, ("source",))]
    names = "volumeSnapshotContentName and persistentVolumeClaimName"
    errors = [*exactly_one("spec.source", spec["source"], _SOURCES, names)]
    if spec.get("volumeSnapshotClassName") == "":
        field = "spec.volumeSnapshotClassName"
        errors.append(invalid(field, "string", "volumeSnapshotClassName must not be the empty string when set"))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = ((each.get("spec") or {}).get("source") or {} for each in (new, old))
    return [error for member in _SOURCES for error in kept("spec.source", now, then, member)]


def cells(snapshot: Manifest, now: datetime) -> list[Any]:
    spec, status = snapshot.get("spec") or {}, snapshot.get("status") or {}
    source = spec.get("source") or {}
    return [
        snapshot["metadata"]["name"],
        status.get("readyToUse"),
        source.get("persistentVolumeClaimName"),
        source.get("volumeSnapshotContentName"),
        status.get("restoreSize"),
        spec.get("volumeSnapshotClassName"),
        status.get("boundVolumeSnapshotContentName"),
        age(status["creationTime"], now) if status.get("creationTime") else None,
        age(snapshot["metadata"].get("creationTimestamp"), now),
    ]


VOLUME_SNAPSHOTS = Resource(
    group=GROUP,
    version=VERSION,
    kind="VolumeSnapshot",
    plural="volumesnapshots",
    short_names=("vs",),
    subresources=(STATUS,),
    validate=validate,
    validate_update=validate_update,
    columns=(
        NAME,
        Column("ReadyToUse", "boolean", text="Whether volumes can be restored from it."),
        Column("SourcePVC", text="The claim of whose volume it is taken."),
        Column("SourceSnapshotContent", text="The VolumeSnapshotContent it was told to stand for."),
        Column("RestoreSize", text="The least size of a volume that is restored from it."),
        Column("SnapshotClass", text="Its VolumeSnapshotClass."),
        Column("SnapshotContent", text="The VolumeSnapshotContent it is bound to."),
        Column("CreationTime", "date", text="The moment of the data in it."),
        Column("Age", "date"),
    ),
    cells=cells,
    has_generation=True,
    allows_unconditional_update=False,
)
