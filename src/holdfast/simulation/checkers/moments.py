"""The world as the StatefulSet controller may have seen it when it decided on a change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property

from holdfast.api.resource import Manifest
from holdfast.controllers.statefulset.identity import controller_uid
from holdfast.controllers.statefulset.views import Pod, StatefulSet, split_pod_name
from holdfast.simulation.loop import EPOCH
from holdfast.simulation.observation import Facts, Observation

CONTROLLER = "statefulset-controller"


class Moment:
    """A set and its pods, as one view of each shows them."""

    def __init__(self, statefulset: StatefulSet, pods: list[Manifest], facts: Facts, at_s: float) -> None:
        self.set = statefulset
        self.pods: dict[int, Pod] = {}
        """Those the set controls, or would adopt, by ordinal."""
        self.revisions = Revisions(facts, statefulset.namespace)
        self._now = EPOCH + timedelta(seconds=at_s)
        for manifest in pods:
            pod = Pod(manifest)
            if pod.ordinal is not None and belongs(statefulset, pod):
                self.pods[pod.ordinal] = pod

    def is_fit(self, ordinal: int) -> bool:
        """Whether the pod is there, available and stays."""
        pod = self.pods.get(ordinal)
        return pod is not None and not pod.is_terminating and pod.is_available(self.set.min_ready_s, self._now)

    def was_available(self, pod: Pod, ago_s: float) -> bool:
        """As far as time is concerned."""
        return pod.is_available(self.set.min_ready_s, self._now - timedelta(seconds=ago_s))

    @cached_property
    def first_unfit(self) -> int | None:
        return next((ordinal for ordinal in self.set.slots if not self.is_fit(ordinal)), None)

    @cached_property
    def condemned(self) -> list[int]:
        """From the top."""
        return sorted((ordinal for ordinal in self.pods if ordinal not in self.set.slots), reverse=True)

    def may_be_updated(self, pod: Pod) -> bool:
        """Whether the pod's revision may have been seen to be the set's template."""
        return self.revisions.may_be(pod.revision, self.set.template)

    def may_be_outdated(self, pod: Pod) -> bool:
        return self.revisions.may_not_be(pod.revision, self.set.template)


class Revisions:
    """The revisions of a namespace, as they may have been seen."""

    def __init__(self, facts: Facts, namespace: str) -> None:
        self._facts = facts
        self._namespace = namespace

    def versions(self, name: str) -> list[Manifest | None]:
        past, oldest = self._facts.past, self._facts.oldest("ControllerRevision")
        return past.since("ControllerRevision", f"{self._namespace}/{name}", oldest)

    def may_be(self, name: str, template: Manifest) -> bool:
        """Whether there may be a revision of that name that records the template."""
        return any(one is not None and records(one, template) for one in self.versions(name))

    def may_not_be(self, name: str, template: Manifest) -> bool:
        return any(one is None or not records(one, template) for one in self.versions(name))

    def may_be_missing(self, name: str) -> bool:
        return None in self.versions(name)


def records(revision: Manifest, template: Manifest) -> bool:
    """Whether that is the template a revision brings back (S65)."""
    recorded = {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}
    return bool(recorded == template)


def belongs(statefulset: StatefulSet, pod: Pod) -> bool:
    """Whether a sync counts the pod as the set's: it controls it, or adopts it (S108-S111)."""
    uid = controller_uid(pod.manifest)
    is_ours = uid == statefulset.uid or (not uid and not pod.is_terminating and not statefulset.is_being_deleted)
    return is_ours and matches(statefulset, pod)


def matches(statefulset: StatefulSet, pod: Pod) -> bool:
    """By labels and name (S16, S108)."""
    return statefulset.selector.matches(pod.labels) and split_pod_name(pod.name)[0] == statefulset.name


def sets(facts: Facts, key: str) -> Iterator[StatefulSet]:
    """The set as it may have been seen, the newest first."""
    for manifest in facts.past.since("StatefulSet", key, facts.oldest("StatefulSet")):
        if manifest is not None:
            yield StatefulSet(manifest)


def moments(seen: Observation, facts: Facts, key: str, newer_than: int = 0) -> Iterator[Moment]:
    """All that may have been seen of the set at `key` and its pods, of these nothing older than a revision."""
    oldest = max(facts.oldest("Pod"), newer_than)
    for statefulset in sets(facts, key):
        for pods in facts.past.views("Pod", f"{key}-", oldest):
            yield Moment(statefulset, pods, facts, seen.at_s)


def set_of(manifest: Manifest) -> str:
    """The key of the set that a pod's name speaks of; empty if it speaks of none."""
    name = split_pod_name(manifest["metadata"]["name"])[0]
    return f"{manifest['metadata']['namespace']}/{name}" if name else ""


def owner_key(manifest: Manifest) -> str:
    """The key of the set that controls it; empty if none does."""
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference["kind"] == "StatefulSet" and reference.get("controller"):
            return f"{manifest['metadata']['namespace']}/{reference['name']}"
    return ""
