"""What subresources with a whole object for a body let through of it (A151, A155, A156)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from holdfast.api.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
    timed,
    validate_approval,
)
from holdfast.api.core.pod_resize import resized_spec, validate_resize
from holdfast.api.errors import FieldError
from holdfast.api.metadata import validate_metadata, validate_metadata_update
from holdfast.api.resource import Manifest
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.call import Call

from . import strategy

KEPT_METADATA = {"Pod": ("ownerReferences",), "Deployment": ("labels",)}
"""What a write through /status may not change of an object's metadata, by kind (A151)."""


def merge(call: Call, new: Manifest, old: Manifest, now: str) -> None:
    """Leaves in `new` only what the subresource may change."""
    _MERGE[call.subresource](call, new, old)
    if call.resource is CERTIFICATE_SIGNING_REQUESTS:
        _time_conditions(new, old, now)


def errors(call: Call, new: Manifest, old: Manifest) -> Sequence[FieldError]:
    found = validate_metadata_update(new, old)
    if not found:
        found += validate_metadata(new, call.resource)
    if call.subresource == "status":
        return [*found, *call.resource.validate_status_update(new, old)]
    if call.subresource == "approval":
        return [*found, *validate_approval(new, old)]
    if call.subresource == "resize":
        found += validate_resize(new, old)
    if call.subresource in ("ephemeralcontainers", "resize"):
        found += call.resource.validate(new)
    return found


def _status(call: Call, new: Manifest, old: Manifest) -> None:
    status = new.get("status")
    _restore(new, old)
    if call.resource.custom is not None:  # nothing of the metadata but who owns what
        managed = new["metadata"].get("managedFields")
        new["metadata"] = {**old["metadata"]}
        strategy.set_managed(new, managed or [])
    for member in KEPT_METADATA.get(call.resource.kind, ()):
        _keep(new["metadata"], old["metadata"], member)
    if status or call.resource.initial_status is not None:
        new["status"] = status or {}
    else:
        new.pop("status", None)
    call.resource.prepare_status_update(new, old)


def _finalize(call: Call, new: Manifest, old: Manifest) -> None:
    finalizers = (new.get("spec") or {}).get("finalizers")
    _restore(new, old)
    spec = {**(old.get("spec") or {})}
    spec.pop("finalizers", None)
    new["spec"] = {**spec, "finalizers": finalizers} if finalizers else spec


def _approval(call: Call, new: Manifest, old: Manifest) -> None:
    conditions = (new.get("status") or {}).get("conditions")
    _restore(new, old)
    status = {**(old.get("status") or {})}
    status.pop("conditions", None)
    new["status"] = {**status, "conditions": conditions} if conditions else status


def _time_conditions(new: Manifest, old: Manifest, now: str) -> None:
    status = new.get("status") or {}
    if conditions := status.get("conditions"):
        before = (old.get("status") or {}).get("conditions") or []
        new["status"] = {**status, "conditions": timed(conditions, before, now)}


def _ephemeral_containers(call: Call, new: Manifest, old: Manifest) -> None:
    added = (new.get("spec") or {}).get("ephemeralContainers")
    _restore(new, copied(old))  # defaults change it in place
    if added:
        new["spec"]["ephemeralContainers"] = added
    call.resource.default(new)
    strategy.bump_generation(call, new, old)


def _resize(call: Call, new: Manifest, old: Manifest) -> None:
    wanted, before = new.get("spec") or {}, old["spec"]
    _restore(new, old)
    for member in _METADATA:
        _keep(new["metadata"], old["metadata"], member)
    new["spec"] = resized_spec(wanted, before)
    strategy.bump_generation(call, new, old)


_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


_MERGE: Mapping[str, Callable[[Call, Manifest, Manifest], None]] = {
    "status": _status,
    "finalize": _finalize,
    "approval": _approval,
    "ephemeralcontainers": _ephemeral_containers,
    "resize": _resize,
}


def _restore(new: Manifest, old: Manifest) -> None:
    """Everything but metadata from the stored object."""
    metadata = new["metadata"]
    new.clear()
    new.update(old)
    new["metadata"] = metadata


def _keep(new: Manifest, old: Manifest, member: str) -> None:
    if member in old:
        new[member] = old[member]
    else:
        new.pop(member, None)
