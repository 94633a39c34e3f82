"""What becomes of a VolumeSnapshot: its class, its content, its status, its end (V115-V120).

The content is made under a name that comes from the snapshot's uid; what it says is shown on the snapshot. Nothing is
decided on what is not there: a claim that is not bound yet, a class that is missing, are waited for.

Source: kubernetes-csi/external-snapshotter, pkg/common-controller/snapshot_controller.go.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from holdfast.api import quantity
from holdfast.api.conditions import phase
from holdfast.api.core.machines import machine_of
from holdfast.api.resource import Manifest
from holdfast.api.snapshots import IS_DEFAULT_CLASS
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.api.storage import binding, shares
from holdfast.api.storage.mount_options import ANNOTATION as MOUNT_OPTIONS
from holdfast.api.storage.mount_options import mount_options
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Create, Delete, Emit, Patch, Plan, Report, patch_status
from holdfast.controllers.volumes.places import is_ours, is_sized
from holdfast.controllers.volumes.plan import RESYNC_S
from holdfast.controllers.volumes.provisioners import DRIVER, DRIVERS

from .names import AS_SOURCE, BEING_DELETED, BOUND, CONTENT_BOUND, content_name, finalizers, is_bound
from .writes import change, set_finalizers

NOT_THERE = "snapshots are taken on the machine of the API server only"


@dataclass(frozen=True, slots=True)
class ObservedSnapshot:
    """All that the decision about a snapshot reads."""

    snapshot: Manifest
    content: Manifest | None
    """The one it names, or the one that is made for it."""
    claim: Manifest | None
    volume: Manifest | None
    """The claim's."""
    classes: Sequence[Manifest]
    restoring: Sequence[Manifest]
    """Claims that wait to be filled from it."""
    root: str
    now: datetime


class Obstacle(Exception):
    """Why the snapshot cannot be had now: (reason of the event, text)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def plan_snapshot(observed: ObservedSnapshot) -> Plan:
    snapshot = observed.snapshot
    if snapshot["metadata"].get("deletionTimestamp"):
        return replace(_plan_end(observed), subject=snapshot)
    try:
        return replace(_plan_life(observed), subject=snapshot)
    except Obstacle as obstacle:
        return replace(_stopped(observed, obstacle), subject=snapshot)


def _plan_life(observed: ObservedSnapshot) -> Plan:
    snapshot = observed.snapshot
    missing = [each for each in (AS_SOURCE, BOUND) if each not in finalizers(snapshot)]
    if missing:
        protect = set_finalizers(VOLUME_SNAPSHOTS, snapshot, [*finalizers(snapshot), *missing])
        return Plan("unprotected", (protect,), again_after_s=0)
    if snapshot["spec"]["source"].get("volumeSnapshotContentName"):
        return _plan_given(observed)
    if observed.content is not None:
        return _plan_mirror(observed, observed.content)
    return _plan_taking(observed)


def _plan_given(observed: ObservedSnapshot) -> Plan:
    """A snapshot that exists: its content and it must name each other (V119)."""
    snapshot, content = observed.snapshot, observed.content
    if content is None:
        raise Obstacle("SnapshotContentMissing", "VolumeSnapshotContent is missing")
    name = content["metadata"]["name"]
    if not content["spec"]["source"].get("snapshotHandle"):
        raise Obstacle(
            "SnapshotContentMismatch",
            f"VolumeSnapshotContent [{name}] is dynamically provisioned while expecting a pre-provisioned one",
        )
    reference, metadata = content["spec"]["volumeSnapshotRef"], snapshot["metadata"]
    named = (reference["name"], reference["namespace"]) == (metadata["name"], metadata["namespace"])
    if not named or reference.get("uid", metadata["uid"]) != metadata["uid"]:
        refusal = f"VolumeSnapshotContent [{name}] is bound to a different snapshot"
        raise Obstacle("SnapshotContentMisbound", refusal)
    if not reference.get("uid"):
        bind: Manifest = {"volumeSnapshotRef": {"uid": metadata["uid"]}}
        if snapshot["spec"].get("volumeSnapshotClassName"):
            bind["volumeSnapshotClassName"] = snapshot["spec"]["volumeSnapshotClassName"]
        return Plan(f"binding to {name}", (change(VOLUME_SNAPSHOT_CONTENTS, content, {"spec": bind}),))
    return _plan_mirror(observed, content)


def _plan_taking(observed: ObservedSnapshot) -> Plan:
    """V117."""
    snapshot, claim, volume = observed.snapshot, observed.claim, observed.volume
    failed = "SnapshotContentCreationFailed"
    name = snapshot["spec"]["source"]["persistentVolumeClaimName"]
    prefix = "Failed to create snapshot content with error "
    if claim is None:
        missing = f'cannot get claim from snapshot: failed to retrieve PVC {name} from the lister: "'
        raise Obstacle(failed, f'{prefix}{missing}persistentvolumeclaim \\"{name}\\" not found"'.replace("\\", ""))
    if phase(claim) != "Bound" or volume is None:
        refusal = f"the PVC {name} is not yet bound to a PV, will not attempt to take a snapshot"
        raise Obstacle(failed, f"{prefix}{refusal}")
    if machine := machine_of(volume):
        raise Obstacle(failed, f"{prefix}the volume of the PVC {name} is on the machine {machine}: {NOT_THERE}")
    drivers = _drivers(volume, observed.root)
    if not drivers:
        refusal = f"cannot find CSI PersistentVolumeSource for volume {volume['metadata']['name']}"
        raise Obstacle(failed, f"{prefix}{refusal}")
    class_name = snapshot["spec"].get("volumeSnapshotClassName")
    if class_name is None:
        chosen = _default_class(observed.classes, volume)
        patch = {"spec": {"volumeSnapshotClassName": chosen["metadata"]["name"]}}
        return Plan("the default class", (change(VOLUME_SNAPSHOTS, snapshot, patch),))
    snapshot_class = next((each for each in observed.classes if each["metadata"]["name"] == class_name), None)
    if snapshot_class is None:
        refusal = f'failed to get input parameters to create snapshot {snapshot["metadata"]["name"]}: "'
        missing = f'volumesnapshotclass.snapshot.storage.k8s.io "{class_name}" not found"'
        raise Obstacle("GetSnapshotClassFailed", f"Failed to get snapshot class with error {refusal}{missing}")
    if snapshot_class["driver"] not in drivers:
        refusal = f"the driver {snapshot_class['driver']} of the class {class_name} is not the volume's"
        raise Obstacle(failed, f"{prefix}{refusal}")
    return _create(snapshot, volume, snapshot_class)


def _drivers(volume: Manifest, root: str) -> Collection[str]:
    """The names by which a class may mean the volume's driver; none if it is not one of those here."""
    if shares.of_volume(volume) is not None:
        return (shares.DRIVER,)
    return DRIVERS if is_ours(volume, root) else ()


def _driver(volume: Manifest) -> str:
    return DRIVER if shares.of_volume(volume) is None else shares.DRIVER


def _default_class(classes: Sequence[Manifest], volume: Manifest) -> Manifest:
    """Of the volume's driver; exactly one (V115)."""
    drivers = {_driver(volume), binding.annotation(volume, binding.PROVISIONED_BY)}
    defaults = [
        each
        for each in classes
        if each["driver"] in drivers and (each["metadata"].get("annotations") or {}).get(IS_DEFAULT_CLASS) == "true"
    ]
    prefix = "Failed to set default snapshot class with error "
    if not defaults:
        raise Obstacle("SetDefaultSnapshotClassFailed", f"{prefix}cannot find default snapshot class")
    if len(defaults) > 1:
        refusal = f"{len(defaults)} default snapshot classes were found"
        raise Obstacle("SetDefaultSnapshotClassFailed", f"{prefix}{refusal}")
    return defaults[0]


def _create(snapshot: Manifest, volume: Manifest, snapshot_class: Manifest) -> Plan:
    metadata, name = snapshot["metadata"], content_name(snapshot)
    content = {
        "apiVersion": VOLUME_SNAPSHOT_CONTENTS.api_version,
        "kind": VOLUME_SNAPSHOT_CONTENTS.kind,
        "metadata": {"name": name, "finalizers": [CONTENT_BOUND], **_annotations(volume)},
        "spec": {
            "deletionPolicy": snapshot_class["deletionPolicy"],
            "driver": _driver(volume),
            "source": {"volumeHandle": volume_handle(volume)},
            "sourceVolumeMode": binding.mode_of(volume),
            "volumeSnapshotClassName": snapshot_class["metadata"]["name"],
            "volumeSnapshotRef": {
                "apiVersion": VOLUME_SNAPSHOTS.api_version,
                "kind": VOLUME_SNAPSHOTS.kind,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        },
    }
    waiting = f"Waiting for a snapshot {metadata['namespace']}/{metadata['name']} to be created by the CSI driver."
    told = Report("Normal", "CreatingSnapshot", waiting)
    failed = Report("Warning", "CreateSnapshotContentFailed", "Failed to create snapshot content with error {error}")
    create = Create(VOLUME_SNAPSHOT_CONTENTS, content, on_success=told, on_failure=failed, may_exist=True)
    return Plan(f"taking it as {name}", (create,))


def _annotations(volume: Manifest) -> Manifest:
    """How a share has to be mounted: class and volume may be gone when the snapshot goes."""
    options = mount_options(volume) if shares.of_volume(volume) is not None else ()
    return {"annotations": {MOUNT_OPTIONS: ",".join(options)}} if options else {}


def volume_handle(volume: Manifest) -> str:
    """The driver's name of it."""
    has_handle = is_sized(volume) or shares.of_volume(volume) is not None
    return str(volume["spec"]["csi"]["volumeHandle"] if has_handle else volume["metadata"]["name"])


def _plan_mirror(observed: ObservedSnapshot, content: Manifest) -> Plan:
    """The content's status on the snapshot."""
    snapshot, name = observed.snapshot, content["metadata"]["name"]
    if not is_bound(snapshot, content):
        refusal = f"VolumeSnapshotContent [{name}] is bound to a different snapshot"
        raise Obstacle("SnapshotContentMisbound", refusal)
    wanted = _mirrored(content)
    has = snapshot.get("status") or {}
    if all(has.get(key) == value for key, value in wanted.items()):
        return Plan("as its content is")
    actions: list[Action] = [patch_status(VOLUME_SNAPSHOTS, snapshot, wanted)]
    called = f"{snapshot['metadata']['namespace']}/{snapshot['metadata']['name']}"
    if wanted["creationTime"] and not has.get("creationTime"):
        created = f"Snapshot {called} was successfully created by the CSI driver."
        actions.append(Emit(Report("Normal", "SnapshotCreated", created)))
    if wanted["readyToUse"] and not has.get("readyToUse"):
        actions.append(Emit(Report("Normal", "SnapshotReady", f"Snapshot {called} is ready to use.")))
    return Plan(f"shows {name}", tuple(actions))


def _mirrored(content: Manifest) -> Manifest:
    status = content.get("status") or {}
    created, size = status.get("creationTime"), status.get("restoreSize")
    return {
        "boundVolumeSnapshotContentName": content["metadata"]["name"],
        "creationTime": format_time(datetime.fromtimestamp(created // 10**9, UTC)) if created else None,
        "readyToUse": bool(status.get("readyToUse")),
        "restoreSize": quantity.binary(size) if size is not None else None,
        "error": status.get("error"),
    }


def _stopped(observed: ObservedSnapshot, obstacle: Obstacle) -> Plan:
    """Shown on the snapshot, told, and looked at again."""
    snapshot = observed.snapshot
    told = Emit(Report("Warning", obstacle.reason, obstacle.message))
    error = {"message": obstacle.message, "time": format_time(observed.now)}
    known = ((snapshot.get("status") or {}).get("error") or {}).get("message")
    actions: list[Action] = [told]
    if known != obstacle.message:
        actions.insert(0, patch_status(VOLUME_SNAPSHOTS, snapshot, {"error": error, "readyToUse": False}))
    return Plan(obstacle.message, tuple(actions), again_after_s=RESYNC_S)


def _plan_end(observed: ObservedSnapshot) -> Plan:
    """The data goes first where it has to, then the content, then the snapshot (V118)."""
    snapshot, content = observed.snapshot, observed.content
    if observed.restoring:
        waiting = Report("Warning", "SnapshotDeletePending", "Snapshot is being used to restore a PVC")
        return Plan(waiting.message, (Emit(waiting),), again_after_s=RESYNC_S)
    if content is not None and is_bound(snapshot, content):
        actions = _end_of_content(content)
        if actions or content["spec"]["deletionPolicy"] == "Delete":
            return Plan("its content goes first", actions)
    kept = [each for each in finalizers(snapshot) if each not in (AS_SOURCE, BOUND)]
    if kept == finalizers(snapshot):
        return Plan("no longer protected")
    return Plan("nothing is left of it", (set_finalizers(VOLUME_SNAPSHOTS, snapshot, kept),))


def _end_of_content(content: Manifest) -> tuple[Patch | Delete, ...]:
    metadata = content["metadata"]
    actions: list[Patch | Delete] = []
    if (metadata.get("annotations") or {}).get(BEING_DELETED) != "yes":
        mark = {"metadata": {"annotations": {BEING_DELETED: "yes"}}}
        actions.append(change(VOLUME_SNAPSHOT_CONTENTS, content, mark))
    if content["spec"]["deletionPolicy"] == "Delete" and not metadata.get("deletionTimestamp"):
        actions.append(Delete(VOLUME_SNAPSHOT_CONTENTS, "", metadata["name"], metadata["uid"]))
    return tuple(actions)
