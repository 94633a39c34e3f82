"""TaintNodesByCondition (A250)."""

from __future__ import annotations

from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

NOT_READY = "node.kubernetes.io/not-ready"


def taint_until_ready(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """A node takes no pods before it is known to be ready."""
    if old is not None:
        return
    spec = new["spec"] = {**(new.get("spec") or {})}
    taints = spec.get("taints") or []
    if not any((taint.get("key"), taint.get("effect")) == (NOT_READY, "NoSchedule") for taint in taints):
        spec["taints"] = [*taints, {"key": NOT_READY, "effect": "NoSchedule"}]
