"""ConversionReviews: how objects are sent to a conversion webhook, and what of its answer is taken (A209): pure.

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.api.errors import show
from holdfast.api.json_syntax import syntax_error
from holdfast.api.resource import Manifest

GROUP = "apiextensions.k8s.io"
VERSIONS = ("v1", "v1beta1")
_TAKEN = ("labels", "annotations")
"""What a webhook may change of metadata."""


class Unusable(Exception):
    """An answer that is none, in upstream's words."""


def review(uid: str, version: str, target: str, objects: Sequence[Manifest]) -> bytes:
    request = {"uid": uid, "desiredAPIVersion": target, "objects": objects}
    return msgspec.json.encode({"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request})


def converted(body: bytes, uid: str, target: str, objects: Sequence[Manifest]) -> list[Manifest]:
    """The objects as the answer has them, with their own metadata but for what may change. Raises Unusable."""
    response = _response(body)
    if response.get("uid", "") != uid:
        raise Unusable(f"expected response.uid={show(uid)}, got {show(response.get('uid', ''))}")
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        raise Unusable(str(result.get("message") or "no failure message provided"))
    given = response.get("convertedObjects")
    given = given if isinstance(given, list) else []
    if len(given) != len(objects):
        raise Unusable(f"returned {len(given)} objects, expected {len(objects)}")
    return [
        _taken(index, before, after, target) for index, (before, after) in enumerate(zip(objects, given, strict=True))
    ]


def _response(body: bytes) -> Manifest:
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"couldn't get version/kind; json parse error: {syntax_error(body) or error}") from None
    response = given.get("response") if isinstance(given, dict) else None
    if not isinstance(response, dict):
        raise Unusable("no response provided")
    return response


def _taken(index: int, before: Manifest, after: Any, target: str) -> Manifest:
    where = f"returned invalid converted object at index {index}"
    metadata = after.get("metadata") if isinstance(after, dict) else None
    if not isinstance(metadata, dict):
        raise Unusable(f"{where}: missing metadata")
    found = str(after.get("apiVersion") or ""), str(after.get("kind") or "")
    if found[0] != target:
        raise Unusable(f"{where}: invalid groupVersion (expected {target}, received {found[0]})")
    if found[1] != before["kind"]:
        raise Unusable(f"{where}: invalid kind (expected {before['kind']}, received {found[1]})")
    for member in ("name", "namespace", "uid"):
        if metadata.get(member) != before["metadata"].get(member):
            raise Unusable(f"{where}: metadata.{member} changed")
    kept = {name: value for name, value in before["metadata"].items() if name not in _TAKEN}
    return {**after, "metadata": {**kept, **{name: metadata[name] for name in _TAKEN if metadata.get(name)}}}
