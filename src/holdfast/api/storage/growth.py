"""How far a claim's growth has come: what the controller that starts it and the node that ends it share (V66)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

RESIZING, PENDING = "Resizing", "FileSystemResizePending"
CONTROLLER_IN_PROGRESS = "ControllerResizeInProgress"
NODE_PENDING = "NodeResizePending"
CONTROLLER_ERROR, NODE_ERROR = "ControllerResizeError", "NodeResizeError"
_OWN = frozenset({RESIZING, PENDING, CONTROLLER_ERROR, NODE_ERROR})


def requested(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def capacity(claim: Manifest) -> str:
    """What the claim has; empty before it is bound."""
    return str(((claim.get("status") or {}).get("capacity") or {}).get("storage") or "")


def of_volume(volume: Manifest) -> str:
    return str(volume["spec"]["capacity"]["storage"])


def allocated(claim: Manifest) -> str:
    """What was last begun to be given to it."""
    return str(((claim.get("status") or {}).get("allocatedResources") or {}).get("storage") or "")


def state(claim: Manifest) -> str:
    """Where its growth is; empty if it does not grow."""
    return str(((claim.get("status") or {}).get("allocatedResourceStatuses") or {}).get("storage") or "")


def waits_for_node(claim: Manifest) -> bool:
    """Only the file system is left to grow."""
    return state(claim) == NODE_PENDING


def finished(claim: Manifest, size: str) -> Manifest:
    """A merge patch of the status: it has `size`, and nothing tells of its growth any more."""
    return {
        "capacity": {"storage": size},
        "allocatedResources": {"storage": size},
        "allocatedResourceStatuses": None,
        "conditions": _others(claim) or None,
    }


def with_condition(claim: Manifest, kind: str, now: str, message: str = "") -> list[Manifest]:
    """The conditions, with this one in place of all that tell of growth."""
    told: Manifest = {"type": kind, "status": "True", "lastTransitionTime": now}
    return [*_others(claim), {**told, "message": message} if message else told]


def with_error(claim: Manifest, kind: str, now: str, error: str) -> list[Manifest] | None:
    """The conditions with that of a failure added; None if they say so already."""
    message = f"failed to expand pvc with {error}"
    present = (claim.get("status") or {}).get("conditions") or ()
    if any(each.get("type") == kind and each.get("message") == message for each in present):
        return None
    kept = [each for each in present if each.get("type") != kind]
    if not any(each.get("type") in (RESIZING, PENDING) for each in kept):
        kept.append({"type": RESIZING, "status": "True", "lastTransitionTime": now})
    return [*kept, {"type": kind, "status": "True", "lastTransitionTime": now, "message": message}]


def _others(claim: Manifest) -> list[Manifest]:
    return [each for each in (claim.get("status") or {}).get("conditions") or () if each.get("type") not in _OWN]
