"""Which pods a set takes and lets go (chapter 8)."""

from __future__ import annotations

from holdfast.controllers.statefulset.identity import controller_uid
from holdfast.controllers.statefulset.views import Pod, StatefulSet
from holdfast.simulation.observation import Facts, Observation

from .moments import CONTROLLER, matches, set_of, sets


class PodsAreAdoptedByTheLiving:
    """A set adopts pods that match it and belong to nobody, and releases those that no longer match; one that is
    being deleted does neither (S108-S111, S124)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Pod" or seen.by != CONTROLLER or seen.old is None or seen.new is None:
            return ""
        before, after = controller_uid(seen.old), controller_uid(seen.new)
        if before == after:
            return ""
        versions = facts.past.since("Pod", seen.key, facts.oldest("Pod"))
        pods = [Pod(one) for one in versions if one is not None]
        is_right = _may_adopt if after else _may_release
        for statefulset in sets(facts, set_of(seen.manifest)):
            is_it = statefulset.uid == (after or before) and not statefulset.is_being_deleted
            if is_it and any(is_right(statefulset, pod) for pod in pods):
                return ""
        return f"{seen.key} was {'adopted' if after else 'released'} by a set that must not"


def _may_adopt(statefulset: StatefulSet, pod: Pod) -> bool:
    return not controller_uid(pod.manifest) and not pod.is_terminating and matches(statefulset, pod)


def _may_release(statefulset: StatefulSet, pod: Pod) -> bool:
    return controller_uid(pod.manifest) == statefulset.uid and not matches(statefulset, pod)
