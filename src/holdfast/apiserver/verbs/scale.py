"""`/scale`: one number of an object, in a form that is the same for all kinds that have it (A152, S185-S188)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.api.errors import FieldError, invalid, invalid_object
from holdfast.api.resource import Column, Manifest
from holdfast.api.selectors import selector_from_labels, selector_from_manifest
from holdfast.api.table import age
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.patches import Patch
from holdfast.apiserver.views import partial, table_of

from . import reading, strategy, update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

COLUMNS = (
    Column("Name", documents="meta.v1.ObjectMeta.name"),
    Column("Desired", "integer", documents="autoscaling.v1.ScaleSpec.replicas"),
    Column("Available", "integer", documents="autoscaling.v1.ScaleStatus.replicas"),
    Column("Age", documents="meta.v1.ObjectMeta.creationTimestamp"),
)


def of(manifest: Manifest) -> Manifest:
    """The Scale of an object."""
    metadata, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
    selector = spec.get("selector")
    if selector is None or manifest["kind"] != "ReplicationController":
        text = str(selector_from_manifest(selector)) if selector is not None else ""
    else:
        text = str(selector_from_labels(selector))
    members = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scaled = {"replicas": status.get("replicas", 0)}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {member: metadata[member] for member in members if member in metadata},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {**scaled, "selector": text} if text else scaled,
    }


def get(api: Api, call: Call) -> Manifest:
    return of(reading.get(api, call).manifest)


def table(scale: Manifest, version: str, now: datetime) -> bytes:
    """A Scale as a table of one row."""
    metadata = scale["metadata"]
    replicas = scale["spec"].get("replicas", 0), scale["status"]["replicas"]
    cells = [metadata["name"], *replicas, age(metadata.get("creationTimestamp"), now)]
    row = {"cells": cells, "object": partial(metadata, version)}
    return table_of(COLUMNS, [row], {"resourceVersion": metadata["resourceVersion"]}, version)


async def put(api: Api, call: Call, scale: Manifest) -> Manifest:
    """Raises Conflict for a stale version or another uid, Invalid for a negative number."""
    metadata = strategy.metadata_of(scale)
    strategy.check_name(call, metadata)
    strategy.check_namespace(call, metadata)

    def revised(old: Manifest) -> Manifest:
        strategy.check_uid(api, call, metadata, old)
        return scale

    return await _replace(api, call, revised)


async def patch(api: Api, call: Call, change: Patch) -> Manifest:
    return await _replace(api, call, lambda old: change.apply(call, of(old)))


async def _replace(api: Api, call: Call, revised: Callable[[Manifest], Manifest]) -> Manifest:
    main = of_parent(call)

    def new(old: Stored) -> Manifest:
        scale = revised(old.manifest)
        _check(call, scale)
        strategy.check_revision(main, scale.get("metadata") or {}, old.revision)
        replicas = (scale.get("spec") or {}).get("replicas") or 0
        changed = copied(old.manifest)  # defaults and preparation change it in place
        changed["spec"]["replicas"] = replicas
        update.settle(api, main, changed, old.manifest)
        return changed

    stored = await update.replace(api, main, new, subresource=call.subresource)
    return of(stored.manifest)


def of_parent(call: Call) -> Call:
    """The same call, on the object itself."""
    return replace(call, subresource="")


def _check(call: Call, scale: Manifest) -> None:
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    errors: list[FieldError] = []
    if replicas < 0:
        errors.append(invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
    if errors:
        raise invalid_object("Scale", "autoscaling", call.name, errors)
