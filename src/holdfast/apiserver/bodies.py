"""What is in the body of a request: an object of the resource, or of the kind its subresource takes."""

from __future__ import annotations

import msgspec

from holdfast.api import decode
from holdfast.api.resource import Manifest, Resource
from holdfast.wire.messages import Request

from .call import Call
from .negotiation import content_type
from .options import WriteOptions

APPLY = "application/apply-patch+yaml"

SCALES = Resource(group="autoscaling", version="v1", kind="Scale", plural="scales")
"""The form behind every `/scale`; no collection of its own."""


def decoded(call: Call, body: bytes, media_type: str, options: WriteOptions) -> tuple[Manifest, list[str]]:
    """The object, private to the request, and warnings. Raises BadRequest, UnsupportedMediaType."""
    validation = options.field_validation or decode.WARN
    group, version, kind = kind_in_body(call)
    if not kind:
        return decode.decode_body(call.resource, body, media_type, validation)
    return decode.decode_kind(group, version, kind, body, media_type, validation)


def kind_in_body(call: Call) -> tuple[str, str, str]:
    """Group, version and kind of what the subresource takes; no kind means the resource's own."""
    sub = next((one for one in call.resource.subresources if one.name == call.subresource), None)
    if sub is None or not sub.kind:
        return "", "", ""
    return sub.group, sub.version or call.resource.version, sub.kind


def delete_options(request: Request) -> Manifest | None:
    """None without a body. Raises BadRequest, UnsupportedMediaType."""
    if not request.body:
        return None
    return decode.decode_options(request.body, request.headers.get("content-type", ""))


def is_apply(media_type: str) -> bool:
    return content_type(media_type) == APPLY


def decoded_locally(resource: Resource, manifest: Manifest) -> Manifest:
    """A copy of what a part of this process wrote, in the form that a request's body would have got.

    Raises Invalid if it does not fit its kind: that part has a bug.
    """
    metadata = manifest.get("metadata")
    managed = metadata.get("managedFields") if metadata else None
    if metadata and managed:  # as it was read, and of no concern to the writer
        manifest = {**manifest, "metadata": {name: metadata[name] for name in metadata if name != "managedFields"}}
    fitting, _ = decode.prune_and_check(resource, manifest, field_validation=decode.IGNORE)
    if managed:
        fitting["metadata"]["managedFields"] = managed
    if fitting.get("kind") is None or fitting.get("apiVersion") is None:
        return {"kind": resource.kind, "apiVersion": resource.api_version, **fitting}
    return fitting


def copied(manifest: Manifest) -> Manifest:
    """A deep copy of JSON."""
    copy: Manifest = msgspec.json.decode(msgspec.json.encode(manifest))
    return copy
