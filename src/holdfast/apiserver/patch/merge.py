"""Merge patch (RFC 7386, A125)."""

from __future__ import annotations

from typing import Any

from holdfast.api.errors import BadRequest


def merge_patch(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The target with the patch's members laid over it: null removes, lists and scalars replace. Raises BadRequest."""
    try:
        merged: dict[str, Any] = _merged(target, patch)
    except RecursionError:
        raise BadRequest("error decoding patch: exceeded max depth") from None
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
