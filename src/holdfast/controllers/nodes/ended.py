"""Pods that have ended stay to be looked at, but not without bound: the oldest go (W100).

Source: Kubernetes, pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.conditions import is_finished
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Delete, Each, Plan

MOST = 12_500
LOOK_AFTER_S = 20.0
ENDED = "ended"


class EndedPods:
    """There is one key."""

    name = "pod-garbage-collector"
    concurrency = 1

    def __init__(self, most: int = MOST) -> None:
        self._most = most

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._pods = informers.of(PODS)
        self._pods.add_index(ENDED, lambda pod: (ENDED,) if is_finished(pod) else ())

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and is_finished(new):
                queue.add_after(ENDED, LOOK_AFTER_S)

        self._pods.subscribe(on_pod)

    def observe(self, key: str) -> Sequence[Manifest] | None:
        pods = self._pods.by_index(ENDED, ENDED)
        return pods if len(pods) > self._most else None

    def plan(self, observed: Sequence[Manifest]) -> Plan:
        return plan(observed, self._most)


def plan(ended: Sequence[Manifest], most: int) -> Plan:
    surplus = sorted(ended, key=_by_use)[: max(0, len(ended) - most)]
    deletes = [_delete(pod) for pod in surplus]
    return Plan(f"{len(surplus)} more than {most} have ended", (Each(deletes),) if deletes else ())


def _by_use(pod: Manifest) -> tuple[bool, str, str]:
    """Sorts those first that nobody wants to look at: the evicted, then the oldest."""
    metadata = pod["metadata"]
    is_evicted = (pod.get("status") or {}).get("reason") == "Evicted"
    return not is_evicted, metadata.get("creationTimestamp") or "", metadata["name"]


def _delete(pod: Manifest) -> Delete:
    metadata = pod["metadata"]
    return Delete(PODS, metadata["namespace"], metadata["name"], metadata["uid"], grace_period_s=0)
