"""HorizontalPodAutoscalers in their older version: the objects of autoscaling/v2, converted at the door."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError
from holdfast.api.resource import STATUS, Manifest, Resource, StoredAs

from . import autoscaler_validation
from . import horizontal_pod_autoscaler as newer
from .older_form import OF_STATUS, to_newer, to_older


def default(autoscaler: Manifest) -> None:
    autoscaler.setdefault("metadata", {})
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    spec.setdefault("maxReplicas", 0)
    for field in ("kind", "name"):
        spec.setdefault("scaleTargetRef", {}).setdefault(field, "")
    status = autoscaler.setdefault("status", {})
    for field in ("currentReplicas", "desiredReplicas"):
        status.setdefault(field, 0)


def prepare_update(new: Manifest, old: Manifest) -> None:
    """Annotations that stand for a part of status are no more the client's than status is."""
    then = old["metadata"].get("annotations") or {}
    annotations = {**(new["metadata"].get("annotations") or {})}
    for name in OF_STATUS:
        annotations.pop(name, None)
        if name in then:
            annotations[name] = then[name]
    if annotations:
        new["metadata"]["annotations"] = annotations
    else:
        new["metadata"].pop("annotations", None)


def write(autoscaler: Manifest) -> Manifest:
    stored = to_newer(autoscaler)
    newer.default(stored)
    return stored


def validate(autoscaler: Manifest) -> list[FieldError]:
    return autoscaler_validation.validate(write(autoscaler))


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return autoscaler_validation.validate_update(write(new), write(old))


def cells(autoscaler: Manifest, now: datetime) -> list[Any]:
    return newer.cells(write(autoscaler), now)


HORIZONTAL_POD_AUTOSCALERS_V1 = Resource(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=autoscaler_validation.validate_status_update,
    validates_updates_whole=False,
    columns=newer.HORIZONTAL_POD_AUTOSCALERS.columns,
    cells=cells,
    initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    stored_as=StoredAs(newer.HORIZONTAL_POD_AUTOSCALERS, write, to_older),
)
