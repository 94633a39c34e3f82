"""A pod's sticky name, labels and content (chapter 2)."""

from __future__ import annotations

from typing import Any

from holdfast.api.resource import Manifest

from . import claims
from .views import REVISION_LABEL, Pod, StatefulSet

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"


def pod_name(statefulset: StatefulSet, ordinal: int) -> str:
    return f"{statefulset.name}-{ordinal}"


def owner_reference(statefulset: StatefulSet) -> Manifest:
    """The reference that makes the set the controller of what carries it (S19)."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": statefulset.name,
        "uid": statefulset.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_uid(manifest: Manifest) -> str:
    """The uid of the owner that is the controller; empty if there is none (W1)."""
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def build_pod(statefulset: StatefulSet, ordinal: int, template: Manifest, revision: str) -> Manifest:
    """The pod of that ordinal, from the template of the revision of that name (S15, S17-S20, S31)."""
    name = pod_name(statefulset, ordinal)
    template_metadata = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "name": name,
        "generateName": f"{statefulset.name}-",
        "namespace": statefulset.namespace,
        "labels": {
            **(template_metadata.get("labels") or {}),
            POD_NAME_LABEL: name,
            POD_INDEX_LABEL: str(ordinal),
            REVISION_LABEL: revision,
        },
        "ownerReferences": [owner_reference(statefulset)],
    }
    for member in ("annotations", "finalizers"):
        if template_metadata.get(member):
            metadata[member] = template_metadata[member]
    spec = {**template["spec"], "hostname": name}
    spec.pop("subdomain", None)
    if service_name := statefulset.spec.get("serviceName"):
        spec["subdomain"] = service_name
    if statefulset.claim_templates:
        spec["volumes"] = claims.pod_volumes(statefulset, ordinal, spec.get("volumes") or [])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def is_identity_right(statefulset: StatefulSet, ordinal: int, pod: Pod) -> bool:
    """Whether name and pod-name label are those of the slot; the index label is not looked at (S25)."""
    name = pod_name(statefulset, ordinal)
    return pod.name == name and pod.labels.get(POD_NAME_LABEL) == name


def with_identity(statefulset: StatefulSet, ordinal: int, manifest: Manifest) -> Manifest:
    """A pod with its name and both labels put right (S119)."""
    name = pod_name(statefulset, ordinal)
    metadata = manifest["metadata"]
    labels = {**(metadata.get("labels") or {}), POD_NAME_LABEL: name, POD_INDEX_LABEL: str(ordinal)}
    return {
        **manifest,
        "metadata": {**metadata, "name": name, "namespace": statefulset.namespace, "labels": labels},
    }
