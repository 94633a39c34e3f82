"""What a new volume is to be filled from: a snapshot or another claim's volume (V121-V123, V125). Pure.

Source: kubernetes-csi/external-provisioner, pkg/controller/controller.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from holdfast.api.conditions import phase
from holdfast.api.core.machines import machine_of, name_of
from holdfast.api.resource import Manifest
from holdfast.api.snapshots import GROUP
from holdfast.api.storage import binding
from holdfast.api.storage.shares import Share

from .places import SNAPSHOTS, is_ours, path_of
from .provisioners import DRIVERS

MODE_MAY_CHANGE = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

Find = Callable[[str], Manifest | None]
"""From a key (`namespace/name`, or a name) to the object."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the data come from, or why they cannot be had yet."""

    path: str = ""
    refusal: str = ""
    is_for_others: bool = False
    """Of a kind that nothing here fills volumes from: somebody else may (V125)."""
    share: Share | None = None
    """Where `path` is below, if that is not on this machine."""


class Sources(Protocol):
    """Of which volumes and snapshots a provisioner can make volumes."""

    def of_volume(self, volume: Manifest, root: str) -> Origin | None:
        """None if it is another's."""

    def of_content(self, content: Manifest, root: str) -> Origin | None:
        """Of a snapshot that is ready. None if it is another's."""


@dataclass(frozen=True, slots=True)
class LocalSources:
    """Those of this machine's directories."""

    machine: str = ""
    """As `machine_of` has it: snapshots are on the first one only."""

    def of_volume(self, volume: Manifest, root: str) -> Origin | None:
        if not is_ours(volume, root):
            return None
        if (other := machine_of(volume)) != self.machine:
            return Origin(refusal=f"the source is on another machine, {name_of(other)}: copies are made where it is")
        return Origin(path_of(volume, root))

    def of_content(self, content: Manifest, root: str) -> Origin | None:
        if content["spec"]["driver"] not in DRIVERS:
            return None
        if self.machine:
            return Origin(refusal=f"the snapshot is on another machine, {name_of('')}: volumes are made from it there")
        return Origin(f"{root}/{SNAPSHOTS}/{content['status']['snapshotHandle']}")


_LOCAL = LocalSources()


def source_of(claim: Manifest) -> Manifest | None:
    """What the claim names as its source: {kind, name, apiGroup}."""
    source: Manifest | None = claim["spec"].get("dataSourceRef") or claim["spec"].get("dataSource")
    return source


def source_key(claim: Manifest) -> str:
    """The kind and key of the source, to find claims by it; empty without one of a kind that is known here."""
    source = source_of(claim)
    if source is None or (source.get("apiGroup") or "", source["kind"]) not in _KINDS:
        return ""
    return f"{source['kind']}/{_namespace(claim, source)}/{source['name']}"


@dataclass(frozen=True, slots=True)
class Lookups:
    """How the objects that a source leads to are found."""

    claim: Find
    volume: Find
    snapshot: Find
    content: Find


def find_origin(claim: Manifest, find: Lookups, root: str, sources: Sources = _LOCAL) -> Origin | None:
    """None if the volume is to be empty."""
    source = source_of(claim)
    if source is None:
        return None
    resolve = _KINDS.get((source.get("apiGroup") or "", source["kind"]))
    if resolve is None:
        return Origin(is_for_others=True)
    if _namespace(claim, source) != claim["metadata"]["namespace"]:
        return Origin(
            refusal="dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled"
        )
    return resolve(claim, source["name"], find, root, sources)


def _namespace(claim: Manifest, source: Manifest) -> str:
    return str(source.get("namespace") or claim["metadata"]["namespace"])


def _from_snapshot(claim: Manifest, name: str, find: Lookups, root: str, sources: Sources) -> Origin:
    found = _snapshot(claim, name, find, root, sources)
    prefix = f"error getting handle for DataSource Type VolumeSnapshot by Name {name}: "
    return Origin(refusal=f"{prefix}{found}") if isinstance(found, str) else found


def _snapshot(claim: Manifest, name: str, find: Lookups, root: str, sources: Sources) -> Origin | str:
    """The snapshot's data, or what is wrong."""
    namespace = claim["metadata"]["namespace"]
    snapshot = find.snapshot(f"{namespace}/{name}")
    if snapshot is None:
        missing = f'volumesnapshots.{GROUP} "{name}" not found'
        return f"error getting snapshot {name} from api server: {missing}"
    if snapshot["metadata"].get("deletionTimestamp"):
        return f"snapshot {name} is currently being deleted"
    status = snapshot.get("status") or {}
    content = find.content(status.get("boundVolumeSnapshotContentName") or "")
    if content is None:
        return f"snapshot {name} not bound"
    if content["spec"]["volumeSnapshotRef"].get("uid") != snapshot["metadata"]["uid"]:
        return f"snapshotContent {content['metadata']['name']} is bound to a different snapshot"
    if not status.get("readyToUse"):
        return f"snapshot {name} is not Ready"
    origin = sources.of_content(content, root)
    if origin is None:
        return f"VolumeSnapshot {name} is of the driver {content['spec']['driver']}, not of this provisioner"
    size_bytes = (content.get("status") or {}).get("restoreSize") or 0
    if binding.requested_bytes(claim) < size_bytes:
        asked = binding.requested_bytes(claim)
        return f"requested volume size {asked} is less than the size {size_bytes} for the source snapshot {name}"
    mode = content["spec"].get("sourceVolumeMode") or "Filesystem"
    if mode != binding.mode_of(claim) and binding.annotation(content, MODE_MAY_CHANGE) != "true":
        return (
            f"requested volume {namespace}/{claim['metadata']['name']} modifies the mode of the source volume but does"
            " not have permission to do so. snapshot.storage.kubernetes.io/allow-volume-mode-change annotation is not"
            f" present on snapshotcontent {content['metadata']['name']}"
        )
    return origin


def _from_claim(claim: Manifest, name: str, find: Lookups, root: str, sources: Sources) -> Origin:
    namespace = claim["metadata"]["namespace"]
    source = find.claim(f"{namespace}/{name}")
    prefix = f"error getting handle for DataSource Type PersistentVolumeClaim by Name {name}: "

    def refused(why: str) -> Origin:
        return Origin(refusal=f"{prefix}{why}")

    if source is None:
        missing = f'persistentvolumeclaims "{name}" not found'
        return refused(f'error getting PVC {name} (namespace "{namespace}") from api server: {missing}')
    if source["metadata"].get("deletionTimestamp"):
        return refused(f"the PVC DataSource {name} is currently being deleted")
    if phase(source) != "Bound":
        return refused(f"the PVC DataSource {name} must have a status of Bound. Got {phase(source)}")
    volume = find.volume(source["spec"]["volumeName"])
    if volume is None:
        return refused(f"error getting PV {source['spec']['volumeName']} from api server")
    origin = sources.of_volume(volume, root)
    if origin is None:
        return refused(f"the source PVC {name} is not a volume of this provisioner")
    if (volume["spec"].get("claimRef") or {}).get("uid") != source["metadata"]["uid"]:
        return refused(f"claim in dataSource not bound or invalid: {name}")
    if binding.mode_of(volume) != binding.mode_of(claim):
        return refused("the source PVC and destination PVCs must have the same volume mode for cloning")
    asked, has = binding.requested_bytes(claim), binding.capacity_bytes(volume)
    if asked < has:
        return refused(
            "error, new PVC request must be greater than or equal in size to the specified PVC data source,"
            f" requested {asked} but source is {has}"
        )
    return origin


_KINDS: dict[tuple[str, str], Callable[[Manifest, str, Lookups, str, Sources], Origin]] = {
    (GROUP, "VolumeSnapshot"): _from_snapshot,
    ("", "PersistentVolumeClaim"): _from_claim,
}
