"""AdmissionReviews: how an attempt is told to a webhook, and what its answer says (A246): pure.

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.api.errors import show
from holdfast.api.json_syntax import syntax_error
from holdfast.api.resource import Manifest, Resource

from .attempt import Attempt, Kind

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")
_KIND = "AdmissionReview"


class Unusable(Exception):
    """An answer that is none, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook has said."""

    allowed: bool
    warnings: Sequence[str] = ()
    status: Manifest | None = None
    """Why not."""
    patch: Sequence[Any] = ()
    """Operations of a JSON patch."""


def version_of(accepted: Sequence[str]) -> str:
    """The first version that both sides know. Raises Unusable."""
    for version in accepted:
        if version in VERSIONS:
            return version
    raise Unusable("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def kind_in(attempt: Attempt, resource: Resource) -> Kind:
    """Of the object as `resource` shows it: what a subresource takes is the same for all versions."""
    own = attempt.resource
    if attempt.kind != (own.group, own.version, own.kind):
        return attempt.kind
    return resource.group, resource.version, resource.kind


def request_of(attempt: Attempt, uid: str, resource: Resource) -> dict[str, Any]:
    """All of a request but object and oldObject; `resource` is the form in which the object is shown."""
    group, version, kind = kind_in(attempt, resource)
    asked_group, asked_version, asked_kind = attempt.kind
    own = attempt.resource
    told: dict[str, Any] = {
        "uid": uid,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        "subResource": attempt.call.subresource,
        "requestKind": {"group": asked_group, "version": asked_version, "kind": asked_kind},
        "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
        "requestSubResource": attempt.call.subresource,
        "name": attempt.name,
        "namespace": attempt.namespace,
        "operation": attempt.operation,
        "userInfo": attempt.user_info(),
    }
    told = {name: value for name, value in told.items() if value != ""}
    return {**told, "dryRun": attempt.is_dry_run, "options": attempt.options}


def review(
    attempt: Attempt, uid: str, version: str, resource: Resource, shown: Manifest | None, old: Manifest | None
) -> bytes:
    """The body that is sent."""
    request = {**request_of(attempt, uid, resource), "object": shown, "oldObject": old}
    return msgspec.json.encode({"kind": _KIND, "apiVersion": f"{GROUP}/{version}", "request": request})


def verdict(body: bytes, uid: str, version: str, *, may_patch: bool) -> Verdict:
    """Raises Unusable."""
    given = _decoded(body)
    response = given.get("response")
    if not isinstance(response, dict):
        raise Unusable("webhook response was absent")
    if version == "v1":
        _check(given, response, uid, may_patch=may_patch)
    warnings, status = response.get("warnings"), response.get("status")
    return Verdict(
        allowed=response.get("allowed") is True,
        warnings=[text for text in warnings if isinstance(text, str)] if isinstance(warnings, list) else (),
        status=status if isinstance(status, dict) else None,
        patch=_operations(response.get("patch")) if may_patch and response.get("patch") else (),
    )


def _decoded(body: bytes) -> Manifest:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = syntax_error(body) or error
        raise Unusable(f"couldn't get version/kind; json parse error: {why}") from None
    if not isinstance(given, dict):
        raise Unusable("couldn't get version/kind; json parse error: json: cannot unmarshal into Go value")
    return given


def _check(given: Manifest, response: Manifest, uid: str, *, may_patch: bool) -> None:
    """What v1 holds against an answer and v1beta1 lets pass."""
    if response.get("uid", "") != uid:
        raise Unusable(f"expected response.uid={show(uid)}, got {show(response.get('uid', ''))}")
    found = given.get("apiVersion") or "", given.get("kind") or ""
    if found != (f"{GROUP}/v1", _KIND):
        group_version = found[0] or "/"
        raise Unusable(f"expected webhook response of {GROUP}/v1, Kind={_KIND}, got {group_version}, Kind={found[1]}")
    patch, patch_type = response.get("patch"), response.get("patchType")
    if not may_patch:
        for member in ("patch", "patchType"):
            if response.get(member):
                raise Unusable(f"validating webhook may not return response.{member}")
        return
    if patch and patch_type is None:
        raise Unusable("webhook returned response.patch but not response.patchType")
    if not patch and patch_type is not None:
        raise Unusable("webhook returned response.patchType but not response.patch")
    if patch_type not in (None, "JSONPatch"):
        raise Unusable(f"webhook returned invalid response.patchType of {show(patch_type)}")


def _operations(patch: Any) -> Sequence[Any]:
    refusal = "received undecodable patch in webhook response"
    try:
        operations = msgspec.json.decode(b64decode(patch, validate=True))
    except (NotBase64, TypeError, ValueError, msgspec.DecodeError) as error:
        raise Unusable(f"{refusal}: {error}") from None
    if operations is None:
        return ()
    if not isinstance(operations, list):
        raise Unusable(f"{refusal}: json: cannot unmarshal into Go value of type jsonpatch.Patch")
    return operations
