"""The state of a CustomResourceDefinition, from its first names to the removal of its objects (A199-A201).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/controller/establish and pkg/controller/finalizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.apiextensions.custom_resource_definition import CLEANUP, CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.conditions import condition
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.controllers.actions import Delete, Each, Plan, Update

from .naming import Condition, accepted, approval, taken_by

AGAIN_S = 1.0
"""How often is looked again while finalizers keep objects."""
NOT_ACCEPTED = ("False", "NotAccepted", "not all names are accepted")
ESTABLISHED = ("True", "InitialNamesAccepted", "the initial names have been accepted")
IN_PROGRESS = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
COMPLETED = ("False", "InstanceDeletionCompleted", "removed all instances")


@dataclass(frozen=True, slots=True)
class Observed:
    """A definition, the others of its group, and, where it goes, the objects that are left of it."""

    definition: Manifest
    others: Sequence[Manifest]
    now: datetime
    left: Mapping[Resource, Sequence[Manifest]] | None = None
    """None as long as nobody has looked."""

    @property
    def is_going(self) -> bool:
        return bool(self.definition["metadata"].get("deletionTimestamp"))


def plan(observed: Observed) -> Plan:
    if not observed.is_going:
        return _plan_names(observed)
    if CLEANUP not in (observed.definition["metadata"].get("finalizers") or ()):
        return Plan("others' finalizers keep the definition", subject=observed.definition)
    return _plan_removal(observed)


def _plan_names(observed: Observed) -> Plan:
    definition = observed.definition
    names, naming = accepted(definition, taken_by(observed.others))
    known = condition(definition, "Established")
    is_established = known is not None and known["status"] == "True"
    conditions = [naming]
    if not is_established:
        conditions.append(_told("Established", ESTABLISHED if naming["status"] == "True" else NOT_ACCEPTED))
    if (approved := approval(definition)) is not None:
        conditions.append(approved)
    status = _status(definition, conditions, observed.now) | {"acceptedNames": names}
    return _written(observed, status, "its names are known")


def _plan_removal(observed: Observed) -> Plan:
    """Objects first, then the definition; what its own finalizers keep is waited for."""
    definition, left = observed.definition, observed.left or {}
    if not any(left.values()):
        status = _status(definition, [_told("Terminating", COMPLETED)], observed.now)
        finalizers = [name for name in definition["metadata"]["finalizers"] if name != CLEANUP]
        metadata = {**definition["metadata"], "finalizers": finalizers}
        release = Update(CUSTOM_RESOURCE_DEFINITIONS, {**definition, "metadata": metadata}, ignore=(NotFound,))
        told = _written(observed, status, "nothing is left of it")
        if told.status is not None:
            return Plan("nothing is left of it", status=told.status, subject=definition, again_after_s=0)
        return Plan("it may go", (release,), subject=definition)
    deletes = [
        _delete(resource, manifest)
        for resource, manifests in left.items()
        for manifest in manifests
        if not manifest["metadata"].get("deletionTimestamp")
    ]
    status = _status(definition, [_told("Terminating", IN_PROGRESS)], observed.now)
    told = _written(observed, status, "its objects go")
    actions = (Each(tuple(deletes)),) if deletes else ()
    again_s = 0 if deletes else AGAIN_S
    return Plan("its objects go", actions, status=told.status, subject=definition, again_after_s=again_s)


def _delete(resource: Resource, manifest: Manifest) -> Delete:
    metadata = manifest["metadata"]
    return Delete(resource, metadata.get("namespace", ""), metadata["name"], metadata["uid"], propagation="Background")


def _told(kind: str, said: tuple[str, str, str]) -> Condition:
    status, reason, message = said
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _status(definition: Manifest, conditions: Sequence[Condition], now: datetime) -> Manifest:
    """The status with these conditions, each in its old place if it has one."""
    status = definition.get("status") or {}
    told = {one["type"]: one for one in conditions}
    before = {one["type"]: one for one in status.get("conditions") or ()}
    merged = {kind: _dated(before.get(kind), told.get(kind) or one, now) for kind, one in {**before, **told}.items()}
    return {**status, "conditions": list(merged.values())}


def _dated(before: Manifest | None, told: Manifest, now: datetime) -> Manifest:
    """With the time at which its status last changed."""
    if before is not None and before["status"] == told["status"]:
        return {**before, **told}
    return {**told, "lastTransitionTime": format_time(now)}


def _written(observed: Observed, status: Manifest, reason: str) -> Plan:
    definition = observed.definition
    if status == definition.get("status"):
        return Plan("nothing new to tell", subject=definition)
    update = Update(CUSTOM_RESOURCE_DEFINITIONS, {**definition, "status": status}, "status", ignore=(NotFound,))
    return Plan(reason, status=update, subject=definition)
