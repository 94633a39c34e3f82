"""What becomes of one object because of its owners, or because it is an owner on its way out (W85, W86).

Source: Kubernetes, pkg/controller/garbagecollector/garbagecollector.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from holdfast.api.resource import Manifest, Resource
from holdfast.controllers.actions import Delete, Each, Emit, Patch, Plan, Report

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"

Reference = Mapping[str, Any]


class Owner(Enum):
    """What is known of the object that an owner reference names."""

    ALIVE = "alive"
    WAITING = "waiting for its dependents"
    """Being deleted in the foreground: this object has to go first."""
    ABSENT = "absent"
    ELSEWHERE = "in another namespace"
    """Absent here; the uid belongs to an object of another namespace (A253)."""
    UNRESOLVABLE = "unresolvable"
    """Of a kind that cannot be looked up from here: nothing follows from it."""


@dataclass(frozen=True, slots=True)
class Object:
    resource: Resource
    manifest: Manifest

    @property
    def metadata(self) -> Manifest:
        metadata: Manifest = self.manifest["metadata"]
        return metadata

    @property
    def is_going(self) -> bool:
        return bool(self.metadata.get("deletionTimestamp"))

    def has_finalizer(self, name: str) -> bool:
        return name in (self.metadata.get("finalizers") or ())

    @property
    def waits_for_dependents(self) -> bool:
        return self.is_going and self.has_finalizer(FOREGROUND)


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """An object between its owners and its dependents."""

    object: Object
    owners: Sequence[tuple[Reference, Owner]] = ()
    dependents: Sequence[Object] = field(default=())


def plan_garbage(observed: ObservedObject) -> Plan:
    of = observed.object
    if of.is_going and of.has_finalizer(ORPHAN):
        return _plan_orphaning(observed)
    if of.waits_for_dependents:
        return _plan_foreground(observed)
    if of.is_going:
        return Plan("on its way out", subject=of.manifest)
    return _plan_by_owners(observed)


def _plan_by_owners(observed: ObservedObject) -> Plan:
    of = observed.object
    warnings = [_warning(of, reference) for reference, owner in observed.owners if owner in _INVALID]
    states = [owner for _, owner in observed.owners]
    if not states or all(owner is Owner.UNRESOLVABLE for owner in states):
        return Plan("no owner to look up", tuple(warnings), subject=of.manifest)
    if any(owner in (Owner.ALIVE, Owner.UNRESOLVABLE) for owner in states):
        kept = [reference for reference, owner in observed.owners if owner in (Owner.ALIVE, Owner.UNRESOLVABLE)]
        if len(kept) == len(states):
            return Plan("owned", tuple(warnings), subject=of.manifest)
        strip = _patch(of, {"ownerReferences": list(kept)})
        return Plan("some owners are gone", (*warnings, strip), subject=of.manifest)
    propagation = _propagation(observed)
    return Plan("its owners are gone", (*warnings, _delete(of, propagation)), subject=of.manifest)


_INVALID = (Owner.ELSEWHERE, Owner.UNRESOLVABLE)


def _propagation(observed: ObservedObject) -> str:
    """As its user asked for before; in the foreground if its own dependents are to be waited for."""
    of = observed.object
    if of.has_finalizer(ORPHAN):
        return "Orphan"
    is_waited_for = any(owner is Owner.WAITING for _, owner in observed.owners)
    if of.has_finalizer(FOREGROUND) or (is_waited_for and observed.dependents):
        return "Foreground"
    return "Background"


def _plan_foreground(observed: ObservedObject) -> Plan:
    """The owner stays while dependents that block it are left; each of those goes by a plan of its own (A251)."""
    of = observed.object
    uid = of.metadata["uid"]
    if any(_blocks(each, uid) for each in observed.dependents):
        return Plan("waiting for dependents", subject=of.manifest)
    finalizers = [each for each in of.metadata["finalizers"] if each != FOREGROUND]
    return Plan("no dependent blocks it", (_patch(of, {"finalizers": finalizers or None}),), subject=of.manifest)


def _blocks(dependent: Object, uid: str) -> bool:
    references = dependent.metadata.get("ownerReferences") or ()
    return any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in references)


def _plan_orphaning(observed: ObservedObject) -> Plan:
    """First the dependents forget the owner, then the owner goes (W86)."""
    of = observed.object
    uid = of.metadata["uid"]
    finalizers = [each for each in of.metadata["finalizers"] if each != ORPHAN]
    strips = Each(tuple(_strip(each, uid) for each in observed.dependents))
    release = _patch(of, {"finalizers": finalizers or None})
    return Plan("orphaning its dependents", (strips, release), subject=of.manifest)


def _strip(dependent: Object, uid: str) -> Patch:
    references = dependent.metadata.get("ownerReferences") or ()
    return _patch(dependent, {"ownerReferences": [each for each in references if each["uid"] != uid] or None})


def _patch(of: Object, metadata: Manifest) -> Patch:
    """Lists are written whole, so the version decided upon must still be the one there is."""
    mine = of.metadata
    lock = {"uid": mine["uid"], "resourceVersion": mine["resourceVersion"]}
    return Patch(of.resource, mine.get("namespace", ""), mine["name"], {"metadata": {**metadata, **lock}})


def _delete(of: Object, propagation: str) -> Delete:
    """Of exactly the version whose owners were looked up: it may have been adopted since."""
    mine = of.metadata
    return Delete(
        of.resource,
        mine.get("namespace", ""),
        mine["name"],
        mine["uid"],
        resource_version=mine["resourceVersion"],
        propagation=propagation,
    )


def _warning(of: Object, reference: Reference) -> Emit:
    namespace = of.metadata.get("namespace", "")
    api_version, kind, name, uid = (reference.get(key, "") for key in ("apiVersion", "kind", "name", "uid"))
    named = f"ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}]"
    return Emit(
        Report("Warning", "OwnerRefInvalidNamespace", f'{named} does not exist in namespace "{namespace}"', of.manifest)
    )
