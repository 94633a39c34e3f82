"""How long nodes may keep what they know of secrets and config maps: longer in larger clusters, by an annotation.

Source: Kubernetes, pkg/controller/ttl/ttl_controller.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Patch, Plan

ANNOTATION = "node.alpha.kubernetes.io/ttl"
STRATEGIC = "application/strategic-merge-patch+json"

STEPS: tuple[tuple[float, float, int], ...] = (
    (0, 100, 0),
    (90, 500, 15),
    (450, 1000, 30),
    (900, 2000, 60),
    (1800, inf, 300),
)
"""Fewest and most nodes, and the seconds; they overlap, so that a node more or less changes nothing for all."""


def step_for(nodes: int, step: int) -> int:
    """The step for so many nodes, coming from another."""
    while nodes > STEPS[step][1]:
        step += 1
    while nodes < STEPS[step][0]:
        step -= 1
    return step


@dataclass(frozen=True, slots=True)
class ObservedTtl:
    node: Manifest
    ttl_s: int
    """For a cluster of this size."""


def plan_ttl(observed: ObservedTtl) -> Plan:
    node, wanted = observed.node, str(observed.ttl_s)
    if (node["metadata"].get("annotations") or {}).get(ANNOTATION) == wanted:
        return Plan("is told", subject=node)
    patch = {"metadata": {"uid": node["metadata"]["uid"], "annotations": {ANNOTATION: wanted}}}
    return Plan("is to be told", [Patch(NODES, "", node["metadata"]["name"], patch, STRATEGIC)], subject=node)


class NodeTtl:
    """Keys are nodes."""

    name = "ttl-controller"
    concurrency = 2

    def __init__(self) -> None:
        self._step = 0

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._nodes = informers.of(NODES)

        def on_node(old: Manifest | None, new: Manifest | None) -> None:
            step = step_for(len(self._nodes), self._step)
            if step != self._step:
                self._step = step
                for node in self._nodes.list():
                    queue.add(key_of(node))
            elif new is not None:
                queue.add(key_of(new))

        self._nodes.subscribe(on_node)

    def observe(self, key: str) -> ObservedTtl | None:
        node = self._nodes.get(key)
        return ObservedTtl(node, STEPS[self._step][2]) if node is not None else None

    def plan(self, observed: ObservedTtl) -> Plan:
        return plan_ttl(observed)
