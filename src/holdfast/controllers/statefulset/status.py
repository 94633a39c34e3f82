"""What a set's status says (chapter 9)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Update

from .replicas import Replicas
from .revisions import History
from .views import StatefulSet

_COMPARED = (
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "currentReplicas",
    "updatedReplicas",
    "currentRevision",
    "updateRevision",
)


@dataclass(frozen=True, slots=True)
class Status:
    """Computed anew in each sync (S126)."""

    replicas: int
    ready_replicas: int
    available_replicas: int
    current_replicas: int
    updated_replicas: int
    current_revision: str
    update_revision: str

    def without_one_current(self) -> Status:
        """After a pod of the current revision was deleted for the update (S96, S107)."""
        return replace(self, current_replicas=self.current_replicas - 1)


def count(replicas: Replicas, history: History) -> Status:
    """The counts over all claimed pods, in slots and condemned alike (S127, S128)."""
    return Status(
        replicas=replicas.created,
        ready_replicas=replicas.ready,
        available_replicas=replicas.available,
        current_replicas=replicas.staying[history.current_name],
        updated_replicas=replicas.staying[history.update_name],
        current_revision=history.current_name,
        update_revision=history.update_name,
    )


def completed(statefulset: StatefulSet, status: Status) -> Status:
    """The status once every pod is updated and ready: the update revision becomes the current one (S133)."""
    if statefulset.is_updated_by_deletion:
        return status
    if not status.updated_replicas == status.ready_replicas == status.replicas == statefulset.replicas:
        return status
    return replace(status, current_revision=status.update_revision, current_replicas=status.updated_replicas)


def only_counts(statefulset: StatefulSet, status: Status) -> bool:
    """Whether the status differs from the stored one in nothing that a later sync reads there.

    Those are the revisions and, of a set without `rollingUpdate`, how many pods are at the current one (S78, S94).
    """
    stored = statefulset.status
    return (
        int(stored.get("observedGeneration") or 0) >= statefulset.generation
        and stored.get("currentRevision") == status.current_revision
        and stored.get("updateRevision") == status.update_revision
        and (
            statefulset.has_partition
            or statefulset.is_updated_by_deletion
            or int(stored.get("currentReplicas") or 0) == status.current_replicas
        )
    )


def write(statefulset: StatefulSet, status: Status, collisions: int) -> Update | None:
    """The write through the status subresource; None if nothing that counts changed (S131, S132)."""
    wanted = as_json(status, statefulset.generation, collisions)
    stored = statefulset.status
    is_observed = int(stored.get("observedGeneration") or 0) >= statefulset.generation
    if is_observed and all((wanted.get(name) or None) == (stored.get(name) or None) for name in _COMPARED):
        return None
    manifest = {**statefulset.manifest, "status": wanted}
    return Update(STATEFUL_SETS, manifest, subresource="status", insists=True)


def as_json(status: Status, generation: int, collisions: int) -> Manifest:
    """The JSON shape: two counts always, the rest unless empty (S130, S134)."""
    written: Manifest = {"replicas": status.replicas, "availableReplicas": status.available_replicas}
    rest = {
        "observedGeneration": generation,
        "readyReplicas": status.ready_replicas,
        "currentReplicas": status.current_replicas,
        "updatedReplicas": status.updated_replicas,
        "currentRevision": status.current_revision,
        "updateRevision": status.update_revision,
    }
    written |= {name: value for name, value in rest.items() if value}
    return {**written, "collisionCount": collisions}
