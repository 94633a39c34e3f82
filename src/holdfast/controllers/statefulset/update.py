"""Which revision a pod gets, and which pods go next for a new one (chapter 7)."""

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
    return history.current if statefulset.slots.index(ordinal) < staying else history.update


def next_outdated(
    statefulset: StatefulSet, replicas: Replicas, history: History, *, in_batches: bool = False
) -> tuple[list[Pod], str]:
    """The pods to delete so that they come back updated, and why, or why none."""
    if in_batches or statefulset.beyond.unsticks:
        most = statefulset.max_unavailable if in_batches else 1
        return _next_batch(replicas, history.update_name, most, unsticks=statefulset.beyond.unsticks)
    pod, reason = _next_one(statefulset, replicas, history)
    return [pod] if pod is not None else [], reason


def _next_one(statefulset: StatefulSet, replicas: Replicas, history: History) -> tuple[Pod | None, str]:
    """From the highest slot down to the partition: an outdated pod goes, whether it is well or not; one that is up
    to date, or leaving, has to be available before the next lower one is looked at (S96, S97).
    """
    ordinal = replicas.highest_not_updated(history.update_name)
    if ordinal is None or statefulset.slots.index(ordinal) < statefulset.partition:
        return None, ""
    pod = replicas.get(ordinal)
    if pod is None or pod.has_ended:
        return None, f"waiting for pod {ordinal} to be replaced before the next is updated"
    if pod.revision != history.update_name and not pod.is_terminating:
        return pod, f"pod {ordinal} is outdated"
    return None, f"waiting for pod {ordinal} to be available before the next is updated"


def _next_batch(replicas: Replicas, update_name: str, most: int, *, unsticks: bool) -> tuple[list[Pod], str]:
    """From the highest slot down to the partition, as many as may be unavailable besides those that are (S103).

    By the rule upstream an outdated pod that is not ready uses up what its own replacement needs. With `unsticks`
    such pods go first, and count only once they are gone; a pod that is ready goes when there are no others.
    """
    outdated = replicas.outdated(update_name)
    if not outdated:
        return [], ""
    room = most - len(replicas.unfit)
    stuck = replicas.stuck(update_name)
    broken = stuck.few(room + len(stuck)) if unsticks else []
    first = frozenset(broken)
    others = [ordinal for ordinal in outdated.few(room + len(broken)) if ordinal not in first]
    ordinals = [*broken, *others[: max(0, room)]]
    if not ordinals:
        return [], f"waiting for unavailable pods: {len(replicas.unfit)} of at most {most}"
    pods = [pod for ordinal in ordinals if (pod := replicas.get(ordinal))]
    return pods, ", ".join(f"pod {ordinal} is outdated" for ordinal in ordinals[:3])


def is_stuck(statefulset: StatefulSet, replicas: Replicas, ordinal: int, history: History) -> bool:
    """Whether the pod that holds up an ordered set is to be replaced and not waited for, where the set wants it so.

    It is of an outdated revision, is not ready, and would come back in another revision. One that is about to be
    available, or would only come back as it is, is waited for as ever, and so is any other pod that is on its way.
    """
    if not statefulset.beyond.unsticks or statefulset.beyond.is_paused or statefulset.is_updated_by_deletion:
        return False
    if ordinal not in replicas.stuck(history.update_name) or replicas.on_their_way(history.update_name):
        return False
    pod = replicas.get(ordinal)
    if pod is None or pod.revision != history.current_name or statefulset.has_partition:
        return True
    return statefulset.slots.index(ordinal) >= replicas.staying[history.current_name] - 1  # S94, once it is gone
