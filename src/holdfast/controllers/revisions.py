"""ControllerRevisions: the history of a workload's pod template (chapter 6 of the reference on StatefulSets)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.resource import Manifest, Resource

from .actions import Delete, Patch
from .content_hash import canonical
from .owners import owner_reference


def data_of(template: Manifest) -> Manifest:
    """What a revision records of a template: a patch that brings exactly it back (S65)."""
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(revision: Manifest) -> Manifest:
    """The template a revision brings back (S79)."""
    return {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}


def number_of(revision: Manifest) -> int:
    return int(revision.get("revision", 0))


def name_of(revision: Manifest) -> str:
    return str(revision["metadata"]["name"])


def in_order(revisions: Sequence[Manifest]) -> list[Manifest]:
    """Oldest first (S70)."""
    return sorted(
        revisions,
        key=lambda revision: (
            number_of(revision),
            revision["metadata"].get("creationTimestamp", ""),
            name_of(revision),
        ),
    )


def means(resource: Resource, owner: Manifest, revision: Manifest, encoded: bytes) -> bool:
    """Whether the revision's template, defaulted as by today's server, is the owner's, whose data is `encoded` (S81).

    Otherwise a server that learns a new default would restart every pod of every set.
    """
    data = revision.get("data")
    if not isinstance(data, dict) or not isinstance((data.get("spec") or {}).get("template"), dict):
        return False
    spec = {**owner["spec"], "template": template_of(revision)}
    restored = msgspec.json.decode(msgspec.json.encode({**owner, "spec": spec}))
    resource.default(restored)
    return canonical(data_of(restored["spec"]["template"])) == encoded


def build(resource: Resource, owner: Manifest, name: str, number: int, hash_label: tuple[str, str]) -> Manifest:
    """A revision of the owner's present template (S66).

    Its data are in the order of the bytes that are hashed: kubectl compares them byte by byte (S68, S190).
    """
    template = owner["spec"]["template"]
    label, hash = hash_label
    metadata: Manifest = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": {**((template.get("metadata") or {}).get("labels") or {}), label: hash},
        "ownerReferences": [owner_reference(resource, owner)],
    }
    if annotations := owner["metadata"].get("annotations"):
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": msgspec.json.decode(canonical(data_of(template))),
        "revision": number,
    }


def renumber(revision: Manifest, number: int) -> Patch:
    """An old template that is wanted again becomes the newest revision (S74)."""
    metadata = revision["metadata"]
    patch = {"metadata": {"uid": metadata["uid"]}, "revision": number}
    return Patch(CONTROLLER_REVISIONS, metadata["namespace"], metadata["name"], patch)


def delete(revision: Manifest) -> Delete:
    metadata = revision["metadata"]
    return Delete(CONTROLLER_REVISIONS, metadata["namespace"], metadata["name"], metadata["uid"])
