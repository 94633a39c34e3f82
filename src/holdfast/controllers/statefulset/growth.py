"""Claims that grow with the size in their template, where the set asks for it (KEP-4650, docs/beyond.md)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import quantity
from holdfast.api.conditions import condition, phase
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.errors import Conflict
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Each, Patch, Report

from . import claims, identity
from .views import StatefulSet
from .writes import Sees


def is_due(seen: Sees, ordinal: int) -> bool:
    """Whether any claim of the ordinal has less than its template asks for, or may yet have more."""
    return seen.statefulset.beyond.grows_claims and any(not _has_grown(*pair) for pair in _pairs(seen, ordinal))


def grow(seen: Sees, ordinal: int) -> tuple[list[Action], str]:
    """What to ask for at the ordinal's turn, and why, or what is waited for.

    A claim is asked to grow only once it is bound: before, the server refuses.
    """
    pairs = [pair for pair in _pairs(seen, ordinal) if not _has_grown(*pair)]
    small = [pair for pair in pairs if _is_small(*pair)]
    if growing := [_ask(seen.statefulset, ordinal, *pair) for pair in small if phase(pair[0]) == "Bound"]:
        return [Each(growing)], f"the claims of pod {ordinal} are smaller than their templates"
    if not pairs:
        return [], ""
    name, size = pairs[0][0]["metadata"]["name"], pairs[0][1]
    return (
        [],
        f"waiting for claim {name} to be bound, to grow" if small else f"waiting for claim {name} to grow to {size}",
    )


def _pairs(seen: Sees, ordinal: int) -> Iterator[tuple[Manifest, str]]:
    """The claims of the ordinal that are there to stay, each with the size that its template asks for."""
    for template in seen.statefulset.claim_templates:
        claim = seen.claim_named(claims.claim_name(template, seen.statefulset, ordinal))
        size = _storage(template["spec"].get("resources", {}).get("requests"))
        if claim is not None and size and "deletionTimestamp" not in claim["metadata"]:
            yield claim, size


def _is_small(claim: Manifest, size: str) -> bool:
    asked = _storage((claim["spec"].get("resources") or {}).get("requests"))
    return bool(asked) and quantity.compare(asked, size) < 0


def _has_grown(claim: Manifest, size: str) -> bool:
    """It asks for enough, and has it; or only its file system is left to grow, which takes a running pod."""
    if _is_small(claim, size):
        return False
    has = _storage((claim.get("status") or {}).get("capacity"))
    return not has or quantity.compare(has, size) >= 0 or condition(claim, "FileSystemResizePending") is not None


def _storage(amounts: Manifest | None) -> str:
    return str((amounts or {}).get("storage") or "")


def _ask(statefulset: StatefulSet, ordinal: int, claim: Manifest, size: str) -> Patch:
    """Only of the claim as it was seen: whoever asks for more meanwhile is not overruled."""
    name, pod_name = claim["metadata"]["name"], identity.pod_name(statefulset, ordinal)
    version = claim["metadata"]["resourceVersion"]
    success = f"Update Claim {name} Pod {pod_name} in StatefulSet {statefulset.name} success"
    failure = f"Update Claim {name} for Pod {pod_name} in StatefulSet {statefulset.name} failed error: {{error}}"
    return Patch(
        PERSISTENT_VOLUME_CLAIMS,
        statefulset.namespace,
        name,
        {"metadata": {"resourceVersion": version}, "spec": {"resources": {"requests": {"storage": size}}}},
        on_success=Report("Normal", "SuccessfulUpdate", success),
        on_failure=Report("Warning", "FailedUpdate", failure),
        quiet=(Conflict,),
        error=f"failed to update PVC {name}: {{error}}",
    )
