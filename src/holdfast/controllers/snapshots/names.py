"""What the objects of snapshots are called, and the marks on them."""

from __future__ import annotations

from holdfast.api.resource import Manifest

_MARKS = "snapshot.storage.kubernetes.io"
BOUND = f"{_MARKS}/volumesnapshot-bound-protection"
AS_SOURCE = f"{_MARKS}/volumesnapshot-as-source-protection"
CONTENT_BOUND = f"{_MARKS}/volumesnapshotcontent-bound-protection"
CLAIM_AS_SOURCE = f"{_MARKS}/pvc-as-source-protection"
CLONED = "provisioner.storage.kubernetes.io/cloning-protection"
BEING_DELETED = f"{_MARKS}/volumesnapshot-being-deleted"
TAKEN_WITH, TAKEN_WITH_COUNT = "holdfast.dev/taken-with", "holdfast.dev/taken-with-count"
"""A label and an annotation: snapshots of one namespace with the same label are taken at one moment."""


def content_name(snapshot: Manifest) -> str:
    """Derived from the uid, so that a retry finds the content instead of making a second one (V117)."""
    return f"snapcontent-{snapshot['metadata']['uid']}"


def handle_of(content: Manifest) -> str:
    """The driver's name of a snapshot that is to be taken."""
    return f"snapshot-{content['spec']['volumeSnapshotRef']['uid']}"


def is_bound(snapshot: Manifest, content: Manifest) -> bool:
    """Whether the content is for this very snapshot (V119)."""
    reference, metadata = content["spec"]["volumeSnapshotRef"], snapshot["metadata"]
    return (reference.get("name"), reference.get("namespace"), reference.get("uid")) == (
        metadata["name"],
        metadata["namespace"],
        metadata["uid"],
    )


def group_of(snapshot: Manifest) -> str:
    """The name, fit for a file, of the group that is to be taken at one moment; empty for a snapshot by itself."""
    name = (snapshot["metadata"].get("labels") or {}).get(TAKEN_WITH, "")
    return f"{snapshot['metadata']['namespace']}_{name}" if name else ""


def group_size(snapshot: Manifest) -> int:
    """How many there are in it."""
    text = (snapshot["metadata"].get("annotations") or {}).get(TAKEN_WITH_COUNT, "")
    return int(text) if text.isdecimal() else 1


def finalizers(manifest: Manifest) -> list[str]:
    return list(manifest["metadata"].get("finalizers") or ())
