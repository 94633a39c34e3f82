"""What becomes of a released volume: kept, deleted or recycled (V53-V60).

Policy and provisioner are read from the volume alone: its class may be long gone (V53).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from holdfast.api import quantity
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding, shares
from holdfast.api.storage.mount_options import mount_options
from holdfast.controllers.actions import Action, Delete, Emit, Patch, Plan, Report

from .effects import DirectoryWork, ShareWork, Work
from .places import is_sized, path_of
from .plan import RESYNC_S, set_phase
from .provision import FINALIZER
from .provisioners import SERVED
from .share import deletion

IN_TREE_FINALIZER = "kubernetes.io/pv-controller"

RECYCLED_WITHIN_S = {"nfs": 300.0, "hostPath": 60.0}
RECYCLED_WITHIN_S_PER_GI = 30.0

REMOVING = Plan("removing the volume's data")


@dataclass(frozen=True, slots=True)
class ObservedRelease:
    """All that the decision about a released volume reads."""

    volume: Manifest
    users: Sequence[str]
    """Pods ("namespace/name") that run with the claim named in claimRef, though there is none of that name (V56)."""
    now: datetime
    root: str = ""
    """The directory in which volumes are made."""
    has_left: str = ""
    """The machine that the volume is on, if that is no longer one of the cluster's."""


def plan_reclaim(observed: ObservedRelease) -> Work:
    """For volumes in phase Released or Failed; nothing for any other."""
    volume = observed.volume
    if (volume.get("status") or {}).get("phase") not in ("Released", "Failed"):
        return Work(volume, Plan("not released"))
    match volume["spec"].get("persistentVolumeReclaimPolicy"):
        case "Retain":
            return Work(volume, Plan("released and kept"))
        case "Delete" | "Recycle" if observed.has_left:
            return Work(volume, _tell_of_failed_delete(_out_of_reach(observed.has_left)))
        case "Delete":
            return _plan_delete(observed)
        case "Recycle":
            return _plan_recycle(observed)
        case _:
            return Work(
                volume,
                _failed(
                    volume, "VolumeUnknownReclaimPolicy", "Volume has an unrecognized reclaim policy", observed.now
                ),
            )


def _plan_delete(observed: ObservedRelease) -> Work:
    volume, now = observed.volume, observed.now
    provisioner = binding.annotation(volume, binding.PROVISIONED_BY)
    path = path_of(volume, observed.root)
    if provisioner == shares.DRIVER:
        return _plan_delete_share(observed)
    if provisioner is not None and (provisioner not in SERVED or not path):
        return Work(volume, Plan(f"{provisioner} deletes it"))
    if provisioner is None and (refusal := _no_deleter(volume, "" if is_sized(volume) else path)):
        return Work(volume, _failed(volume, "VolumeFailedDelete", refusal, now))
    if observed.users:
        # Its claim was torn from it by force: the data goes when the last process has let go of it (V134).
        return Work(volume, _tell_of_failed_delete(_users_of(observed)))
    if provisioner is not None:
        # An external provisioner leaves the phase alone (V53).
        return Work(volume, REMOVING, DirectoryWork("remove", path, _forget(volume), _tell_of_failed_delete))
    failed = partial(_failed, volume, "VolumeFailedDelete", now=now)
    return Work(volume, REMOVING, DirectoryWork("remove", path, _forget(volume), failed))


def _plan_delete_share(observed: ObservedRelease) -> Work:
    volume = observed.volume
    share = shares.of_volume(volume)
    if share is None:
        return Work(volume, Plan("its handle says nothing"))
    if observed.users:
        return Work(volume, _tell_of_failed_delete(_users_of(observed)))
    work = deletion(volume, share, _forget(volume), _tell_of_failed_delete)
    return Work(volume, _forget(volume)) if work is None else Work(volume, REMOVING, work)


def _no_deleter(volume: Manifest, path: str) -> str:
    """Why a volume made by hand cannot be deleted; empty if it can (V54)."""
    if not path:
        name = volume["metadata"]["name"]
        return f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
    if not path.startswith("/tmp/") or path == "/tmp/":
        return f"host_path deleter only supports /tmp/.+ but received provided {path}"
    return ""


def _out_of_reach(machine: str) -> str:
    return (
        f"its directory is on the machine {machine}, which has left the cluster: let it join again under that name, or"
        " give the data up by removing the volume's finalizers"
    )


def _users_of(observed: ObservedRelease) -> str:
    return f"Volume is used by pods: {','.join(sorted(observed.users))}"


def _forget(volume: Manifest) -> Plan:
    """The object may go once the data is gone."""
    metadata = volume["metadata"]
    kept = [each for each in metadata.get("finalizers") or () if each not in (FINALIZER, IN_TREE_FINALIZER)]
    actions: list[Action] = []
    if not metadata.get("deletionTimestamp"):
        actions.append(Delete(PERSISTENT_VOLUMES, "", metadata["name"], metadata["uid"]))
    if kept != (metadata.get("finalizers") or []):
        patch = binding.locked(volume, {"metadata": {"finalizers": kept or None}})
        actions.insert(0, Patch(PERSISTENT_VOLUMES, "", metadata["name"], patch))
    return Plan("the data is deleted", tuple(actions))


def _tell_of_failed_delete(error: str) -> Plan:
    return Plan(error, (Emit(Report("Warning", "VolumeFailedDelete", error)),), again_after_s=RESYNC_S)


def _plan_recycle(observed: ObservedRelease) -> Work:
    volume, now = observed.volume, observed.now
    path = (volume["spec"].get("hostPath") or {}).get("path", "")
    if observed.users:
        message = _users_of(observed)
        return Work(
            volume, Plan(message, (Emit(Report("Normal", "VolumeFailedRecycle", message)),), again_after_s=RESYNC_S)
        )

    def failed(error: str) -> Plan:
        return _failed(volume, "VolumeFailedRecycle", f"Recycle failed: {error}", now)

    emptying, recycled = Plan("emptying the volume"), _recycled(volume, now)
    if path:
        arguments = (recycled_within_s(volume, "hostPath"),)
        return Work(volume, emptying, DirectoryWork("empty", path, recycled, failed, arguments))
    if share := volume["spec"].get("nfs"):
        options, deadline_s = mount_options(volume), recycled_within_s(volume, "nfs")
        return Work(volume, emptying, ShareWork(share["server"], share["path"], options, deadline_s, recycled, failed))
    return Work(volume, _failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!", now))


def recycled_within_s(volume: Manifest, kind: str) -> float:
    """How long emptying may take: half a minute for each whole Gi, and at least what the kind of volume has (V55)."""
    gibibytes = quantity.whole(volume["spec"]["capacity"]["storage"]) // (1 << 30)
    return max(RECYCLED_WITHIN_S[kind], RECYCLED_WITHIN_S_PER_GI * gibibytes)


def _recycled(volume: Manifest, now: datetime) -> Plan:
    """Free for any claim, as if it were new."""
    metadata = volume["metadata"]
    freed = {"metadata": {"annotations": {binding.BOUND_BY_CONTROLLER: None}}, "spec": {"claimRef": None}}
    patch = binding.locked(volume, freed)
    recycled = Report("Normal", "VolumeRecycled", "Volume recycled")
    write = Patch(PERSISTENT_VOLUMES, "", metadata["name"], patch, on_success=recycled)
    return Plan("recycled", (write, set_phase(volume, "Available", now)))


def _failed(volume: Manifest, reason: str, message: str, now: datetime) -> Plan:
    """Phase Failed with the reason; looked at again with every resync (V54)."""
    status = volume.get("status") or {}
    report = Report("Warning", reason, message)
    if status.get("phase") == "Failed" and status.get("message") == message:
        return Plan(message, (Emit(report),), again_after_s=RESYNC_S)
    return Plan(message, (set_phase(volume, "Failed", now, message, report),), again_after_s=RESYNC_S)
