"""Which revision a pod gets, and which pod goes next for a new one (chapter 7)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

from .replicas import Replicas
from .revisions import History
from .views import Pod, StatefulSet


def revision_for(statefulset: StatefulSet, ordinal: int, history: History) -> Manifest:
    """The revision that a missing pod is made from (S89, S92-S94)."""
    if statefulset.is_updated_by_deletion:
        return history.update
    staying = statefulset.partition
    if not statefulset.has_partition:
        staying = int(statefulset.status.get("currentReplicas") or 0)
    return history.current if ordinal - statefulset.start < staying else history.update


def next_outdated(statefulset: StatefulSet, replicas: Replicas, history: History) -> tuple[Pod | None, str]:
    """The pod to delete so that it comes back updated, and why, or why none (S96, S97).

    From the highest slot down to the partition: an outdated pod goes, whether it is well or not; one that is up
    to date, or leaving, has to be available before the next lower one is looked at.
    """
    ordinal = replicas.highest_not_updated(history.update_name)
    if ordinal is None or ordinal - statefulset.start < statefulset.partition:
        return None, ""
    pod = replicas.get(ordinal)
    if pod is None or pod.has_ended:
        return None, f"waiting for pod {ordinal} to be replaced before the next is updated"
    if pod.revision != history.update_name and not pod.is_terminating:
        return pod, f"pod {ordinal} is outdated"
    return None, f"waiting for pod {ordinal} to be available before the next is updated"
