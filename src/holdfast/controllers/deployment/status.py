"""What a Deployment's status says (W6, W27-W29)."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Update

from .conditions import AVAILABLE, COMPLETE, FAILURE, PROGRESSING, TIMED_OUT, UPDATED, Conditions
from .sets import REVISION
from .views import Deployment, ReplicaSet, size


def count(
    deployment: Deployment, sets: Sequence[ReplicaSet], new: ReplicaSet | None, collisions: int | None
) -> Manifest:
    """The counts, as the sets report them."""
    available = sum(one.available for one in sets)
    terminating = [one.terminating for one in sets if not one.is_new]
    counts: Manifest = {
        "observedGeneration": deployment.generation,
        "replicas": sum(one.reports("replicas") for one in sets),
        "updatedReplicas": new.reports("replicas") if new else 0,
        "readyReplicas": sum(one.reports("readyReplicas") for one in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, size(sets) - available),
    }
    status = {name: value for name, value in counts.items() if value}
    if collisions is not None:
        status["collisionCount"] = collisions
    known = [each for each in terminating if each is not None]
    if len(known) == len(terminating):
        status["terminatingReplicas"] = sum(known)
    return status


def judge_availability(deployment: Deployment, counts: Manifest, conditions: Conditions) -> None:
    if counts.get("availableReplicas", 0) >= deployment.replicas - deployment.max_unavailable:
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        message = "Deployment does not have minimum availability."
        conditions.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message)


def is_complete(deployment: Deployment, counts: Manifest) -> bool:
    """Whether every wanted pod is of the new template and available, and there are no others (W29)."""
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return (
        all(counts.get(name, 0) == deployment.replicas for name in names)
        and counts.get("observedGeneration", 0) >= deployment.generation
    )


def judge_progress(deployment: Deployment, counts: Manifest, new: ReplicaSet | None, conditions: Conditions) -> None:
    """Complete, going on, or stuck for too long (W28). Says nothing without a deadline."""
    if deployment.deadline_s is None:
        conditions.remove(PROGRESSING)
        return
    present = conditions.get(PROGRESSING)
    is_settled = counts.get("replicas", 0) == counts.get("updatedReplicas", 0)
    if is_settled and present is not None and present.get("reason") == COMPLETE:
        return
    what = f'ReplicaSet "{new.name}"' if new else f'Deployment "{deployment.name}"'
    if is_complete(deployment, counts):
        conditions.set(PROGRESSING, "True", COMPLETE, f"{what} has successfully progressed.")
    elif _is_progress(deployment.status, counts):
        conditions.renew(PROGRESSING, "True", UPDATED, f"{what} is progressing.")
    else:
        left_s = conditions.overdue_in_s(deployment.deadline_s)
        if left_s is not None and left_s < 0:
            conditions.set(PROGRESSING, "False", TIMED_OUT, f"{what} has timed out progressing.")


def _is_progress(before: Manifest, after: Manifest) -> bool:
    def outdated(counts: Manifest) -> int:
        return int(counts.get("replicas", 0)) - int(counts.get("updatedReplicas", 0))

    grew = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(after) < outdated(before) or any(after.get(name, 0) > before.get(name, 0) for name in grew)


def pass_on_failures(sets: Sequence[ReplicaSet], new: ReplicaSet | None, conditions: Conditions) -> None:
    """The new set's failure to create pods, else that of any, becomes the Deployment's."""
    for one in (*([new] if new else ()), *sets):
        for condition in (one.manifest.get("status") or {}).get("conditions") or ():
            if condition["type"] == FAILURE:
                present = conditions.get(FAILURE)
                same = present and (present["status"], present.get("reason")) == (
                    condition["status"],
                    condition.get("reason"),
                )
                if not same:
                    conditions.remove(FAILURE)
                    conditions.list.append({**condition, "lastUpdateTime": condition["lastTransitionTime"]})
                return
    conditions.remove(FAILURE)


def write_always(deployment: Deployment, status: Manifest, conditions: Conditions, revision: str) -> Update:
    """The status, and the revision as an annotation, which goes along with it (A151)."""
    metadata = deployment.manifest["metadata"]
    if revision:
        metadata = {**metadata, "annotations": {**deployment.annotations, REVISION: revision}}
    written = {**status, "conditions": conditions.list} if conditions.list else status
    return Update(DEPLOYMENTS, {**deployment.manifest, "metadata": metadata, "status": written}, subresource="status")


def write(deployment: Deployment, status: Manifest, conditions: Conditions, revision: str) -> Update | None:
    """The same; None if nothing changed."""
    update = write_always(deployment, status, conditions, revision)
    is_same = update.manifest["status"] == deployment.status
    return None if is_same and update.manifest["metadata"] == deployment.manifest["metadata"] else update
