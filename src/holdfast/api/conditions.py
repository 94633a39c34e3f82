"""Questions about conditions and phases that several parts ask of objects; all read only."""

from __future__ import annotations

from datetime import datetime, timedelta

from .resource import Manifest
from .times import parse_time


def condition(manifest: Manifest, kind: str) -> Manifest | None:
    """The condition of that type in status."""
    for found in manifest.get("status", {}).get("conditions") or ():
        if found.get("type") == kind:
            assert isinstance(found, dict)
            return found
    return None


def is_true(manifest: Manifest, kind: str) -> bool:
    found = condition(manifest, kind)
    return found is not None and found.get("status") == "True"


def is_terminating(manifest: Manifest) -> bool:
    """It has been deleted, and something still has to happen before it is gone."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def phase(manifest: Manifest) -> str:
    """Of a pod, claim, volume or namespace; empty where none is set."""
    return str(manifest.get("status", {}).get("phase") or "")


def is_finished(pod: Manifest) -> bool:
    """None of its containers will ever run again (N12)."""
    return phase(pod) in ("Succeeded", "Failed")


def is_ready(pod: Manifest) -> bool:
    """The pod's Ready condition is true."""
    return is_true(pod, "Ready")


def is_available(pod: Manifest, min_ready_seconds: int, now: datetime) -> bool:
    """Ready for at least that long without a break."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return False
    if min_ready_seconds == 0:
        return True
    since = ready.get("lastTransitionTime")
    return bool(since) and parse_time(str(since)) + timedelta(seconds=min_ready_seconds) <= now
