"""What becomes of a VolumeSnapshotContent of the local driver: taken, told of, taken away (V117-V119, V124).

Never ready before the copy is whole: a snapshot has its name on the disk only then.

Source: kubernetes-csi/external-snapshotter, pkg/sidecar-controller/snapshot_controller.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from holdfast.api.resource import Manifest
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.api.storage import binding
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Emit, Plan, Report, patch_status
from holdfast.controllers.volumes.effects import Cut, DirectoryWork, Work
from holdfast.controllers.volumes.places import SNAPSHOTS, is_sized, path_of
from holdfast.controllers.volumes.plan import RESYNC_S

from .names import BEING_DELETED, CONTENT_BOUND, finalizers, group_of, group_size, handle_of
from .places import Place, place_of
from .writes import set_finalizers


@dataclass(frozen=True, slots=True)
class Member:
    """One of several contents that are to be taken at the same moment."""

    content: Manifest
    volume: Manifest | None


@dataclass(frozen=True, slots=True)
class ObservedContent:
    """All that the decision about a content reads."""

    content: Manifest
    snapshot: Manifest | None
    """The one of the uid that it is bound to; None only if a live read confirmed it."""
    volume: Manifest | None
    """The one that its source names."""
    root: str
    now: datetime
    together: Sequence[Member] = ()
    """All that are to be taken at the same moment, itself included, as far as they are there yet."""


def plan_content(observed: ObservedContent) -> Work:
    """Pure."""
    content, place = observed.content, place_of(observed.content, observed.root)
    if place is None:
        return Work(content, Plan("another driver's"))
    if content["metadata"].get("deletionTimestamp"):
        return _plan_end(observed, place)
    if CONTENT_BOUND not in finalizers(content):
        protect = set_finalizers(VOLUME_SNAPSHOT_CONTENTS, content, [*finalizers(content), CONTENT_BOUND])
        return Work(content, Plan("unprotected", (protect,), again_after_s=0))
    if (content.get("status") or {}).get("readyToUse"):
        return Work(content, Plan("ready"))
    if handle := content["spec"]["source"].get("snapshotHandle"):
        return _plan_look(observed, place, handle)
    return _plan_cut(observed, place)


def _plan_cut(observed: ObservedContent, place: Place) -> Work:
    content, volume = observed.content, observed.volume
    told = "CreateSnapshotFailed"
    if observed.snapshot is None or observed.snapshot["metadata"].get("deletionTimestamp"):
        return Work(content, Plan("nobody wants it any more"))
    if volume is None:
        missing = f"the volume {content['spec']['source']['volumeHandle']} is gone"
        return Work(content, _failed(observed, "SnapshotCreationFailed", f"Failed to create snapshot: {missing}"))
    if group := group_of(observed.snapshot):
        return _plan_together(observed, group, volume)
    handle, size_bytes = place.handle(content), binding.capacity_bytes(volume)

    def failed(error: str) -> Plan:
        return _failed(observed, told, f"Failed to create snapshot: {error}")

    if not place.knows(handle):
        return Work(content, failed(f"no snapshots of {content['spec']['source']['volumeHandle']} are taken"))
    taken = partial(_taken, content, handle, size_bytes)
    return Work(content, Plan("taking it"), place.cut(handle, content, volume, taken, failed))


def _plan_together(observed: ObservedContent, group: str, volume: Manifest) -> Work:
    """With the first of them all are taken; the others find theirs there."""
    content, failing = observed.content, partial(_failed, observed, "CreateSnapshotFailed")
    assert observed.snapshot is not None
    missing = group_size(observed.snapshot) - len(observed.together)
    if missing > 0:
        return Work(content, Plan(f"waiting for {missing} more that are to be taken with it"))
    members = []
    for member in observed.together:
        name = member.content["spec"]["source"].get("volumeHandle")
        if member.volume is None or not is_sized(member.volume):
            why = f"{name} is a plain directory, and only volumes with a size are taken at one moment"
            return Work(content, failing(f"Failed to create snapshot: {why}"))
        members.append((handle_of(member.content), path_of(member.volume, observed.root)))
    handle = handle_of(content)
    return Work(
        content,
        Plan("taking it with the others"),
        DirectoryWork(
            "cut_together",
            f"{observed.root}/{SNAPSHOTS}/{handle}",
            done=Plan("taken"),
            failed=lambda error: failing(f"Failed to create snapshot: {error}"),
            arguments=(group, sorted(members)),
            done_by=partial(_taken, content, handle, binding.capacity_bytes(volume)),
        ),
    )


def _plan_look(observed: ObservedContent, place: Place, handle: str) -> Work:
    """Of one that exists (V119)."""
    content = observed.content

    def failed(error: str) -> Plan:
        message = f"Failed to check and update snapshot content: {error}"
        return _failed(observed, "SnapshotContentCheckandUpdateFailed", message)

    if not place.knows(handle):
        return Work(content, failed(f"no such snapshot: {handle}"))
    taken = partial(_taken, content, handle, 0)
    return Work(content, Plan("looking at it"), place.look(handle, content, taken, failed))


def _taken(content: Manifest, handle: str, size_bytes: int, cut: Cut) -> Plan:
    status = {
        "snapshotHandle": handle,
        "creationTime": cut.created_ns,
        "restoreSize": cut.size_bytes or size_bytes,
        "readyToUse": True,
        "error": None,
    }
    return Plan("it is there", (patch_status(VOLUME_SNAPSHOT_CONTENTS, content, status),))


def _failed(observed: ObservedContent, reason: str, message: str) -> Plan:
    content = observed.content
    error = {"message": message, "time": format_time(observed.now)}
    actions: list[Action] = [Emit(Report("Warning", reason, message))]
    if ((content.get("status") or {}).get("error") or {}).get("message") != message:
        actions.insert(0, patch_status(VOLUME_SNAPSHOT_CONTENTS, content, {"error": error, "readyToUse": False}))
    return Plan(message, tuple(actions), again_after_s=RESYNC_S)


def _plan_end(observed: ObservedContent, place: Place) -> Work:
    """The data goes with the content where the policy says so, but not under a snapshot that is there to stay."""
    content = observed.content
    if CONTENT_BOUND not in finalizers(content):
        return Work(content, Plan("no longer protected"))
    is_marked = (content["metadata"].get("annotations") or {}).get(BEING_DELETED) == "yes"
    if observed.snapshot is not None and not is_marked:
        return Work(content, Plan("its snapshot is there to stay"))
    gone = _forget(content)
    handle = _handle(content, place)
    if content["spec"]["deletionPolicy"] != "Delete" or not place.knows(handle):
        return Work(content, gone)

    def failed(error: str) -> Plan:
        message = f"Failed to delete snapshot: {error}"
        return Plan(message, (Emit(Report("Warning", "SnapshotDeleteError", message)),), again_after_s=RESYNC_S)

    return Work(content, Plan("removing its data"), place.remove(handle, content, gone, failed))


def _handle(content: Manifest, place: Place) -> str:
    """Also of one that was being taken when it was given up."""
    told = (content.get("status") or {}).get("snapshotHandle") or content["spec"]["source"].get("snapshotHandle")
    if told:
        return str(told)
    return place.handle(content) if content["spec"]["volumeSnapshotRef"].get("uid") else ""


def _forget(content: Manifest) -> Plan:
    kept = [each for each in finalizers(content) if each != CONTENT_BOUND]
    return Plan("the data is gone, or is to stay", (set_finalizers(VOLUME_SNAPSHOT_CONTENTS, content, kept),))
