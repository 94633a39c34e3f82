"""What the garbage collector looks at: every kind, through indexes of owners' uids. Keys are `KIND OBJECT`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from holdfast.api import registry
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .plan import FOREGROUND, ORPHAN, Object, ObservedObject, Owner, Reference, plan_garbage

BY_OWNER, BY_UID = "owner uid", "uid"

NEVER_COLLECTED = {"Event"}
UNSYNCED_AFTER_S = 0.1

_FATAL = (Owner.ABSENT, Owner.ELSEWHERE, Owner.WAITING)


def collectable() -> tuple[Resource, ...]:
    """Kinds that take part, each once: not events, which belong to nobody (W88)."""
    return tuple(each for each in registry.STORED if each.kind not in NEVER_COLLECTED and "watch" in each.verbs)


class GarbageCollector:
    name = "garbage-collector-controller"
    concurrency = 8

    def __init__(self, resources: Sequence[Resource] = ()) -> None:
        self._resources = tuple(resources) or collectable()

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._informers: dict[str, Informer] = {}
        for resource in self._resources:
            self._add(informers, resource)
        for resource in self._resources:
            self._follow(resource)
        self._defined = informers.follow_defined(partial(self._came, informers), self._went)

    def _came(self, informers: Informers, resource: Resource) -> None:
        self._add(informers, resource)
        self._follow(resource)

    def _went(self, resource: Resource) -> None:
        self._informers.pop(resource.qualified, None)

    def _add(self, informers: Informers, resource: Resource) -> None:
        informer = self._informers[resource.qualified] = informers.of(resource)
        informer.add_index(BY_OWNER, _owner_uids)
        informer.add_index(BY_UID, lambda manifest: (manifest["metadata"]["uid"],))

    def _follow(self, resource: Resource) -> None:
        def on_change(old: Manifest | None, new: Manifest | None) -> None:
            if old is not None and (new is None or _owner_uids(old) != _owner_uids(new)):
                self._wake_waiting_owners(old)
            if new is None:
                assert old is not None
                self._wake_dependents(old)
            elif old is None or _matters(old) != _matters(new):
                if _is_of_interest(new):
                    self._queue.add(f"{resource.qualified} {key_of(new)}")
                if _is_going(new):
                    self._wake_dependents(new)

        self._informers[resource.qualified].subscribe(on_change)

    def _wake_waiting_owners(self, dependent: Manifest) -> None:
        for reference in dependent["metadata"].get("ownerReferences") or ():
            owner = self._cached_owner(reference, dependent["metadata"].get("namespace", ""))
            if owner is not None and owner.waits_for_dependents:
                self._queue.add(f"{owner.resource.qualified} {key_of(owner.manifest)}")

    def _wake_dependents(self, owner: Manifest) -> None:
        for dependent in self._dependents(owner["metadata"]["uid"]):
            self._queue.add(f"{dependent.resource.qualified} {key_of(dependent.manifest)}")

    def _dependents(self, uid: str) -> list[Object]:
        return [
            Object(informer.resource, manifest)
            for informer in self._informers.values()
            for manifest in informer.by_index(BY_OWNER, uid)
        ]

    def observe(self, key: str) -> ObservedObject | None:
        qualified, _, name = key.partition(" ")
        informer = self._informers.get(qualified)
        manifest = informer.get(name) if informer is not None else None
        if informer is None or manifest is None:
            return None
        if not all(each.synced for each in self._informers.values()):
            self._queue.add_after(key, UNSYNCED_AFTER_S)  # a kind has just come: who depends on whom is not known yet
            return None
        of = Object(informer.resource, manifest)
        namespace = manifest["metadata"].get("namespace", "")
        references = manifest["metadata"].get("ownerReferences") or ()
        owners = [(reference, self._state(reference, namespace)) for reference in references]
        return ObservedObject(of, owners, self._dependents(manifest["metadata"]["uid"]))

    def _state(self, reference: Reference, namespace: str) -> Owner:
        informer = self._informer_of(reference)
        if informer is None or (informer.resource.namespaced and not namespace):
            return Owner.UNRESOLVABLE
        owner = self._cached_owner(reference, namespace)
        if owner is not None:
            return Owner.WAITING if owner.waits_for_dependents else Owner.ALIVE
        if informer.resource.namespaced and informer.by_index(BY_UID, reference["uid"]):
            return Owner.ELSEWHERE
        return Owner.ABSENT

    def _informer_of(self, reference: Reference) -> Informer | None:
        group = reference.get("apiVersion", "").rpartition("/")[0]
        kind = reference.get("kind", "")
        resource = registry.by_group_kind(group, kind) or self._defined.by_group_kind(group, kind)
        return self._informers.get(resource.qualified) if resource is not None else None

    def _cached_owner(self, reference: Reference, namespace: str) -> Object | None:
        informer = self._informer_of(reference)
        if informer is None:
            return None
        name = reference["name"]
        key = f"{namespace}/{name}" if informer.resource.namespaced else name
        manifest = informer.get(key)
        if manifest is None or manifest["metadata"]["uid"] != reference["uid"]:
            return None
        return Object(informer.resource, manifest)

    async def verify(self, observed: ObservedObject, client: Client) -> ObservedObject:
        """What would delete the object is looked up at the server: views lag (W85).

        An owner that is missing from the view may be there; one that waits for its dependents may let them go by now.
        """
        if observed.object.is_going or all(owner not in _FATAL for _, owner in observed.owners):
            return observed
        return await self._confirm(observed, client)

    async def _confirm(self, observed: ObservedObject, client: Client) -> ObservedObject:
        namespace = observed.object.metadata.get("namespace", "")
        owners = []
        for reference, owner in observed.owners:
            if owner in _FATAL:
                owner = await self._live_state(reference, namespace, owner, client)
            owners.append((reference, owner))
        return replace(observed, owners=owners)

    async def _live_state(self, reference: Reference, namespace: str, cached: Owner, client: Client) -> Owner:
        informer = self._informer_of(reference)
        assert informer is not None  # else it would be unresolvable
        resource = informer.resource
        try:
            owner = await client.get(resource, reference["name"], namespace if resource.namespaced else "")
        except NotFound:
            owner = None
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            return Owner.ABSENT if cached is Owner.WAITING else cached
        return Owner.WAITING if Object(resource, owner).waits_for_dependents else Owner.ALIVE

    def plan(self, observed: ObservedObject) -> Plan:
        return plan_garbage(observed)


def _owner_uids(manifest: Manifest) -> Iterable[str]:
    return [reference["uid"] for reference in manifest["metadata"].get("ownerReferences") or ()]


def _is_going(manifest: Manifest) -> bool:
    return bool(manifest["metadata"].get("deletionTimestamp"))


def _is_of_interest(manifest: Manifest) -> bool:
    metadata = manifest["metadata"]
    finalizers = metadata.get("finalizers") or ()
    return bool(metadata.get("ownerReferences")) or FOREGROUND in finalizers or ORPHAN in finalizers


def _matters(manifest: Manifest) -> tuple[object, ...]:
    metadata = manifest["metadata"]
    return metadata.get("ownerReferences"), metadata.get("finalizers"), metadata.get("deletionTimestamp")
