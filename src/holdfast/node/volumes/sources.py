"""From a pod's volume to what is to be mounted: claims are followed to their PersistentVolume (V76-V79)."""

from __future__ import annotations

from holdfast.api.core.node_affinity import volume_allows
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.errors import ApiError, NotFound
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding, shares
from holdfast.client import Client
from holdfast.node.pod import Pod

from . import MountFailure, Source


async def resolve(client: Client, pod: Pod, volume: Manifest, node: Manifest) -> Source:
    """What stands behind one volume of the pod. Raises MountFailure."""
    name = volume["name"]
    kind = next((key for key in volume if key != "name"), "emptyDir")
    details: Manifest = volume.get(kind) or {}
    if kind == "persistentVolumeClaim":
        return await _claimed(client, pod, name, details["claimName"], bool(details.get("readOnly")), False, node)
    if kind == "ephemeral":
        return await _claimed(client, pod, name, f"{pod.name}-{name}", False, True, node)
    kind, details = _mounted_as(kind, details)
    return Source(name, kind, details, is_read_only=kind == "image" or bool(details.get("readOnly")))


def claim_of(pod: Pod, volume: Manifest) -> str:
    """The name of the claim behind one volume of the pod; empty if there is none."""
    if reference := volume.get("persistentVolumeClaim"):
        return str(reference["claimName"])
    return f"{pod.name}-{volume['name']}" if "ephemeral" in volume else ""


async def _claimed(
    client: Client, pod: Pod, name: str, claim_name: str, is_read_only: bool, is_ephemeral: bool, node: Manifest
) -> Source:
    def refuse(message: str) -> MountFailure:
        return MountFailure(name, f"error processing PVC {pod.namespace}/{claim_name}: {message}", is_unresolved=True)

    try:
        claim = await client.get(PERSISTENT_VOLUME_CLAIMS, claim_name, pod.namespace)
    except ApiError as error:
        raise refuse(f"failed to fetch PVC from API server: {error}") from error
    volume_name = (claim.get("spec") or {}).get("volumeName")
    if (claim.get("status") or {}).get("phase") != "Bound" or not volume_name:
        raise refuse("PVC is not bound")
    if is_ephemeral and not binding.is_owned_by(claim, pod.manifest):
        raise refuse(binding.not_owned(claim_name, pod.manifest))
    try:
        volume = await client.get(PERSISTENT_VOLUMES, volume_name)
    except NotFound as error:
        raise refuse(f'failed to fetch PV "{volume_name}": {error}') from error
    except ApiError as error:
        raise refuse(str(error)) from error
    reference = volume["spec"].get("claimRef") or {}
    if reference.get("uid") != claim["metadata"]["uid"]:
        raise refuse(
            f'PV "{volume_name}" is bound to PVC with uid "{reference.get("uid", "")}" instead of '
            f'"{claim["metadata"]["uid"]}": PV.Spec.ClaimRef.UID is not equal to PVC.UID'
        )
    _check_mode(pod, name, volume)
    _check_affinity(name, volume, node)
    kind, details = _mounted_as(*volume_source(volume))
    return Source(name, kind, details, is_read_only=is_read_only, persistent_volume=volume, claim=claim)


def _mounted_as(kind: str, details: Manifest) -> tuple[str, Manifest]:
    """A directory of a share is mounted as any NFS volume, whichever driver made it (V97)."""
    mount = shares.mount_of(details) if kind == "csi" else None
    if mount is None:
        return kind, details
    return "nfs", {**mount, "readOnly": bool(details.get("readOnly"))}


_NOT_SOURCES = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def volume_source(volume: Manifest) -> tuple[str, Manifest]:
    """The kind of a PersistentVolume and what stands under it."""
    for key, value in volume["spec"].items():
        if key not in _NOT_SOURCES:
            return key, value or {}
    return "", {}


def _check_mode(pod: Pod, name: str, volume: Manifest) -> None:
    mode = binding.mode_of(volume)
    for container in pod.containers():
        for field, wanted in (("volumeMounts", "Filesystem"), ("volumeDevices", "Block")):
            used = any(entry["name"] == name for entry in container.manifest.get(field) or ())
            if used and mode != wanted:
                raise MountFailure(
                    name, f"volume {name} has volumeMode {mode}, but is specified in {field}", is_unresolved=True
                )


def _check_affinity(name: str, volume: Manifest, node: Manifest) -> None:
    if not volume_allows(volume, node):
        volume_name = volume["metadata"]["name"]
        step = "MapVolume" if binding.mode_of(volume) == "Block" else "MountVolume"
        raise MountFailure(
            name,
            f'{step}.NodeAffinity check failed for volume "{volume_name}" : no matching NodeSelectorTerms',
            is_unresolved=True,
        )
