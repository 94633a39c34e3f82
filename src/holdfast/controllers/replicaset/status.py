"""What the status of a ReplicaSet says (W6, W7, W13, W14)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.controllers.actions import Update

from .pods import available_in_s, is_ready

FAILURE = "ReplicaFailure"


def count(
    replica_set: Manifest, active: Sequence[Manifest], terminating: int, now: datetime, failure: str = ""
) -> Manifest:
    """The status by what there is now. `failure` is the reason of a condition about a failed action, if any."""
    spec = replica_set["spec"]
    wanted = ((spec["template"].get("metadata") or {}).get("labels") or {}).items()
    min_ready_s = int(spec.get("minReadySeconds") or 0)
    rest = {
        "observedGeneration": int(replica_set["metadata"].get("generation") or 0),
        "fullyLabeledReplicas": sum(wanted <= (pod["metadata"].get("labels") or {}).items() for pod in active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(available_in_s(pod, min_ready_s, now) == 0 for pod in active),
        "conditions": _conditions(replica_set, failure, now),
    }
    written: Manifest = {"replicas": len(active), "terminatingReplicas": terminating}
    return written | {name: value for name, value in rest.items() if value}


def write(resource: Resource, replica_set: Manifest, status: Manifest) -> Update | None:
    """The write; None if nothing changed."""
    return None if status == replica_set.get("status") else write_always(resource, replica_set, status)


def write_always(resource: Resource, replica_set: Manifest, status: Manifest) -> Update:
    return Update(resource, {**replica_set, "status": status}, subresource="status", insists=True)


def _conditions(replica_set: Manifest, failure: str, now: datetime) -> list[Manifest]:
    """The condition of a failure stays as it was first reported, and goes with the first success."""
    present = (replica_set.get("status") or {}).get("conditions") or []
    others = [condition for condition in present if condition["type"] != FAILURE]
    if not failure:
        return others
    if len(others) < len(present):
        return list(present)
    condition = {
        "type": FAILURE,
        "status": "True",
        "lastTransitionTime": format_time(now),
        "reason": failure,
        "message": "{first}",
    }
    return [*others, condition]
