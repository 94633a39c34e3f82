"""Which pods and revisions are the set's: adoption and release (chapter 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import Invalid, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.controllers.actions import Action, Confirm, Each, Errors, Patch

from .identity import controller_uid, owner_reference, pod_name
from .views import Pod, StatefulSet, split_pod_name

STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Claimed:
    """Which of the pods in question are the set's, those being adopted included, and the writes that make it so."""

    pods: Sequence[Pod]
    before: tuple[Action, ...] = ()


def claim(statefulset: StatefulSet, pods: Sequence[Pod], revisions: Sequence[Manifest]) -> Claimed:
    """Sorts candidates: pods and revisions controlled by the set, or by nobody (S108-S113)."""
    kept: list[Pod] = []
    adopted: list[Action] = []
    released: list[Action] = []
    for pod in pods:
        is_ours = controller_uid(pod.manifest) == statefulset.uid
        if is_match(statefulset, pod):
            if is_ours:
                kept.append(pod)
            elif not (pod.is_terminating or statefulset.is_being_deleted):
                kept.append(pod)
                adopted.append(_adopt(statefulset, PODS, pod.manifest, ignore=(NotFound,)))
        elif is_ours and not statefulset.is_being_deleted:
            released.append(_release(statefulset, pod))
    orphans = [revision for revision in revisions if not controller_uid(revision)]
    adopted_revisions: list[Action] = []
    if not statefulset.is_being_deleted:
        adopted_revisions = [_adopt(statefulset, CONTROLLER_REVISIONS, revision) for revision in orphans]
    return Claimed(kept, _before(statefulset, adopted_revisions, adopted, released))


def is_member(statefulset: StatefulSet, pod: Pod) -> bool:
    """Whether there is no question that the pod is the set's: by owner, labels and exact name."""
    return (
        controller_uid(pod.manifest) == statefulset.uid
        and is_match(statefulset, pod)
        and pod.ordinal is not None
        and pod.name == pod_name(statefulset, pod.ordinal)
    )


def is_match(statefulset: StatefulSet, pod: Pod) -> bool:
    """Whether labels and name say that the pod is the set's (S16, S108)."""
    return statefulset.selector.matches(pod.labels) and split_pod_name(pod.name)[0] == statefulset.name


def _before(
    statefulset: StatefulSet, revisions: Sequence[Action], adopted: Sequence[Action], released: Sequence[Action]
) -> tuple[Action, ...]:
    """Nothing is adopted unless the set, read live, is the same and stays (S109)."""
    before: list[Action] = []
    if revisions or adopted:
        before.append(Confirm(STATEFUL_SETS, statefulset.namespace, statefulset.name, statefulset.uid))
    if revisions:
        before.append(Each(revisions))
    if adopted or released:
        before.append(Each((*adopted, *released)))
    return tuple(before)


def _adopt(statefulset: StatefulSet, resource: Resource, manifest: Manifest, ignore: Errors = ()) -> Patch:
    metadata = manifest["metadata"]
    patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": [owner_reference(statefulset)]}}
    return Patch(resource, metadata["namespace"], metadata["name"], patch, type=STRATEGIC, ignore=ignore)


def _release(statefulset: StatefulSet, pod: Pod) -> Patch:
    metadata = pod.manifest["metadata"]
    patch = {
        "metadata": {"uid": pod.uid, "ownerReferences": [{"$patch": "delete", "uid": statefulset.uid}]},
    }
    return Patch(PODS, metadata["namespace"], pod.name, patch, type=STRATEGIC, ignore=(NotFound, Invalid))
