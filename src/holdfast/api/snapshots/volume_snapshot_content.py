"""VolumeSnapshotContents (V117, V119, V120)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from . import GROUP, POLICIES, VERSION
from .rules import exactly_one, kept, needed, one_of

_SOURCES = ("volumeHandle", "snapshotHandle")
_NEEDED = ("deletionPolicy", "driver", "source", "volumeSnapshotRef")


def validate(content: Manifest) -> list[FieldError]:
    spec = content.get("spec")
    if spec is None:
        return [*needed("", content, ("spec",))]
    errors = [*needed("spec", spec, _NEEDED), *one_of("spec.deletionPolicy", spec.get("deletionPolicy"), POLICIES)]
    if (source := spec.get("source")) is not None:
        errors += exactly_one("spec.source", source, _SOURCES, "volumeHandle and snapshotHandle")
    reference = spec.get("volumeSnapshotRef")
    if reference is not None and not (reference.get("name") and reference.get("namespace")):
        refusal = "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set"
        errors.append(invalid("spec.volumeSnapshotRef", "object", refusal))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = (each.get("spec") or {} for each in (new, old))
    errors = [*kept("spec", now, then, "sourceVolumeMode")]
    for member in _SOURCES:
        errors += kept("spec.source", now.get("source") or {}, then.get("source") or {}, member)
    return errors


def cells(content: Manifest, now: datetime) -> list[Any]:
    spec, status = content.get("spec") or {}, content.get("status") or {}
    reference = spec.get("volumeSnapshotRef") or {}
    return [
        content["metadata"]["name"],
        status.get("readyToUse"),
        status.get("restoreSize"),
        spec.get("deletionPolicy"),
        spec.get("driver"),
        spec.get("volumeSnapshotClassName"),
        reference.get("name"),
        reference.get("namespace"),
        age(content["metadata"].get("creationTimestamp"), now),
    ]


VOLUME_SNAPSHOT_CONTENTS = Resource(
    group=GROUP,
    version=VERSION,
    kind="VolumeSnapshotContent",
    plural="volumesnapshotcontents",
    namespaced=False,
    short_names=("vsc", "vscs"),
    subresources=(STATUS,),
    validate=validate,
    validate_update=validate_update,
    columns=(
        NAME,
        Column("ReadyToUse", "boolean", text="Whether volumes can be restored from it."),
        Column("RestoreSize", "integer", text="The least size in bytes of a volume that is restored from it."),
        Column("DeletionPolicy", text="What becomes of the data when the VolumeSnapshot is deleted."),
        Column("Driver", text="The CSI driver that makes the snapshot."),
        Column("VolumeSnapshotClass", text="The class from which it was made."),
        Column("VolumeSnapshot", text="The VolumeSnapshot to which it is bound."),
        Column("VolumeSnapshotNamespace", text="The namespace of that VolumeSnapshot."),
        Column("Age", "date"),
    ),
    cells=cells,
    has_generation=True,
    allows_unconditional_update=False,
)
