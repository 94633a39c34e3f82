"""TaintNodesByCondition (A250), and what of NodeRestriction needs the object."""

from __future__ import annotations

from holdfast.api.errors import Forbidden
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


def own_only(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """An agent makes no Node but its own: of a create, the authorizer does not know the name. Raises Forbidden."""
    node, name = call.user.node_name, new["metadata"].get("name", "")
    if old is None and node and name != node:
        text = f'nodes "{name}" is forbidden: node "{node}" is not allowed to modify node "{name}"'
        raise Forbidden(text, name=name, kind="nodes")
