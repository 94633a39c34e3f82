"""Creating and deleting pods that have no identity of their own, with the events that go along (W3)."""

from __future__ import annotations

from typing import Any

from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest, Resource

from .actions import Create, Delete, Report
from .owners import owner_reference


def build_pod(resource: Resource, owner: Manifest, template: Manifest) -> Manifest:
    """A pod of the owner from a template, named by the server (W3)."""
    template_metadata = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [owner_reference(resource, owner)],
    }
    for member in ("labels", "annotations", "finalizers"):
        if template_metadata.get(member):
            metadata[member] = template_metadata[member]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def create_pod(resource: Resource, owner: Manifest, template: Manifest) -> Create:
    return Create(
        PODS,
        build_pod(resource, owner, template),
        on_success=Report("Normal", "SuccessfulCreate", "Created pod: {name}"),
        on_failure=Report("Warning", "FailedCreate", "Error creating: {error}"),
    )


def delete_pod(pod: Manifest) -> Delete:
    metadata = pod["metadata"]
    return Delete(
        PODS,
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        on_success=Report("Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}"),
        on_failure=Report("Warning", "FailedDelete", "Error deleting: {error}"),
    )
