"""What has to be true at every moment, each named for its guarantee; asked after every change of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.api.resource import Manifest

from .counting import OneJobPerTime, PodsAreCountedOnce
from .observation import Facts, Observation


class Checker(Protocol):
    def check(self, seen: Observation, facts: Facts) -> str:
        """What is broken, in words; empty if nothing is."""


class OneRunningPodPerIdentity:
    """At most one running pod per StatefulSet identity, ever, on any node (DESIGN 4.1)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Pod":
            return ""
        running = set(facts.running(seen.key))
        return f"{seen.key} runs twice: {' and '.join(sorted(running))}" if len(running) > 1 else ""


@dataclass(slots=True)
class _PodHistory:
    """When a pod was last seen in a state, by name: a controller may act on what was so a moment ago."""

    ready_until_s: float = -1.0
    is_ready: bool = False
    absent_until_s: float = 0.0
    is_absent: bool = True

    def was_ready(self, since_s: float) -> bool:
        return self.is_ready or self.ready_until_s >= since_s

    def was_absent(self, since_s: float) -> bool:
        return self.is_absent or self.absent_until_s >= since_s


class OrderedReady:
    """No ordinal starts before all lower ones are Ready; none stops before all higher ones are gone (DESIGN 4.2).

    Judged by what could be known: a state counts if it held at some moment of the time that views may lag.
    """

    def __init__(self) -> None:
        self._sets: dict[str, Manifest] = {}
        self._replicas: dict[str, list[tuple[float, int]]] = {}
        self._pods: dict[str, _PodHistory] = {}

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind == "StatefulSet":
            self._note_set(seen)
            return ""
        if seen.kind != "Pod":
            return ""
        problem = self._judge(seen, facts)
        self._note_pod(seen)
        return problem

    def _note_set(self, seen: Observation) -> None:
        if seen.new is None:
            self._sets.pop(seen.key, None)
            return
        self._sets[seen.key] = seen.new
        self._replicas.setdefault(seen.key, []).append((seen.at_s, seen.new["spec"].get("replicas", 1)))

    def _note_pod(self, seen: Observation) -> None:
        history = self._pods.setdefault(seen.key, _PodHistory())
        is_ready = seen.new is not None and _is_ready(seen.new)
        if history.is_ready and not is_ready:
            history.ready_until_s = seen.at_s
        if history.is_absent and seen.new is not None:
            history.absent_until_s = seen.at_s
        history.is_ready, history.is_absent = is_ready, seen.new is None

    def _judge(self, seen: Observation, facts: Facts) -> str:
        owner = self._sets.get(f"{seen.manifest['metadata'].get('namespace', '')}/{_owner(seen.manifest)}")
        if owner is None or owner["spec"].get("podManagementPolicy") == "Parallel":
            return ""
        if owner["metadata"].get("deletionTimestamp"):
            return ""  # its pods go all at once (W87)
        ordinal, since_s = _ordinal(seen.key), seen.at_s - facts.lag_s
        if seen.old is None:
            return self._judge_start(seen.key, ordinal, since_s)
        is_others = seen.manifest["metadata"]["uid"] in facts.by_user or _is_disrupted(seen.manifest)
        if _starts_to_go(seen) and not is_others:
            return self._judge_stop(seen, owner, ordinal, since_s)
        return ""

    def _judge_start(self, key: str, ordinal: int, since_s: float) -> str:
        for lower in range(ordinal):
            history = self._pods.get(_sibling(key, lower), _PodHistory())
            if not history.was_ready(since_s):
                return f"{key} was created before {_sibling(key, lower)} was Ready"
        return ""

    def _judge_stop(self, seen: Observation, owner: Manifest, ordinal: int, since_s: float) -> str:
        """Only of what is scaling down by any view of the set: an update replaces pods that are wanted."""
        wanted = [replicas for at_s, replicas in self._recent(owner, since_s)]
        if any(ordinal < replicas for replicas in wanted):
            return ""
        for key, history in self._pods.items():
            is_higher = _is_sibling(key, seen.key) and _ordinal(key) > ordinal
            if is_higher and not history.was_absent(since_s):
                return f"{seen.key} was stopped before {key} was gone"
        return ""

    def _recent(self, owner: Manifest, since_s: float) -> list[tuple[float, int]]:
        """The replicas asked for within the time that views may lag."""
        metadata = owner["metadata"]
        history = self._replicas[f"{metadata.get('namespace', '')}/{metadata['name']}"]
        before = [entry for entry in history if entry[0] < since_s]
        return [*before[-1:], *(entry for entry in history if entry[0] >= since_s)]


def _is_disrupted(pod: Manifest) -> bool:
    """Whether somebody else than its set ends it: eviction from a silent node knows no order (N33)."""
    conditions = (pod.get("status") or {}).get("conditions", [])
    return any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in conditions)


class ClaimsAreKept:
    """A claim is deleted only by its user or its retention policy; a bound volume keeps its claim (DESIGN 4.3)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind == "PersistentVolumeClaim":
            return self._claim(seen, facts)
        if seen.kind == "PersistentVolume":
            return self._volume(seen)
        return ""

    def _claim(self, seen: Observation, facts: Facts) -> str:
        if seen.old is None:
            return ""
        metadata = seen.manifest["metadata"]
        is_owned = bool(metadata.get("ownerReferences"))  # as the retention policy has it
        if _starts_to_go(seen) and not is_owned and metadata["uid"] not in facts.by_user:
            return f"claim {seen.key} was deleted by nobody who may"
        before, after = seen.old["spec"].get("volumeName"), seen.manifest["spec"].get("volumeName")
        return f"claim {seen.key} went from {before} to {after}" if before and before != after else ""

    def _volume(self, seen: Observation) -> str:
        if seen.old is None or seen.new is None:
            return ""
        before, after = (_claim_uid(each) for each in (seen.old, seen.new))
        if before and after and before != after:
            return f"volume {seen.key} went from claim {before} to {after}"
        return ""


class StatusIsHonest:
    """`observedGeneration` is never ahead of the generation (DESIGN 4.5)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.new is None or seen.kind != "StatefulSet":
            return ""
        observed = (seen.new.get("status") or {}).get("observedGeneration", 0)
        generation = seen.new["metadata"].get("generation", 0)
        return f"{seen.key} observed generation {observed} of {generation}" if observed > generation else ""


def all_checkers() -> list[Checker]:
    return [
        OneRunningPodPerIdentity(),
        OrderedReady(),
        ClaimsAreKept(),
        StatusIsHonest(),
        PodsAreCountedOnce(),
        OneJobPerTime(),
    ]


def _is_ready(pod: Manifest) -> bool:
    conditions: Iterator[Any] = iter((pod.get("status") or {}).get("conditions") or ())
    is_going = bool(pod["metadata"].get("deletionTimestamp"))
    return not is_going and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _starts_to_go(seen: Observation) -> bool:
    was_going = seen.old is not None and bool(seen.old["metadata"].get("deletionTimestamp"))
    return not was_going and (seen.new is None or bool(seen.new["metadata"].get("deletionTimestamp")))


def _owner(pod: Manifest) -> str:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference["kind"] == "StatefulSet" and reference.get("controller"):
            return str(reference["name"])
    return ""


def _ordinal(key: str) -> int:
    return int(key.rpartition("-")[2])


def _sibling(key: str, ordinal: int) -> str:
    return f"{key.rpartition('-')[0]}-{ordinal}"


def _is_sibling(key: str, other: str) -> bool:
    return key.rpartition("-")[0] == other.rpartition("-")[0] and key.rpartition("-")[2].isdigit()


def _claim_uid(volume: Manifest) -> str:
    return str((volume["spec"].get("claimRef") or {}).get("uid") or "")
