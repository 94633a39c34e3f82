"""What is wrong with the daemons of one node: too few, too many, ended, or where none should be (W40, W41)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Report
from holdfast.controllers.replicaset.pods import available_in_s, has_ended, is_ready, phase

from .placement import Fit, node_of
from .views import HASH_LABEL, DaemonSet


@dataclass(slots=True)
class Work:
    """What to do now: nodes that get a pod, pods that go, and what is told about some of these first."""

    nodes: list[str] = field(default_factory=list)
    pods: list[Manifest] = field(default_factory=list)
    told: list[Report] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.pods)

    def add(self, other: Work) -> None:
        self.nodes += other.nodes
        self.pods += other.pods
        self.told += other.told


@dataclass(frozen=True, slots=True)
class Judge:
    """What a pod is judged by."""

    daemon_set: DaemonSet
    hash: str
    """Of the template that pods are to have."""
    now: datetime

    def is_new(self, pod: Manifest) -> bool:
        return (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == self.hash

    def is_available(self, pod: Manifest) -> bool:
        return available_in_s(pod, self.daemon_set.min_ready_s, self.now) == 0


def by_node(pods: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """The pods of each node, the one that counts first. Left out is what has ended and is being deleted, and what was
    made for no node."""
    found: dict[str, list[Manifest]] = {}
    for pod in pods:
        is_over = has_ended(pod) and is_leaving(pod)
        if not is_over and (node := node_of(pod)):
            found.setdefault(node, []).append(pod)
    return {node: sorted(of_node, key=_age) for node, of_node in found.items()}


def _age(pod: Manifest) -> tuple[bool, str, str]:
    """Sorts the bound before the others, then the oldest first."""
    metadata = pod["metadata"]
    return not pod["spec"].get("nodeName"), metadata.get("creationTimestamp") or "", metadata["name"]


def is_leaving(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def tend(judge: Judge, node: str, fit: Fit, pods: Sequence[Manifest], waits_s: float) -> Work:
    """What a node needs that has these pods, in the order of `by_node`.

    Failed pods are not replaced yet while `waits_s` is above 0.
    """
    if fit is Fit.REFUSED:
        return Work(pods=[pod for pod in pods if not is_leaving(pod)])
    staying = [pod for pod in pods if not is_leaving(pod)]
    failed = [pod for pod in staying if phase(pod) == "Failed"]
    succeeded = [pod for pod in staying if phase(pod) == "Succeeded"]
    running = [pod for pod in staying if not has_ended(pod)]
    work = Work()
    if waits_s <= 0:
        work.pods += failed
        work.told += [_found(pod, node, "failed", "kill") for pod in failed]
    work.pods += succeeded
    work.told += [_found(pod, node, "succeeded", "delete") for pod in succeeded]
    # A surging update never waits for a pod to leave. Waiting failed pods, though, keep their place for all.
    is_empty = not (running or (failed and waits_s > 0)) if judge.daemon_set.surges else not pods
    if is_empty and fit is Fit.WANTED:
        work.nodes.append(node)
    work.pods += _surplus(judge, running)
    return work


def _found(pod: Manifest, node: str, how: str, verb: str) -> Report:
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']} on node {node}"
    message = f"Found {how} daemon pod {where}, will try to {verb} it"
    return Report("Warning" if how == "failed" else "Normal", f"{how.capitalize()}DaemonPod", message)


def _surplus(judge: Judge, running: Sequence[Manifest]) -> list[Manifest]:
    """All but the first; where an update may surge, all but the first old and the first new one, and the old one
    too once it is not ready, or the new one is available."""
    if not judge.daemon_set.surges:
        return list(running[1:])
    if len(running) < 2:
        return []
    new = [pod for pod in running if judge.is_new(pod)]
    old = [pod for pod in running if not judge.is_new(pod)]
    surplus = [pod for pod in running if pod not in (*new[:1], *old[:1])]
    if new and old and (not is_ready(old[0]) or judge.is_available(new[0])):
        surplus.append(old[0])
    return surplus
