"""Whom a ReplicaSet that is too large deletes first (W12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .pods import is_active, is_ready, phase, ready_since

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def victims(pods: Sequence[Manifest], related: Iterable[Manifest], count: int, now: datetime) -> list[Manifest]:
    """`count` of the active `pods`; `related` are all pods of the same controller's sets, these included.

    Ages are compared by powers of two: among pods about as old the uid decides, so that not always the
    youngest, which tend to sit on the same node, are taken.
    """
    if count >= len(pods):
        return list(pods)
    siblings = Counter(pod["spec"].get("nodeName") or "" for pod in related if is_active(pod))
    return sorted(pods, key=lambda pod: _order(pod, siblings, now))[:count]


def _order(pod: Manifest, siblings: Counter[str], now: datetime) -> tuple[Any, ...]:
    """A key under which the first to go is the smallest."""
    node = pod["spec"].get("nodeName") or ""
    ready = is_ready(pod)
    return (
        bool(node),
        _PHASES.get(phase(pod), 0),
        ready,
        _cost(pod),
        -siblings[node],
        _age_rank(ready_since(pod), now) if ready else 0,
        *(-restarts for restarts in _restarts(pod)),
        _age_rank(_created(pod), now),
        pod["metadata"]["uid"],
    )


def _age_rank(moment: datetime | None, now: datetime) -> int:
    """The power of two its age in nanoseconds falls in; -1 for none."""
    if moment is None:
        return -1
    age = now - moment
    nanoseconds = ((age.days * 86_400 + age.seconds) * 1_000_000 + age.microseconds) * 1000
    return nanoseconds.bit_length() - 1 if nanoseconds > 0 else -1


def _cost(pod: Manifest) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _restarts(pod: Manifest) -> tuple[int, int]:
    """The most of any container, then of any sidecar."""
    status = pod.get("status") or {}
    sidecars = {
        each["name"] for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") == "Always"
    }
    ordinary = [each.get("restartCount", 0) for each in status.get("containerStatuses") or ()]
    others = [
        each.get("restartCount", 0)
        for each in status.get("initContainerStatuses") or ()
        if each.get("name") in sidecars
    ]
    return max(ordinary, default=0), max(others, default=0)


def _created(pod: Manifest) -> datetime | None:
    moment = pod["metadata"].get("creationTimestamp")
    return parse_time(moment) if moment else None
