"""What the volume binder does next for one claim or one volume.

A binding has two sides. The order of writes (V18): the volume's `claimRef`, the volume's phase, the claim's
`volumeName`, the claim's status. Every step may be the last one before a crash: the next plan goes on from
whatever was written. Claim and volume name each other in full (uid included) before either counts as bound.

Source: Kubernetes, pkg/controller/volume/persistentvolume/pv_controller.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Emit, Patch, Plan, Report, patch_status

from .provisioners import HERE, csi_name

RESYNC_S = 15.0
"""How often a claim that waits is looked at again although nothing happened (V25)."""

NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True, slots=True)
class ObservedClaim:
    """All that the decision about a claim reads."""

    claim: Manifest
    volumes: Sequence[Manifest]
    """Every volume of the claim's class, every one whose claimRef names it, and the one it names."""
    storage_class: Manifest | None
    """The object behind the claim's class, if there is one."""
    default_class: str
    """Name of the default class; empty if there is none."""
    waiting_pods: Sequence[str]
    """Names of the pods without a node that use the claim."""
    consumer_node: str
    """Where a pod that uses the claim is already; empty if none has a node."""
    now: datetime


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    """All that the decision about a volume's phase reads."""

    volume: Manifest
    claim: Manifest | None
    """The claim that `claimRef` names, of whatever uid; None only if a live read confirmed it."""
    now: datetime


def is_delayed(storage_class: Manifest | None) -> bool:
    """Whether claims of the class wait for their first consumer."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def plan_claim(observed: ObservedClaim) -> Plan:
    """The next step for a claim."""
    return replace(_plan_claim(observed), subject=observed.claim)


def _plan_claim(observed: ObservedClaim) -> Plan:
    claim = observed.claim
    if binding.annotation(claim, binding.BIND_COMPLETED) is not None:
        return _plan_bound_claim(observed)
    if claim["metadata"].get("deletionTimestamp"):
        return Plan("the claim is being deleted")
    if claim["spec"].get("volumeName"):
        return _plan_prebound_claim(observed)
    return _plan_unbound_claim(observed)


def _plan_unbound_claim(observed: ObservedClaim) -> Plan:
    claim, storage_class = observed.claim, observed.storage_class
    waits = is_delayed(storage_class) and not binding.annotation(claim, binding.SELECTED_NODE)
    if found := binding.best_match(claim, observed.volumes, is_delayed=waits):
        return _bind(found, claim, observed.now)
    if claim["spec"].get("storageClassName") is None and not binding.class_of(claim) and observed.default_class:
        patch = {"spec": {"storageClassName": observed.default_class}}
        return Plan(f"the default class is {observed.default_class}", (_patch_claim(claim, patch),))
    if waits and observed.consumer_node and storage_class and csi_name(storage_class["provisioner"]) in HERE:
        # A pod that named its node itself has passed by the scheduler: it is the first consumer (V45).
        annotations = {binding.SELECTED_NODE: observed.consumer_node}
        return Plan("a pod with a node uses it", (_patch_claim(claim, {"metadata": {"annotations": annotations}}),))
    if waits:
        return _pending(claim, _waiting_report(observed.waiting_pods))
    if binding.class_of(claim):
        return _plan_provisioning(observed)
    message = "no persistent volumes available for this claim and no storage class is set"
    return _pending(claim, Report("Normal", "FailedBinding", message))


def _waiting_report(pods: Sequence[str]) -> Report:
    """V36."""
    if not pods:
        return Report("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    if len(pods) == 1:
        return Report("Normal", "WaitForPodScheduled", f"waiting for pod {pods[0]} to be scheduled")
    return Report("Normal", "WaitForPodScheduled", f"waiting for pods {','.join(sorted(pods))} to be scheduled")


def _plan_provisioning(observed: ObservedClaim) -> Plan:
    """Names the provisioner on the claim and waits for it (V38); the provisioner is a controller of its own."""
    claim, name = observed.claim, binding.class_of(observed.claim)
    if observed.storage_class is None:
        return _pending(
            claim, Report("Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
        )
    if observed.storage_class["provisioner"] == NO_PROVISIONER:
        message = "no volume plugin matched name: kubernetes.io/no-provisioner"
        return _pending(claim, Report("Warning", "ProvisioningFailed", message))
    provisioner = csi_name(observed.storage_class["provisioner"])
    waiting = Report(
        "Normal",
        "ExternalProvisioning",
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the"
        " system administrator. If volume creation is delayed, please verify that the provisioner is running and"
        " correctly registered.",
    )
    # Told once of a provisioner served here, which answers at once; of another with every look, on the named claim.
    is_served = provisioner in HERE
    if binding.annotation(claim, binding.STORAGE_PROVISIONER) == provisioner:
        return _pending(claim, None if is_served else waiting)
    annotations = {binding.BETA_STORAGE_PROVISIONER: provisioner, binding.STORAGE_PROVISIONER: provisioner}
    named = {"metadata": {"annotations": annotations}}
    patch = _patch_claim(claim, named, on_success=waiting if is_served else None)
    return Plan(f"{provisioner} is to provision the volume", (patch,))


def _plan_prebound_claim(observed: ObservedClaim) -> Plan:
    """A claim that names its volume: by its user, or by a bind that was interrupted (V24)."""
    claim, name = observed.claim, observed.claim["spec"]["volumeName"]
    volume = _named(observed.volumes, name)
    if volume is None:
        return _pending(claim, None)
    if not volume["spec"].get("claimRef"):
        if why := binding.why_unsuitable(volume, claim):
            message = f'Cannot bind to requested volume "{name}": {why}'
            return _pending(claim, Report("Warning", "VolumeMismatch", message))
        return _bind(volume, claim, observed.now)
    if binding.is_reserved_for(volume, claim):
        return _bind(volume, claim, observed.now)
    message = f'volume "{name}" already bound to a different claim.'
    return _pending(claim, Report("Warning", "FailedBinding", message))


def _plan_bound_claim(observed: ObservedClaim) -> Plan:
    """A completed binding: restored where half of it is missing, given up where the volume is lost (V15)."""
    claim, name = observed.claim, observed.claim["spec"].get("volumeName") or ""
    volume = _named(observed.volumes, name)
    if not name:
        return _lost(
            claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        )
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    reference = volume["spec"].get("claimRef")
    if reference and reference.get("uid") != claim["metadata"]["uid"]:
        return _lost(
            claim,
            "ClaimMisbound",
            "Two claims are bound to the same volume, this one is bound incorrectly",
        )
    return _bind(volume, claim, observed.now)


def _named(volumes: Sequence[Manifest], name: str) -> Manifest | None:
    return next((volume for volume in volumes if volume["metadata"]["name"] == name), None)


def _bind(volume: Manifest, claim: Manifest, now: datetime) -> Plan:
    """What is still missing of the binding, in the order of V18; nothing if it is complete."""
    claim_patch = _claim_side(volume, claim)
    writes = (
        _volume_side(volume, claim),
        _volume_phase(volume, "Bound", now),
        _patch_claim(claim, claim_patch) if claim_patch else None,
        _claim_status(volume, claim),
    )
    actions = tuple(write for write in writes if write)
    name = volume["metadata"]["name"]
    return Plan(f"binding to {name}" if actions else f"bound to {name}", actions)


def _volume_side(volume: Manifest, claim: Manifest) -> Patch | None:
    reference = volume["spec"].get("claimRef") or {}
    metadata = claim["metadata"]
    if reference.get("uid") == metadata["uid"] and binding.is_reserved_for(volume, claim):
        return None
    return _patch_volume(volume, binding.reservation(volume, claim))


def _claim_side(volume: Manifest, claim: Manifest) -> Manifest:
    """The claim's part of a finished binding, as far as it is missing."""
    patch: Manifest = {}
    annotations = {}
    if not claim["spec"].get("volumeName"):
        patch["spec"] = {"volumeName": volume["metadata"]["name"]}
        annotations[binding.BOUND_BY_CONTROLLER] = "yes"
    if binding.annotation(claim, binding.BIND_COMPLETED) is None:
        annotations[binding.BIND_COMPLETED] = "yes"
    if annotations:
        patch["metadata"] = {"annotations": annotations}
    return patch


def _claim_status(volume: Manifest, claim: Manifest) -> Patch | None:
    """Phase, modes and capacity as the volume has them (V19)."""
    status = claim.get("status") or {}
    wanted: Manifest = {"phase": "Bound", "accessModes": volume["spec"]["accessModes"]}
    if status.get("phase") != "Bound" or "capacity" not in status:
        wanted["capacity"] = {"storage": volume["spec"]["capacity"]["storage"]}
    if all(status.get(key) == value for key, value in wanted.items()):
        return None
    return patch_status(PERSISTENT_VOLUME_CLAIMS, claim, wanted)


def _pending(claim: Manifest, report: Report | None) -> Plan:
    """The claim waits; the report says what for, again with every look (V25)."""
    actions: list[Action] = []
    if (claim.get("status") or {}).get("phase") != "Pending":
        pending = {"phase": "Pending", "accessModes": None, "capacity": None}
        actions.append(patch_status(PERSISTENT_VOLUME_CLAIMS, claim, pending))
    if report:
        actions.append(Emit(report))
    return Plan(report.message if report else "the volume does not exist yet", tuple(actions), again_after_s=RESYNC_S)


def _lost(claim: Manifest, reason: str, message: str) -> Plan:
    if (claim.get("status") or {}).get("phase") == "Lost":
        return Plan("the claim is lost")
    status = {"phase": "Lost", "accessModes": None, "capacity": None}
    told = Report("Warning", reason, message)
    return Plan(message, (patch_status(PERSISTENT_VOLUME_CLAIMS, claim, status, told),))


def plan_volume(observed: ObservedVolume) -> Plan:
    """The phase of a volume, and its release when its claim is gone. Reclaiming is decided in `reclaim`."""
    return replace(_plan_volume(observed), subject=observed.volume)


def _plan_volume(observed: ObservedVolume) -> Plan:
    volume, claim, now = observed.volume, observed.claim, observed.now
    reference = volume["spec"].get("claimRef")
    if not reference:
        return _enter(volume, "Available", "nobody has claimed it", now)
    if not reference.get("uid"):
        return _enter(volume, "Available", "it is reserved", now)
    if claim is None or claim["metadata"]["uid"] != reference["uid"]:
        if (volume.get("status") or {}).get("phase") == "Failed":
            return Plan("its claim is gone, reclaiming failed")
        return _enter(volume, "Released", "its claim is gone", now)
    bound_to = claim["spec"].get("volumeName") or ""
    if bound_to == volume["metadata"]["name"]:
        return _enter(volume, "Bound", "its claim is bound to it", now)
    if not bound_to:
        return Plan("its claim has yet to be bound")
    if _is_disposable(volume):
        return _enter(volume, "Released", "its claim is bound to another volume", now)
    return _unbind(volume, now)


def _is_disposable(volume: Manifest) -> bool:
    """Provisioned for a claim that took another one, and to be deleted (V28)."""
    return (
        binding.annotation(volume, binding.PROVISIONED_BY) is not None
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    )


def _unbind(volume: Manifest, now: datetime) -> Plan:
    """Frees a volume whose claim took another: what the controller wrote goes, what the admin wrote stays (V28)."""
    patch: Manifest = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
    if binding.annotation(volume, binding.BOUND_BY_CONTROLLER) is not None:
        patch = {"metadata": {"annotations": {binding.BOUND_BY_CONTROLLER: None}}, "spec": {"claimRef": None}}
    phase = _volume_phase(volume, "Available", now)
    actions = (_patch_volume(volume, patch), *((phase,) if phase else ()))
    return Plan("its claim is bound to another volume", actions)


def _enter(volume: Manifest, phase: str, reason: str, now: datetime) -> Plan:
    write = _volume_phase(volume, phase, now)
    return Plan(reason, (write,) if write else ())


def _volume_phase(volume: Manifest, phase: str, now: datetime) -> Patch | None:
    """None if the volume is in that phase already."""
    if (volume.get("status") or {}).get("phase") == phase:
        return None
    return set_phase(volume, phase, now)


def set_phase(volume: Manifest, phase: str, now: datetime, message: str = "", report: Report | None = None) -> Patch:
    status = {"phase": phase, "message": message or None, "lastPhaseTransitionTime": format_time(now)}
    return patch_status(PERSISTENT_VOLUMES, volume, status, report)


def _patch_volume(volume: Manifest, patch: Manifest) -> Patch:
    """Conditional on the version decided upon: two claims may want the volume at once (V27)."""
    return Patch(PERSISTENT_VOLUMES, "", volume["metadata"]["name"], binding.locked(volume, patch))


def _patch_claim(claim: Manifest, patch: Manifest, on_success: Report | None = None) -> Patch:
    metadata = claim["metadata"]
    return Patch(
        PERSISTENT_VOLUME_CLAIMS,
        metadata["namespace"],
        metadata["name"],
        binding.locked(claim, patch),
        on_success=on_success,
    )
