"""`/scale`: one number of an object, in a form that is the same for all kinds that have it (A152, S185-S188)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.api.errors import FieldError, InternalError, NotFound, invalid, invalid_object
from holdfast.api.resource import Column, Manifest, Resource
from holdfast.api.selectors import selector_from_labels, selector_from_manifest
from holdfast.api.table import age
from holdfast.apiserver.bodies import SCALES, copied
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.conversion import served
from holdfast.apiserver.patches import Patch
from holdfast.apiserver.views import partial, table_of

from . import reading, reviewed, strategy, update

if TYPE_CHECKING:
    from holdfast.api.custom.resources import ScalePaths
    from holdfast.apiserver.api import Api

_GROUP_OF_MISSING = {"Deployment": "apps", "ReplicaSet": "apps", "ReplicationController": "autoscaling"}
"""In what a client is told whose Scale has no object."""

COLUMNS = (
    Column("Name", documents="meta.v1.ObjectMeta.name"),
    Column("Desired", "integer", documents="autoscaling.v1.ScaleSpec.replicas"),
    Column("Available", "integer", documents="autoscaling.v1.ScaleStatus.replicas"),
    Column("Age", documents="meta.v1.ObjectMeta.creationTimestamp"),
)


def of(resource: Resource, manifest: Manifest) -> Manifest:
    """The Scale of an object. Raises InternalError for one of a custom kind that does not say how many it wants."""
    if resource.custom is not None and resource.custom.scale is not None:
        return _of_paths(resource.custom.scale, manifest)
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    selector = spec.get("selector")
    if selector is None or manifest["kind"] != "ReplicationController":
        text = str(selector_from_manifest(selector)) if selector is not None else ""
    else:
        text = str(selector_from_labels(selector))
    return _scale(manifest["metadata"], spec.get("replicas") or 0, status.get("replicas", 0), text)


def _of_paths(at: ScalePaths, manifest: Manifest) -> Manifest:
    from holdfast.api.custom import paths

    wanted = paths.find(at.spec_replicas, manifest)
    if not wanted:
        raise InternalError(f'the spec replicas field "{at.spec_replicas}" does not exist')
    have = next(iter(paths.find(at.status_replicas, manifest)), 0)
    selector = paths.text_at(at.label_selector, manifest) if at.label_selector else ""
    return _scale(manifest["metadata"], wanted[0], have, selector)


def _scale(metadata: Manifest, wanted: int, have: int, selector: str) -> Manifest:
    members = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {member: metadata[member] for member in members if member in metadata},
        "spec": {"replicas": wanted} if wanted else {},
        "status": {"replicas": have, "selector": selector} if selector else {"replicas": have},
    }


def get(api: Api, call: Call) -> Manifest:
    """Raises NotFound, some in words of its own: of Deployments, ReplicaSets and ReplicationControllers."""
    try:
        stored = reading.get(api, call)
    except NotFound:
        if (group := _GROUP_OF_MISSING.get(call.resource.kind)) is None or call.resource.custom is not None:
            raise
        kind = f"{call.resource.plural}/scale"
        raise NotFound(f'{kind}.{group} "{call.name}" not found', name=call.name, group=group, kind=kind) from None
    return of(call.resource, served(call.resource, stored.manifest))


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
    return await _replace(api, call, lambda old: change.apply(call, of(call.resource, old)))


async def _replace(api: Api, call: Call, revised: Callable[[Manifest], Manifest]) -> Manifest:
    main = of_parent(call)

    def new(old: Stored) -> Manifest:
        scale = revised(old.manifest)
        _check(call, scale)
        if (metadata := scale.get("metadata") or {}).get("resourceVersion"):
            strategy.check_revision(main, metadata, old.revision)
        changed = scaled(call.resource, old.manifest, scale)
        update.settle(api, main, changed, old.manifest)
        return changed

    stored = await update.replace(
        api, main, new, subresource=call.subresource, shape=shape(call) if api.dynamic.is_active else None
    )
    return of(call.resource, stored.manifest)


def scaled(resource: Resource, manifest: Manifest, scale: Manifest) -> Manifest:
    """A copy of an object that wants as many as its Scale says."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    changed = copied(manifest)  # defaults and preparation change it in place
    if resource.custom is not None and resource.custom.scale is not None:
        from holdfast.api.custom import paths

        return paths.replaced(resource.custom.scale.spec_replicas, changed, replicas)
    changed["spec"]["replicas"] = replicas
    return changed


def shape(call: Call) -> reviewed.Shape:
    """A write through /scale is shown to others as the Scale that it changes."""
    from holdfast.apiserver.admission.dynamic.attempt import updating
    from holdfast.apiserver.admission.dynamic.forms import fit_of

    def taken(shown: Manifest, new: Manifest, old: Manifest) -> Manifest:
        _check(call, shown)
        changed = scaled(call.resource, new, shown)
        if (generation := old["metadata"].get("generation")) is not None:
            changed["metadata"]["generation"] = generation
        strategy.bump_generation(call, changed, old)
        return changed

    return reviewed.Shape(
        lambda new, old: updating(call, of(call.resource, new), of(call.resource, old)), fit_of(SCALES), taken
    )


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
