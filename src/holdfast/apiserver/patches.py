"""A patch as a value: what it says, and what it makes of an object (A122-A127)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.api import decode
from holdfast.api.errors import BadRequest, Invalid, UnsupportedMediaType
from holdfast.api.json_syntax import syntax_error
from holdfast.api.resource import Manifest, Resource

from .bodies import APPLY, SCALES
from .call import Call
from .negotiation import content_type
from .options import invalid_patch

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
ACCEPTED = (JSON_PATCH, MERGE, STRATEGIC)
CUSTOM_ACCEPTED = (JSON_PATCH, MERGE)
"""No schema of a custom kind says how lists merge in a strategic patch (A213)."""
GO_TYPES = {list: "array", dict: "object", str: "string", bool: "bool", int: "number", float: "number"}


@dataclass(frozen=True, slots=True)
class Patch:
    media_type: str
    content: Any
    field_validation: str = ""

    def apply(self, call: Call, old: Manifest) -> Manifest:
        """What `old`, which is not changed, becomes: decoded, private to the caller. Raises Invalid, BadRequest."""
        resource = SCALES if call.subresource == "scale" else call.resource
        patched = self._patched(resource, old)
        strategic = self.content if self.media_type == STRATEGIC else None
        bare, kept = without_kept_fields(patched, old)
        validation = self.field_validation or decode.WARN
        try:
            new, warnings = decode.prune_and_check(
                resource, bare, field_validation=validation, strategic_patch=strategic
            )
        except Invalid:  # which shows the object, whole
            decode.prune_and_check(resource, patched, field_validation=validation, strategic_patch=strategic)
            raise
        if kept is not None:
            new["metadata"]["managedFields"] = kept
        _check_kind(resource, new)
        call.warnings += warnings
        return new

    def _patched(self, resource: Resource, old: Manifest) -> Manifest:
        from .patch.json import json_patch
        from .patch.merge import merge_patch
        from .patch.strategic import strategic_merge

        match self.media_type:
            case "application/json-patch+json":
                return json_patch(old, self.content)
            case "application/merge-patch+json":
                return merge_patch(old, self.content)
            case _:
                return strategic_merge(old, self.content, resource)


def without_kept_fields(patched: Manifest, old: Manifest) -> tuple[Manifest, Any]:
    """The object without the managed fields, and these, if they are what they were: they need no look at."""
    metadata, then = patched.get("metadata"), old["metadata"].get("managedFields")
    if then is None or not isinstance(metadata, dict) or metadata.get("managedFields") is not then:
        return patched, None
    return {**patched, "metadata": {name: metadata[name] for name in metadata if name != "managedFields"}}, then


def _check_kind(resource: Resource, new: Manifest) -> None:
    """A patch may not make another kind of an object. Raises Invalid."""
    api_version, kind = new.get("apiVersion"), new.get("kind")
    if (api_version, kind) == (resource.api_version, resource.kind):
        return
    shown = msgspec.json.encode({name: new[name] for name in sorted(new)}).decode()
    if api_version == resource.api_version:
        target = f"{resource.group.partition('.')[0] or 'core'}.{resource.kind}"
        raise invalid_patch(shown, f"converting ({resource.version}.{kind}) to ({target}): unknown conversion")
    scheme = "pkg/api/legacyscheme/scheme.go:30"
    raise invalid_patch(shown, f'no kind "{kind}" is registered for version "{api_version}" in scheme "{scheme}"')


def parse_patch(call: Call, media_type: str, body: bytes, field_validation: str) -> Patch:
    """Raises UnsupportedMediaType, BadRequest."""
    kind = content_type(media_type) if media_type else ""
    if call.resource.custom is not None and kind not in CUSTOM_ACCEPTED:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join((*CUSTOM_ACCEPTED, APPLY))
        )
    if kind not in ACCEPTED:
        raise UnsupportedMediaType("415: Unsupported Media Type", has_details=True)
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"error decoding patch: {syntax_error(body) or error}") from None
    if kind == JSON_PATCH and not isinstance(content, list):
        raise _wrong(content, "[]handlers.jsonPatchOp")
    if kind != JSON_PATCH and not isinstance(content, dict):
        raise _wrong(content, "map[string]interface {}")
    return Patch(kind, content, field_validation)


def _wrong(content: Any, wanted: str) -> BadRequest:
    found = GO_TYPES.get(type(content), "null")
    return BadRequest(f"error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}")
