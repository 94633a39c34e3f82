"""A claim that asks for more than its volume has: V65 to V69.

Admission has let the larger request through. The image is made larger first, then the volume's object says so, then
the claim's status: every step may be the last before a crash, and the next plan goes on from what was written. Where
the volume is mounted, its node makes the file system grow and writes the end of it (see `node/volumes/growth.py`).

Source: kubernetes-csi/external-resizer, pkg/controller and pkg/util.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from holdfast.api import quantity
from holdfast.api.conditions import condition, phase
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.resource import Manifest
from holdfast.api.storage import growth, shares
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Emit, Patch, Plan, Report, patch_status

from .effects import DirectoryWork, Work
from .places import is_ours, is_sized, path_of
from .plan import RESYNC_S


@dataclass(frozen=True, slots=True)
class ObservedGrowth:
    """All that the decision about a claim's size reads."""

    claim: Manifest
    volume: Manifest | None
    """The one the claim is bound to."""
    root: str
    now: datetime


def plan_growth(observed: ObservedGrowth) -> Work:
    """Pure."""
    claim, volume = observed.claim, observed.volume
    if phase(claim) != "Bound" or volume is None or claim["metadata"].get("deletionTimestamp"):
        return Work(claim, Plan("not bound"))
    if (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
        return Work(claim, Plan("not bound to that volume"))
    asked, has = growth.requested(claim), growth.capacity(claim)
    if not has or quantity.compare(asked, has) <= 0:
        return Work(claim, Plan("it has what it asks for"))
    if not is_ours(volume, observed.root) and shares.of_volume(volume) is None:
        return Work(claim, _left_to_others(volume, asked))
    if quantity.compare(growth.of_volume(volume), asked) >= 0 and growth.waits_for_node(claim):
        return Work(claim, Plan("its node makes the file system grow"))
    if not is_sized(volume):
        return Work(claim, Plan("a directory grows by its name alone", _grown(observed, asked)))
    return Work(claim, Plan("it asks for more", _begun(observed, asked)), _work(observed, asked))


def _left_to_others(volume: Manifest, asked: str) -> Plan:
    if quantity.compare(growth.of_volume(volume), asked) >= 0:
        return Plan("its volume is large enough")
    message = "waiting for an external controller to expand this PVC"
    return Plan(message, (Emit(Report("Normal", "ExternalExpanding", message)),))


def _begun(observed: ObservedGrowth, asked: str) -> tuple[Action, ...]:
    """Told once: a step that is repeated finds it written."""
    claim, volume = observed.claim, observed.volume
    assert volume is not None
    status = claim.get("status") or {}
    is_told = growth.state(claim) == growth.CONTROLLER_IN_PROGRESS and growth.allocated(claim) == asked
    if is_told or condition(claim, growth.PENDING):
        return ()
    name = volume["metadata"]["name"]
    written = {
        "allocatedResources": {**(status.get("allocatedResources") or {}), "storage": asked},
        "allocatedResourceStatuses": {"storage": growth.CONTROLLER_IN_PROGRESS},
        "conditions": growth.with_condition(claim, growth.RESIZING, format_time(observed.now)),
    }
    told = Report("Normal", "Resizing", f"External resizer is resizing volume {name}")
    return (patch_status(PERSISTENT_VOLUME_CLAIMS, claim, written, told),)


def _work(observed: ObservedGrowth, asked: str) -> DirectoryWork:
    volume = observed.volume
    assert volume is not None
    size_bytes = quantity.whole(asked)

    def done(is_whole: bool) -> Plan:
        if is_whole:
            return Plan("the volume has grown", _grown(observed, asked))
        return Plan("the image has grown", _pending(observed, asked))

    def failed(error: str) -> Plan:
        message = f'resize volume "{volume["metadata"]["name"]}" failed: {error}'
        told = Emit(Report("Warning", "VolumeResizeFailed", message))
        return Plan(message, (*_marked(observed, message), told), again_after_s=RESYNC_S)

    return DirectoryWork(
        "grow",
        path_of(volume, observed.root),
        done=Plan("the volume has grown"),
        failed=failed,
        arguments=(size_bytes,),
        done_by=done,
    )


def _marked(observed: ObservedGrowth, error: str) -> tuple[Action, ...]:
    """The failure as a condition of the claim; it goes with the growth (V67)."""
    conditions = growth.with_error(observed.claim, growth.CONTROLLER_ERROR, format_time(observed.now), error)
    if conditions is None:
        return ()
    return (patch_status(PERSISTENT_VOLUME_CLAIMS, observed.claim, {"conditions": conditions}),)


def _grown(observed: ObservedGrowth, asked: str) -> tuple[Action, ...]:
    """Both objects tell the new size, and nothing is left of how it came about (V68, V69)."""
    status = growth.finished(observed.claim, asked)
    told = Report("Normal", "VolumeResizeSuccessful", "Resize volume succeeded")
    return (*_volume_side(observed, asked), patch_status(PERSISTENT_VOLUME_CLAIMS, observed.claim, status, told))


def _pending(observed: ObservedGrowth, asked: str) -> tuple[Action, ...]:
    claim = observed.claim
    message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
    written = {
        "allocatedResources": {"storage": asked},
        "allocatedResourceStatuses": {"storage": growth.NODE_PENDING},
        "conditions": growth.with_condition(claim, growth.PENDING, format_time(observed.now), message),
    }
    told = Report("Normal", "FileSystemResizeRequired", "Require file system resize of volume on node")
    return (*_volume_side(observed, asked), patch_status(PERSISTENT_VOLUME_CLAIMS, claim, written, told))


def _volume_side(observed: ObservedGrowth, asked: str) -> tuple[Action, ...]:
    volume = observed.volume
    assert volume is not None
    if quantity.compare(growth.of_volume(volume), asked) >= 0:
        return ()
    metadata = volume["metadata"]
    patch = {"metadata": {"uid": metadata["uid"]}, "spec": {"capacity": {"storage": asked}}}
    return (Patch(PERSISTENT_VOLUMES, "", metadata["name"], patch),)
