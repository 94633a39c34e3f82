"""Who owns what, for controllers that find their objects by selector: adoption and release (W1, W2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.api.errors import Invalid, NotFound
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import LabelSelector

from .actions import Action, Confirm, Each, Patch

STRATEGIC = "application/strategic-merge-patch+json"

BY_CONTROLLER = "controller"
BY_NAMESPACE_IF_ORPHAN = "orphans in"
"""Names of the indexes that `of_controller` and `of_namespace_if_orphan` make."""


def controller_uid(manifest: Manifest) -> str:
    """The uid of the owner that is the controller; empty if there is none."""
    reference = controller_of(manifest)
    return str(reference["uid"]) if reference else ""


def owner_reference(resource: Resource, owner: Manifest) -> Manifest:
    """The reference that makes the owner the controller of what carries it."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def of_controller(manifest: Manifest) -> Iterable[str]:
    uid = controller_uid(manifest)
    return (uid,) if uid else ()


def of_namespace_if_orphan(manifest: Manifest) -> Iterable[str]:
    return () if controller_uid(manifest) else (manifest["metadata"]["namespace"],)


class Owners(Protocol):
    """The objects of one kind, such as an informer sees them."""

    def get(self, key: str) -> Manifest | None:
        """The one at "namespace/name"."""

    def list(self, namespace: str) -> Iterable[Manifest]: ...


def owner_of(one: Manifest, resource: Resource, find: Callable[[str], Manifest | None]) -> Manifest | None:
    """The object of that kind that controls it, by name and uid; `find` takes "namespace/name"."""
    reference = controller_of(one)
    if reference is None or reference["kind"] != resource.kind:
        return None
    owner = find(f"{one['metadata']['namespace']}/{reference['name']}")
    return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None


def concerned(
    old: Manifest | None,
    new: Manifest | None,
    resource: Resource,
    owners: Owners,
    selector_of: Callable[[Manifest], LabelSelector],
) -> Iterator[Manifest]:
    """Whom a change of an object concerns: its owner, or its former one; of one that nobody controls, all that might
    want it (W2)."""
    if old is not None and (new is None or controller_uid(old) != controller_uid(new)):
        former = owner_of(old, resource, owners.get)
        yield from () if former is None else (former,)
    if new is None:
        return
    if controller_uid(new):
        present = owner_of(new, resource, owners.get)
        yield from () if present is None else (present,)
    elif old is None or old["metadata"].get("labels") != new["metadata"].get("labels") or controller_uid(old):
        for owner in owners.list(new["metadata"]["namespace"]):
            if selector_of(owner).matches(new["metadata"].get("labels")):
                yield owner


@dataclass(frozen=True, slots=True)
class Claimed:
    """Which candidates are the owner's, those being adopted included, and the writes that make it so."""

    kept: Sequence[Manifest]
    before: tuple[Action, ...] = ()


def claim(
    resource: Resource,
    owner: Manifest,
    matches: Callable[[Manifest], bool],
    of: Resource,
    candidates: Iterable[Manifest],
    finalizers: Sequence[str] = (),
) -> Claimed:
    """Sorts `candidates`, objects of the kind `of`, by owner and by whether they match (W1, W2).

    Nothing is adopted unless the owner, read live, is the same and stays. What is adopted gets the finalizers, what
    is released loses them.
    """
    uid, is_leaving = owner["metadata"]["uid"], "deletionTimestamp" in owner["metadata"]
    kept: list[Manifest] = []
    adopted: list[Action] = []
    released: list[Action] = []
    for one in candidates:
        holder = controller_uid(one)
        if holder == uid:
            if matches(one):
                kept.append(one)
            elif not is_leaving:
                released.append(_release(of, one, uid, finalizers))
        elif not holder and matches(one) and not is_leaving and "deletionTimestamp" not in one["metadata"]:
            kept.append(one)
            adopted.append(_adopt(of, one, owner_reference(resource, owner), finalizers))
    before: list[Action] = []
    if adopted:
        before.append(Confirm(resource, owner["metadata"]["namespace"], owner["metadata"]["name"], uid))
    if adopted or released:
        before.append(Each((*adopted, *released)))
    return Claimed(kept, tuple(before))


def _adopt(of: Resource, one: Manifest, reference: Manifest, finalizers: Sequence[str]) -> Patch:
    metadata = one["metadata"]
    change: Manifest = {"uid": metadata["uid"], "ownerReferences": [reference]}
    if finalizers:
        change["finalizers"] = list(finalizers)
    patch = {"metadata": change}
    return Patch(of, metadata["namespace"], metadata["name"], patch, type=STRATEGIC, ignore=(NotFound,))


def _release(of: Resource, one: Manifest, owner_uid: str, finalizers: Sequence[str]) -> Patch:
    metadata = one["metadata"]
    change: Manifest = {"uid": metadata["uid"], "ownerReferences": [{"$patch": "delete", "uid": owner_uid}]}
    if finalizers:
        change["$deleteFromPrimitiveList/finalizers"] = list(finalizers)
    patch = {"metadata": change}
    return Patch(of, metadata["namespace"], metadata["name"], patch, type=STRATEGIC, ignore=(NotFound, Invalid))
