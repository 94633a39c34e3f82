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


def finalizers(manifest: Manifest) -> list[str]:
    return list(manifest["metadata"].get("finalizers") or ())
