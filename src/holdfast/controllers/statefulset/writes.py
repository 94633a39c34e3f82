"""What the controller writes about one pod and its claims, with the events that go along (chapter 10)."""

from __future__ import annotations

from typing import Protocol

from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import AlreadyExists, Conflict
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Delete, Each, Emit, Fail, Patch, Report, Update

from . import claims, identity
from .views import Find, Pod, StatefulSet

STRATEGIC = "application/strategic-merge-patch+json"


class Sees(Protocol):
    """What decisions about one pod need to know."""

    @property
    def statefulset(self) -> StatefulSet: ...

    @property
    def claim_named(self) -> Find: ...


def create_pod(seen: Sees, ordinal: int, template: Manifest, revision: str) -> list[Action]:
    """Claims, then the pod, then the claims' owners (S32, S56). If a claim fails, the pod is not tried."""
    statefulset = seen.statefulset
    manifest = identity.build_pod(statefulset, ordinal, template, revision)
    name = manifest["metadata"]["name"]
    failed, success = _failed("Create", statefulset, name), _succeeded("Create", statefulset, name)
    creations = create_claims(seen, ordinal)
    actions: list[Action] = [Each(creations, on_failure=failed)] if creations else []
    owners = claims.owners_of(statefulset, name, "", is_condemned=False)
    owning = _own_claims(seen, ordinal, owners)
    if not owning:
        pod = Create(PODS, manifest, on_success=success, on_failure=failed, quiet=(AlreadyExists,))
        return [*actions, pod]
    pod = Create(PODS, manifest, on_failure=failed, quiet=(AlreadyExists,))
    return [*actions, pod, Each(owning, on_failure=_failed("Update", statefulset, name)), Emit(success)]


def delete_pod(statefulset: StatefulSet, pod: Pod) -> Delete:
    """A plain delete: the pod's own grace period applies (S48)."""
    return Delete(
        PODS,
        statefulset.namespace,
        pod.name,
        pod.uid,
        on_success=_succeeded("Delete", statefulset, pod.name),
        on_failure=_failed("Delete", statefulset, pod.name),
    )


def complete_claims(seen: Sees, ordinal: int, pod: Pod) -> list[Action]:
    """For a pending pod: the claims that are missing, and the owners of all (S34)."""
    creations = create_claims(seen, ordinal)
    owners = claims.owners_of(seen.statefulset, pod.name, pod.uid, is_condemned=False)
    owning = _own_claims(seen, ordinal, owners)
    actions: list[Action] = [Each(creations)] if creations else []
    if owning:
        actions.append(Each(owning, on_failure=_failed("Update", seen.statefulset, pod.name)))
    return actions


def condemn_claims(seen: Sees, ordinal: int, pod: Pod) -> list[Action]:
    """For a pod that will be deleted for good: its claims' owners, if they are not right (S56, S61)."""
    owners = claims.owners_of(seen.statefulset, pod.name, pod.uid, is_condemned=True)
    return _own_claims(seen, ordinal, owners, are_made=False) if not are_claims_right(seen, ordinal, owners) else []


def repair_pod(seen: Sees, ordinal: int, pod: Pod) -> list[Action]:
    """Puts right what is off with a slot's pod: identity, volumes, claims' owners; nothing if all is well (S118, S119).

    A pending pod's claims were seen to already (`complete_claims`). On a conflict the step is tried again on a
    newer view.
    """
    statefulset = seen.statefulset
    name = identity.pod_name(statefulset, ordinal)
    owners = claims.owners_of(statefulset, pod.name, pod.uid, is_condemned=False)
    has_identity = identity.is_identity_right(statefulset, ordinal, pod)
    has_storage = claims.is_storage_right(statefulset, ordinal, pod)
    has_owners = pod.is_pending or are_claims_right(seen, ordinal, owners)
    if has_identity and has_storage and has_owners:
        return []
    failed = _failed("Update", statefulset, name)
    manifest = pod.manifest if has_identity else identity.with_identity(statefulset, ordinal, pod.manifest)
    actions: list[Action] = []
    if not has_storage:
        volumes = claims.pod_volumes(statefulset, ordinal, manifest["spec"].get("volumes") or [])
        manifest = {**manifest, "spec": {**manifest["spec"], "volumes": volumes}}
        if creations := create_claims(seen, ordinal):
            actions.append(Each(creations, on_failure=failed))
    if not has_owners:
        actions.append(Each(_own_claims(seen, ordinal, owners), on_failure=failed))
    update = Update(
        PODS,
        manifest,
        on_success=_succeeded("Update", statefulset, name),
        on_failure=failed,
        quiet=(Conflict,),
    )
    return [*actions, update]


def create_claims(seen: Sees, ordinal: int) -> list[Action]:
    """The claims of an ordinal that are missing. One that is being deleted is a failure (S33)."""
    statefulset = seen.statefulset
    pod_name = identity.pod_name(statefulset, ordinal)
    actions: list[Action] = []
    for template in statefulset.claim_templates:
        name = claims.claim_name(template, statefulset, ordinal)
        claim = seen.claim_named(name)
        if claim is None:
            actions.append(_create_claim(statefulset, pod_name, claims.build_claim(template, statefulset, ordinal)))
        elif "deletionTimestamp" in claim["metadata"]:
            actions.append(Fail(f"pvc {name} is being deleted"))
    return actions


def _create_claim(statefulset: StatefulSet, pod_name: str, claim: Manifest) -> Create:
    name = claim["metadata"]["name"]
    success = f"Create Claim {name} Pod {pod_name} in StatefulSet {statefulset.name} success"
    failure = f"Create Claim {name} for Pod {pod_name} in StatefulSet {statefulset.name} failed error: {{error}}"
    return Create(
        PERSISTENT_VOLUME_CLAIMS,
        claim,
        on_success=Report("Normal", "SuccessfulCreate", success),
        on_failure=Report("Warning", "FailedCreate", failure),
        quiet=(AlreadyExists,),
        error=f"failed to create PVC {name}: {{error}}",
    )


def are_claims_right(seen: Sees, ordinal: int, owners: claims.Owners) -> bool:
    """Whether every claim of the ordinal that exists has the owners it should have."""
    for name in claims.claim_names(seen.statefulset, ordinal):
        claim = seen.claim_named(name)
        if claim is not None and not claims.is_claim_right(claim, owners):
            return False
    return True


def _own_claims(seen: Sees, ordinal: int, owners: claims.Owners, *, are_made: bool = True) -> list[Action]:
    """`are_made`: claims that are not seen have just been made, by the actions before these."""
    actions: list[Action] = []
    for name in claims.claim_names(seen.statefulset, ordinal):
        claim = seen.claim_named(name)
        failure = f"could not update claim {name} for delete policy ownerRefs: {{error}}"
        if claim is None:
            if are_made and (reference := claims.wanted_reference(owners)):
                patch = {"metadata": {"ownerReferences": [reference]}}
                namespace = seen.statefulset.namespace
                actions.append(Patch(PERSISTENT_VOLUME_CLAIMS, namespace, name, patch, type=STRATEGIC, error=failure))
            continue
        if claims.has_unexpected_controller(claim, owners):
            actions.append(Emit(_conflicting(name)))
        if not claims.is_claim_right(claim, owners):
            actions.append(Update(PERSISTENT_VOLUME_CLAIMS, claims.with_owner(claim, owners), error=failure))
    return actions


def _conflicting(claim_name: str) -> Report:
    return Report(
        "Warning",
        "ConflictingController",
        f"PersistentVolumeClaim {claim_name} has a conflicting OwnerReference that acts as a manging controller, "
        "the retention policy is ignored for this claim",
    )


def _succeeded(verb: str, statefulset: StatefulSet, pod_name: str) -> Report:
    message = f"{verb} Pod {pod_name} in StatefulSet {statefulset.name} successful"
    return Report("Normal", f"Successful{verb}", message)


def _failed(verb: str, statefulset: StatefulSet, pod_name: str) -> Report:
    message = f"{verb} Pod {pod_name} in StatefulSet {statefulset.name} failed error: {{error}}"
    return Report("Warning", f"Failed{verb}", message)
