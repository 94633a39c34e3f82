"""The strategy Recreate: all pods go before the first comes back updated (KEP-3541, behind its gate)."""

from __future__ import annotations

from holdfast.controllers.actions import Waves

from . import writes
from .observed import Observed
from .ordering import Work
from .replicas import Replicas
from .revisions import History


def plan_recreation(observed: Observed, replicas: Replicas, history: History) -> Work:
    """Pods of another revision go, surplus ones too, and nothing else is done until they have left.

    As in every scale-down a surplus pod's claims change hands before it goes (S61).
    """
    if not observed.recreates or observed.statefulset.beyond.is_paused:
        return Work()
    left = replicas.labels.total() - replicas.labels[history.update_name]
    if not left:
        return Work()
    if replicas.staying.total() == replicas.staying[history.update_name]:
        return Work(reason=f"waiting for {left} outdated pods to leave", ends_here=True)
    old = [pod for pod in replicas.pods if pod.revision != history.update_name and not pod.is_terminating]
    owning = [
        writes.condemn_claims(observed, ordinal, pod)
        for ordinal in replicas.condemned_wanting
        if (pod := replicas.get(ordinal))
    ]
    deletions = [[writes.delete_pod(observed.statefulset, pod)] for pod in old]
    actions = [*(action for each in owning for action in each), Waves(deletions)]
    return Work(actions, f"{len(old)} pods are outdated", ends_here=True)
