"""The local provisioner: which claim gets a volume now, and what the volume looks like (V38-V46).

Volumes are directories that every node of this machine reaches, so they carry no node affinity (X8.3), but where there
are other machines: see `pinning`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding, shares
from holdfast.controllers.actions import Action, Create, Emit, Plan, Report

from .effects import DIRECTORY, Backing, DirectoryWork, ShareWork, Work
from .origin import Origin, source_of
from .pinning import pinned
from .places import directory_source, image_source
from .plan import RESYNC_S, is_delayed
from .provisioners import LOCAL, SERVED, csi_name

FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"


class Refusal(Exception):
    """What the class asks for cannot be had."""


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """All that the decision to provision reads."""

    claim: Manifest
    storage_class: Manifest | None
    exists: bool
    """Whether there is a volume of the name that the claim's would have."""
    root: str
    """The directory in which volumes are made."""
    backing: Backing = DIRECTORY
    """What the volume is to be made of."""
    origin: Origin | None = None
    """What it is to be filled from; None if it is to be empty."""
    machine: str = ""
    """The one where it is made, as `machine_of` has it."""


def volume_name(claim: Manifest) -> str:
    """Derived from the uid, so that a retry finds the volume instead of making a second one (V135)."""
    return f"pvc-{claim['metadata']['uid']}"


Making = Callable[[Manifest, Manifest, ObservedRequest], DirectoryWork | ShareWork]
"""From claim and class to what has to be made."""


def plan_provision(observed: ObservedRequest) -> Work:
    return plan_making(observed, SERVED, _making)


def plan_making(observed: ObservedRequest, served: Collection[str], making: Making) -> Work:
    """For the provisioners `served`. `making` may raise Refusal."""
    claim, storage_class = observed.claim, observed.storage_class
    if why_not := _not_ours(observed, served):
        return Work(claim, Plan(why_not))
    assert storage_class is not None
    if refusal := _refusal(observed):
        return Work(claim, Plan(refusal, (Emit(failure(claim, refusal)),)))
    if refusal := (
        observed.backing.refusal or (observed.origin.refusal if observed.origin else "") or _no_device(observed)
    ):
        return Work(claim, Plan(refusal, (Emit(failure(claim, refusal)),), again_after_s=RESYNC_S))
    announced = Emit(Report("Normal", "Provisioning", _announcement(claim, storage_class)))
    try:
        return Work(claim, Plan("provisioning", (announced,)), making(claim, storage_class, observed))
    except Refusal as refused:
        return Work(claim, Plan(str(refused), (announced, Emit(failure(claim, str(refused))))))


def _making(claim: Manifest, storage_class: Manifest, observed: ObservedRequest) -> DirectoryWork:
    backing, name = observed.backing, volume_name(claim)
    source = image_source(name, binding.mode_of(claim)) if backing.is_sized else directory_source(observed.root, name)
    volume = pinned(volume_of(claim, storage_class, source), observed.machine)
    actions: list[Action] = [create(volume, claim)]
    if backing.why_not:
        actions.append(Emit(Report("Normal", "SizeNotEnforced", _unsized(name, backing.why_not))))
    operation, arguments = _operation(observed)
    return DirectoryWork(
        operation,
        f"{observed.root}/{name}",
        done=Plan(f"the directory of {name} is there", tuple(actions)),
        failed=lambda error: Plan(error, (Emit(failure(claim, error)),), again_after_s=RESYNC_S),
        arguments=arguments,
        settles=True,
    )


def _operation(observed: ObservedRequest) -> tuple[Literal["create", "create_sized", "fill"], tuple[Any, ...]]:
    """Never an empty volume in the place of a copy (V43)."""
    size_bytes = binding.requested_bytes(observed.claim)
    of_device = (True,) if binding.mode_of(observed.claim) == "Block" else ()
    if observed.origin is not None:
        return "fill", (observed.origin.path, size_bytes, *of_device)
    return ("create_sized", (size_bytes, *of_device)) if observed.backing.is_sized else ("create", ())


def _unsized(name: str, why: str) -> str:
    return f"Volume {name} is a plain directory, as large as the disk it is on: {why}"


def _not_ours(observed: ObservedRequest, served: Collection[str]) -> str:
    """Why there is nothing to provision, empty if there is."""
    claim, storage_class = observed.claim, observed.storage_class
    provisioner = binding.annotation(claim, binding.STORAGE_PROVISIONER)
    if provisioner not in served:
        return "another provisioner's"
    if claim["metadata"].get("deletionTimestamp") or claim["spec"].get("volumeName"):
        return "the claim needs no volume"
    if observed.exists:
        return "the volume exists"
    if storage_class is None or csi_name(storage_class["provisioner"]) != provisioner:
        return "the class is gone or has changed"
    if observed.origin and observed.origin.is_for_others:
        return "a populator is to fill it"
    if is_delayed(storage_class) and not binding.annotation(claim, binding.SELECTED_NODE):
        return "no node has been selected"
    return ""


def _refusal(observed: ObservedRequest) -> str:
    claim, spec = observed.claim, observed.claim["spec"]
    if source_of(claim) and observed.origin is None:
        return "nobody has looked for the data source"  # never an empty volume instead (V43)
    if spec.get("selector"):
        return "claim.Spec.Selector is not supported"
    return ""


def _no_device(observed: ObservedRequest) -> str:
    """Why there can be no block volume, if one is asked for: a directory is none."""
    if binding.mode_of(observed.claim) != "Block" or observed.backing.is_sized:
        return ""
    return f"no block volumes on this machine: {observed.backing.why_not or 'its nodes attach none'}"


def _announcement(claim: Manifest, storage_class: Manifest) -> str:
    metadata = claim["metadata"]
    text = f'External provisioner is provisioning volume for claim "{metadata["namespace"]}/{metadata["name"]}"'
    provisioner = storage_class["provisioner"]
    if provisioner in (LOCAL, shares.DRIVER):
        return text
    return f"{text}: a local volume of this machine stands in for {provisioner}, the class' parameters are ignored"


def failure(claim: Manifest, error: str) -> Report:
    message = f'failed to provision volume with StorageClass "{binding.class_of(claim)}": {error}'
    return Report("Warning", "ProvisioningFailed", message)


def create(volume: Manifest, claim: Manifest) -> Create:
    succeeded = f"Successfully provisioned volume {volume['metadata']['name']}"
    return Create(
        PERSISTENT_VOLUMES,
        volume,
        on_success=Report("Normal", "ProvisioningSucceeded", succeeded),
        on_failure=failure(claim, "{error}"),
        may_exist=True,
    )


def volume_of(claim: Manifest, storage_class: Manifest, source: Manifest) -> Manifest:
    """V39."""
    name, spec = volume_name(claim), claim["spec"]
    policy = storage_class.get("reclaimPolicy") or "Delete"
    volume: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {binding.PROVISIONED_BY: csi_name(storage_class["provisioner"])},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": list(spec["accessModes"]),
            "volumeMode": binding.mode_of(claim),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": binding.class_of(claim),
            "claimRef": binding.claim_reference(claim),
            **source,
        },
    }
    if storage_class.get("mountOptions"):
        volume["spec"]["mountOptions"] = list(storage_class["mountOptions"])
    if policy == "Delete":
        volume["metadata"]["finalizers"] = [FINALIZER]
    return volume
