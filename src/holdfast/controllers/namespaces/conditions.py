"""What the conditions of a namespace that goes say: what is left in it, and why (W95, A256).

Source: Kubernetes, pkg/controller/namespace/deletion/status_condition_utils.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time

Content = Mapping[Resource, Sequence[Manifest]]
Said = tuple[str, str, str]
"""Status, reason, message."""

_DISCOVERED: Said = ("False", "ResourcesDiscovered", "All resources successfully discovered")
_PARSED: Said = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed")
_DELETED: Said = ("False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization")
_REMOVED: Said = ("False", "ContentRemoved", "All content successfully removed")
_FINALIZED: Said = ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")


def updated(
    present: Sequence[Manifest], content: Content, failures: Sequence[str], now: datetime, *, is_refused: bool = False
) -> list[Manifest]:
    """The conditions as they are to be. `is_refused` leaves room for the failures of what is tried now."""
    found = {
        "NamespaceDeletionDiscoveryFailure": _DISCOVERED,
        "NamespaceDeletionGroupVersionParsingFailure": _PARSED,
        "NamespaceDeletionContentFailure": _failed(failures, is_refused=is_refused),
        "NamespaceContentRemaining": _remaining(content),
        "NamespaceFinalizersRemaining": _held(content),
    }
    at = format_time(now)
    changed = [_changed(each, found.pop(each["type"]), at) if each["type"] in found else each for each in present]
    return [*changed, *(_condition(type, said, at) for type, said in found.items())]


def _condition(type: str, said: Said, at: str) -> Manifest:
    status, reason, message = said
    return {"type": type, "status": status, "lastTransitionTime": at, "reason": reason, "message": message}


def _changed(before: Manifest, said: Said, at: str) -> Manifest:
    """The time of the last flip stays as long as the status does (W7)."""
    after = _condition(before["type"], said, at)
    if before["status"] == after["status"]:
        return {**after, "lastTransitionTime": before["lastTransitionTime"]}
    return after


def _failed(failures: Sequence[str], *, is_refused: bool) -> Said:
    if not failures and not is_refused:
        return _DELETED
    count, errors = ("{count}", "{errors}") if is_refused else (str(len(failures)), ", ".join(sorted(failures)))
    return "True", "ContentDeletionFailed", f"Failed to delete all resource types, {count} remaining: {errors}"


def _remaining(content: Content) -> Said:
    counts = sorted(
        f"{resource.plural}.{resource.group} has {len(manifests)} resource instances"
        for resource, manifests in content.items()
    )
    if not counts:
        return _REMOVED
    return "True", "SomeResourcesRemain", f"Some resources are remaining: {', '.join(counts)}"


def _held(content: Content) -> Said:
    counts = Counter(
        name
        for manifests in content.values()
        for manifest in manifests
        for name in manifest["metadata"].get("finalizers") or ()
    )
    if not counts:
        return _FINALIZED
    held = ", ".join(sorted(f"{name} in {times} resource instances" for name, times in counts.items()))
    return "True", "SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {held}"
