"""What creating and updating have in common for all kinds: metadata, status, generation (A65-A79, A151).

All of it is done to a manifest that is private to the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.api.errors import BadRequest, FieldError, invalid, invalid_object
from holdfast.api.metadata import validate_metadata, validate_metadata_update
from holdfast.api.resource import Manifest
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.call import Call
from holdfast.apiserver.fields import tracking
from holdfast.apiserver.fields.scope import Scope
from holdfast.apiserver.options import PlainError, revision

from .verdicts import Verdict

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

SERVER_SET = ("selfLink", "managedFields")
"""What a client may say of metadata without effect; ownership is looked after elsewhere (A143)."""
OWN = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""Members of metadata that only the server sets."""


def metadata_of(manifest: Manifest) -> Manifest:
    """A copy of the metadata, put in place."""
    metadata = manifest["metadata"] = {**(manifest.get("metadata") or {})}
    return metadata


def check_namespace(call: Call, metadata: Manifest) -> None:
    """The URL's namespace is the object's. Raises BadRequest (A65)."""
    given = metadata.get("namespace") or ""
    if given and call.resource.namespaced and given != call.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if call.resource.namespaced:
        metadata["namespace"] = call.namespace


def check_name(call: Call, metadata: Manifest) -> None:
    """The URL's name is the object's. Raises BadRequest (A76)."""
    name = metadata.get("name") or ""
    if not name:
        raise BadRequest(f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided")
    if name != call.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def check_revision(call: Call, metadata: Manifest, current: int) -> None:
    """A resourceVersion in the body is a condition. Raises Conflict, PlainError."""
    text = metadata.get("resourceVersion") or ""
    try:
        wanted = revision(text)
    except ValueError as error:
        raise PlainError(str(error)) from None
    if not wanted and not call.resource.allows_unconditional_update:
        wrong = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid_object(call.resource.plural, call.resource.group, call.name, [wrong])
    if wanted and wanted != current:
        raise call.conflict()


def check_uid(api: Api, call: Call, metadata: Manifest, old: Manifest) -> None:
    """A uid in a PUT body is a condition. Raises Conflict, with the words of upstream's store."""
    wanted, actual = metadata.get("uid") or "", old["metadata"]["uid"]
    if wanted and wanted != actual:
        key = api.objects(call.resource).key(call.namespace, call.name).replace("/core/", "/", 1)
        raise call.conflict(
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
        )


def begin(api: Api, call: Call, manifest: Manifest, managed: tracking.Managed) -> None:
    """Metadata and status of a new object, whose fields are owned as `managed` says."""
    resource = call.resource
    metadata = metadata_of(manifest)
    for member in (*SERVER_SET, *OWN, "resourceVersion"):
        metadata.pop(member, None)
    set_managed(manifest, managed)
    metadata["uid"] = api.world.new_uid()
    metadata["creationTimestamp"] = api.now()
    if resource.has_generation:
        metadata["generation"] = 1
    if resource.has_status and not resource.keeps_status_on_create:
        manifest.pop("status", None)
        if resource.initial_status is not None:
            manifest["status"] = copied(resource.initial_status)
    resource.prepare_create(manifest)


def new_errors(call: Call, manifest: Manifest, verdict: Verdict) -> list[FieldError]:
    """`verdict` is what the kind's own rules say of the manifest."""
    resource = call.resource
    return [*validate_metadata(manifest, resource), *verdict.errors(), *resource.validate_create(manifest)]


def carry_over(call: Call, new: Manifest, old: Manifest) -> None:
    """The server's part of metadata, whatever the client says (A79). To set a deletion time is an error found later."""
    then = old["metadata"]
    metadata = metadata_of(new)
    metadata.pop("selfLink", None)
    live = then.get("managedFields", [])
    managed = tracking.basis(metadata.get("managedFields"), live, is_subresource=bool(call.subresource))
    set_managed(new, managed)
    if not metadata.get("uid"):
        metadata["uid"] = then["uid"]
    for member in OWN[1:]:
        if member in then:
            metadata[member] = then[member]
        elif member != "deletionTimestamp":
            metadata.pop(member, None)
    metadata["resourceVersion"] = then["resourceVersion"]


def set_managed(manifest: Manifest, managed: tracking.Managed) -> None:
    """Puts ownership in the metadata, which is private; an empty list is left out."""
    if managed:
        manifest["metadata"]["managedFields"] = managed
    else:
        manifest["metadata"].pop("managedFields", None)


def scope(call: Call) -> Scope:
    """What this call's endpoint may own."""
    return Scope(call.resource, call.subresource)


def keep_status(call: Call, new: Manifest, old: Manifest) -> None:
    if not call.resource.has_status:
        return
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def bump_generation(call: Call, new: Manifest, old: Manifest) -> None:
    """One more if what the kind counts has changed (A78)."""
    resource = call.resource
    if resource.has_generation and resource.generation_of(new) != resource.generation_of(old):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def may_warn(call: Call, new: Manifest, old: Manifest) -> bool:
    """Whether an update is told what is odd about the object: not if it changed no more than a workload's metadata."""
    resource = call.resource
    if not resource.has_generation or resource.warns_on_every_update:
        return True
    return bool(new["metadata"].get("generation") != old["metadata"].get("generation"))


def update_errors(call: Call, new: Manifest, old: Manifest, verdict: Verdict) -> Sequence[FieldError]:
    """`verdict` is what the kind's own rules say of the new state."""
    resource = call.resource
    errors = validate_metadata_update(new, old)
    if not errors:
        errors += validate_metadata(new, resource)
    whole = verdict.errors() if resource.validates_updates_whole else ()
    changes = resource.validate_update(new, old)
    return [*errors, *changes, *whole] if resource.tells_changes_first else [*errors, *whole, *changes]


def is_gone(new: Manifest, old: Manifest) -> bool:
    """Whether an update has taken the last thing that kept a deleted object (A87, A257)."""
    then = old["metadata"]
    return bool(
        then.get("deletionTimestamp")
        and not then.get("deletionGracePeriodSeconds")
        and not new["metadata"].get("finalizers")
        and not (new["kind"] == "Namespace" and (new.get("spec") or {}).get("finalizers"))
    )
