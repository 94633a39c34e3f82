"""VolumeAttachments: which volume is to be on which node, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.core.network_volumes import csi_driver_name
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import named, present
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age


def default(attachment: Manifest) -> None:
    attachment.setdefault("spec", {}).setdefault("source", {})
    attachment.setdefault("status", {}).setdefault("attached", False)


def validate(attachment: Manifest) -> list[FieldError]:
    spec = attachment["spec"]
    errors = [*present("spec.attacher", spec.get("attacher")), *_source("spec.source", spec["source"])]
    return [*errors, *named("spec.nodeName", spec.get("nodeName", ""), names.dns_subdomain)]


def _source(field: str, source: Manifest) -> Iterator[FieldError]:
    name, spec = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    exactly_one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if name is None and spec is None:
        yield required(field, exactly_one)
    elif name is not None and spec is not None:
        yield forbidden(field, exactly_one)
    elif name == "":
        yield required(f"{field}.persistentVolumeName", "must specify non empty persistentVolumeName")


def validate_create(attachment: Manifest) -> list[FieldError]:
    spec = attachment["spec"]
    errors = [*csi_driver_name("spec.attacher", spec.get("attacher", ""))]
    name = spec["source"].get("persistentVolumeName")
    return errors if name is None else [*errors, *named("spec.source.persistentVolumeName", name, names.dns_subdomain)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    if same(new["spec"], old["spec"]):
        return []
    return [invalid("spec", new["spec"], "field is immutable")]


def cells(attachment: Manifest, now: datetime) -> list[Any]:
    spec = attachment["spec"]
    return [
        attachment["metadata"]["name"],
        spec.get("attacher", ""),
        spec["source"].get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        attachment.get("status", {}).get("attached", False),
        age(attachment["metadata"].get("creationTimestamp"), now),
    ]


VOLUME_ATTACHMENTS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    subresources=(STATUS,),
    default=default,
    validate=validate,
    validate_create=validate_create,
    validate_update=validate_update,
    columns=(
        NAME,
        Column("Attacher", format="name", documents="storage.v1.VolumeAttachmentSpec.attacher"),
        Column("PV", documents="storage.v1.VolumeAttachmentSource.persistentVolumeName"),
        Column("Node", documents="storage.v1.VolumeAttachmentSpec.nodeName"),
        Column("Attached", "boolean", documents="storage.v1.VolumeAttachmentStatus.attached"),
        AGE,
    ),
    cells=cells,
    initial_status={"attached": False},
    allows_unconditional_update=False,
    delete_returns_object=True,
)
