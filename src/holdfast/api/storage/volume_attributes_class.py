"""VolumeAttributesClasses: stored; no volume here has attributes that could be changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, forbidden, required
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

from .storage_class import validate_parameters, validate_provisioner


def default(attributes_class: Manifest) -> None:
    attributes_class.setdefault("driverName", "")


def validate(attributes_class: Manifest) -> list[FieldError]:
    errors = [*validate_provisioner("driverName", attributes_class["driverName"])]
    parameters = attributes_class.get("parameters") or {}
    if not parameters:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    return [*errors, *validate_parameters(parameters)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [
        forbidden(field, f"updates to {field} are forbidden.")
        for field in ("driverName", "parameters")
        if (new.get(field) or None) != (old.get(field) or None)
    ]


def cells(attributes_class: Manifest, now: datetime) -> list[Any]:
    metadata = attributes_class["metadata"]
    return [metadata["name"], attributes_class.get("driverName", ""), age(metadata.get("creationTimestamp"), now)]


def of_claim(claim: Manifest) -> Iterable[str]:
    """Names of those that it asks for, has, and is about to get."""
    status = claim.get("status") or {}
    target = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    names = (claim["spec"].get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), target)
    return set(filter(None, names))


def of_volume(volume: Manifest) -> Iterable[str]:
    return filter(None, (volume["spec"].get("volumeAttributesClassName"),))


VOLUME_ATTRIBUTES_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    short_names=("vac",),
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, Column("DriverName", documents="storage.v1.VolumeAttributesClass.driverName"), AGE),
    cells=cells,
    delete_returns_object=True,
)
