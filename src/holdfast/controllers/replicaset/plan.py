"""One sync of a ReplicaSet or ReplicationController. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import LabelSelector, selector_from_labels, selector_from_manifest
from holdfast.controllers.actions import Action, Each, Plan, Waves
from holdfast.controllers.owners import claim
from holdfast.controllers.pod_writes import create_pod, delete_pod

from . import status
from .pods import available_in_s, is_active, is_ready, is_terminating
from .victims import victims

MOST_AT_ONCE = 500
"""So many pods are created or deleted in one sync (W11)."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    resource: Resource
    """REPLICA_SETS or REPLICATION_CONTROLLERS."""
    replica_set: Manifest
    pods: Sequence[Manifest]
    """Those it controls, and those of its namespace that nobody controls."""
    related: Sequence[Manifest]
    """Those of all sets of the same controller, such as one Deployment's."""
    is_namespace_terminating: bool
    now: datetime


def plan(observed: Observed) -> Plan:
    """Creates what is missing, deletes what is too much; nothing while the set itself is going (W10-W15)."""
    replica_set = observed.replica_set
    selector = selector_of(observed.resource, replica_set)
    uid = replica_set["metadata"]["uid"]

    def matches(pod: Manifest) -> bool:
        return selector.matches(pod["metadata"].get("labels"))

    living = [pod for pod in observed.pods if is_active(pod)]
    claimed = claim(observed.resource, replica_set, matches, PODS, living)
    terminating = sum(is_terminating(pod) and matches(pod) and _is_of(pod, uid) for pod in observed.pods)
    reason, actions, failure = _work(observed, claimed.kept)
    counted = status.count(replica_set, claimed.kept, terminating, observed.now)
    failed = status.count(replica_set, claimed.kept, terminating, observed.now, failure)
    return Plan(
        reason,
        before=claimed.before,
        actions=actions,
        status=status.write(observed.resource, replica_set, counted),
        failed_status=status.write_always(observed.resource, replica_set, failed) if failure else None,
        subject=replica_set,
        again_after_s=_next_available_in_s(replica_set, claimed.kept, observed.now),
    )


def selector_of(resource: Resource, replica_set: Manifest) -> LabelSelector:
    selector = replica_set["spec"].get("selector")
    return selector_from_manifest(selector) if resource is REPLICA_SETS else selector_from_labels(selector)


def _work(observed: Observed, pods: Sequence[Manifest]) -> tuple[str, Sequence[Action], str]:
    """Why, what, and the reason of the condition in case that fails."""
    replica_set = observed.replica_set
    missing = wanted_replicas(replica_set) - len(pods)
    if "deletionTimestamp" in replica_set["metadata"]:
        return "being deleted", (), ""
    if missing > 0:
        if observed.is_namespace_terminating:
            return "nothing is created in a namespace that is being deleted", (), ""
        create = create_pod(observed.resource, replica_set, replica_set["spec"]["template"])
        return f"{missing} pods are missing", (Waves([(create,)] * min(missing, MOST_AT_ONCE)),), "FailedCreate"
    if missing < 0:
        surplus = min(-missing, MOST_AT_ONCE)
        chosen = victims(pods, observed.related, surplus, observed.now)
        return f"{-missing} pods are too many", (Each([delete_pod(pod) for pod in chosen]),), "FailedDelete"
    return "all as wanted", (), ""


def wanted_replicas(replica_set: Manifest) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _is_of(pod: Manifest, uid: str) -> bool:
    return any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or ())


def _next_available_in_s(replica_set: Manifest, pods: Sequence[Manifest], now: datetime) -> float | None:
    """When the next ready pod becomes available (W118)."""
    min_ready_s = int(replica_set["spec"].get("minReadySeconds") or 0)
    if min_ready_s == 0:
        return None
    waits = [available_in_s(pod, min_ready_s, now) for pod in pods if is_ready(pod)]
    return min((wait for wait in waits if wait), default=None)
