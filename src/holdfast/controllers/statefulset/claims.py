"""A pod's claims: which they are, what they look like, and to whom they belong (chapters 3 and 5).

The controller never deletes a claim. It keeps owner references on claims as the retention policy wants them;
the garbage collector deletes what lost its owners (S49).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.resource import Manifest

from .views import Pod, StatefulSet


def claim_name(template: Manifest, statefulset: StatefulSet, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{statefulset.name}-{ordinal}"


def claim_names(statefulset: StatefulSet, ordinal: int) -> list[str]:
    return [claim_name(template, statefulset, ordinal) for template in statefulset.claim_templates]


def build_claim(template: Manifest, statefulset: StatefulSet, ordinal: int) -> Manifest:
    """A claim of that ordinal. The set's matchLabels win over the template's labels (S30)."""
    template_metadata = template["metadata"]
    match_labels = (statefulset.spec.get("selector") or {}).get("matchLabels") or {}
    metadata: dict[str, Any] = {
        "name": claim_name(template, statefulset, ordinal),
        "namespace": statefulset.namespace,
        "labels": {**(template_metadata.get("labels") or {}), **match_labels},
    }
    if template_metadata.get("annotations"):
        metadata["annotations"] = template_metadata["annotations"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": template["spec"],
    }


def pod_volumes(statefulset: StatefulSet, ordinal: int, others: Iterable[Manifest]) -> list[Manifest]:
    """The claims' volumes, then those others whose names no claim takes (S31)."""
    volumes: list[Manifest] = [
        {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(template, statefulset, ordinal)},
        }
        for template in statefulset.claim_templates
    ]
    taken = {volume["name"] for volume in volumes}
    return volumes + [volume for volume in others if volume["name"] not in taken]


def is_storage_right(statefulset: StatefulSet, ordinal: int, pod: Pod) -> bool:
    """Whether the pod mounts the slot's claims; further volumes do not matter (S35)."""
    if not statefulset.claim_templates:
        return True
    volumes = {volume["name"]: volume for volume in pod.manifest["spec"].get("volumes") or ()}
    for template in statefulset.claim_templates:
        volume = volumes.get(template["metadata"]["name"])
        claim = (volume or {}).get("persistentVolumeClaim") or {}
        if claim.get("claimName") != claim_name(template, statefulset, ordinal):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Owners:
    """Set and pod, as a claim may name them. A pod that does not exist yet has no uid."""

    set_name: str
    set_uid: str
    pod_name: str
    pod_uid: str
    wanted: str
    """`StatefulSet`, `Pod`, or nothing: who should own the claim (S50)."""
    retains: bool
    """The policy is Retain/Retain: other controllers are no concern (S54)."""

    def is_set(self, reference: Manifest) -> bool:
        return _names(reference, "apps/v1", "StatefulSet", self.set_name)

    def is_pod(self, reference: Manifest) -> bool:
        return _names(reference, "v1", "Pod", self.pod_name)


def owners_of(statefulset: StatefulSet, pod_name: str, pod_uid: str, *, is_condemned: bool) -> Owners:
    """Who the owner of the pod's claims should be, by the table of S50."""
    wanted = ""
    if statefulset.deletes_claims_when_scaled and is_condemned:
        wanted = "Pod"
    elif statefulset.deletes_claims_when_deleted:
        wanted = "StatefulSet"
    return Owners(
        statefulset.name,
        statefulset.uid,
        pod_name,
        pod_uid,
        wanted,
        not (statefulset.deletes_claims_when_scaled or statefulset.deletes_claims_when_deleted),
    )


def wanted_reference(owners: Owners) -> Manifest | None:
    """The reference a claim without any should get (S51)."""
    match owners.wanted:
        case "StatefulSet":
            api_version, name, uid = "apps/v1", owners.set_name, owners.set_uid
        case "Pod":
            api_version, name, uid = "v1", owners.pod_name, owners.pod_uid
        case _:
            return None
    return {
        "apiVersion": api_version,
        "kind": owners.wanted,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_claim_right(claim: Manifest, owners: Owners) -> bool:
    """Whether the claim's references may stay as they are (S50, S53-S55)."""
    references = _references(claim)
    if any(_is_stale(reference, owners) for reference in references):
        return True
    named = {reference["uid"] for reference in references}
    has_set, has_pod = owners.set_uid in named, bool(owners.pod_uid) and owners.pod_uid in named
    if has_unexpected_controller(claim, owners):
        return not (has_set or has_pod)
    for reference in references:
        if reference["uid"] in (owners.set_uid, owners.pod_uid) and not reference.get("controller"):
            return False
    return (has_set, has_pod) == (owners.wanted == "StatefulSet", owners.wanted == "Pod")


def has_unexpected_controller(claim: Manifest, owners: Owners) -> bool:
    """Whether somebody else controls the claim, an earlier set or pod of the name included (S53, S54)."""
    if owners.retains:
        return False
    for reference in _references(claim):
        if _is_stale(reference, owners):
            return True
        if reference.get("controller") and not (owners.is_set(reference) or owners.is_pod(reference)):
            return True
    return False


def with_owner(claim: Manifest, owners: Owners) -> Manifest:
    """The claim with its references rewritten (S52, S54)."""
    references = [
        reference for reference in _references(claim) if not (owners.is_set(reference) or owners.is_pod(reference))
    ]
    wanted = wanted_reference(owners)
    if (
        wanted is not None
        and not has_unexpected_controller(claim, owners)
        and all(reference["uid"] != wanted["uid"] for reference in references)
    ):
        references.append(wanted)
    return {**claim, "metadata": {**claim["metadata"], "ownerReferences": references}}


def is_on_its_way_out(claim: Manifest, pod_name: str, pod_uid: str = "") -> bool:
    """Whether the claim still belongs to an earlier pod of that name (S57)."""
    return any(
        _names(reference, "v1", "Pod", pod_name) and reference["uid"] != pod_uid for reference in _references(claim)
    )


def _references(claim: Manifest) -> Sequence[Manifest]:
    return claim["metadata"].get("ownerReferences") or ()


def _names(reference: Manifest, api_version: str, kind: str, name: str) -> bool:
    return (reference["apiVersion"], reference["kind"], reference["name"]) == (api_version, kind, name)


def _is_stale(reference: Manifest, owners: Owners) -> bool:
    return (owners.is_set(reference) and reference["uid"] != owners.set_uid) or (
        owners.is_pod(reference) and reference["uid"] != owners.pod_uid
    )
