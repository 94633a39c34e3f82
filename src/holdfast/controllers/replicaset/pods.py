"""What counts about a pod whose siblings are all alike (W10, W14)."""

from __future__ import annotations

from datetime import datetime, timedelta

from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time


def phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def has_ended(pod: Manifest) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Manifest) -> bool:
    """Whether the pod counts as one of the wanted: others are replaced at once (W10)."""
    return not has_ended(pod) and "deletionTimestamp" not in pod["metadata"]


def is_terminating(pod: Manifest) -> bool:
    return not has_ended(pod) and "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Manifest) -> bool:
    return _ready(pod) is not None


def ready_since(pod: Manifest) -> datetime | None:
    """When it turned ready; None if it is not, or if that is not known."""
    moment = (_ready(pod) or {}).get("lastTransitionTime")
    return parse_time(moment) if moment else None


def available_in_s(pod: Manifest, min_ready_s: int, now: datetime) -> float | None:
    """Seconds until the pod counts as available, 0 if it does; None if that cannot be said yet (W14)."""
    if not is_ready(pod):
        return None
    if min_ready_s == 0:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, (since + timedelta(seconds=min_ready_s) - now).total_seconds())


def _ready(pod: Manifest) -> Manifest | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return dict(condition)
    return None
