"""What the allocation of slices looks at, and what wakes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.api.core.machines import machine_of
from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.network.pods.ranges import Network

from .plan import ObservedNode, plan_slices, slices


class NodeIpam:
    """For nodes of machines that have joined. Keys are nodes."""

    name = "cidrAllocator"
    concurrency = 1
    """One after another: each reads what the one before was given."""

    def __init__(self, ranges: Sequence[Network]) -> None:
        """`ranges` are the cluster's of pods, one for each family."""
        self._ranges = ranges

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._nodes = informers.of(NODES)
        self._nodes.subscribe(self._on_node)

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        for node in self._nodes.list() if new is None else [new]:  # one may wait for what is free now
            if _waits(node):
                self._queue.add(key_of(node))

    def observe(self, key: str) -> ObservedNode | None:
        node = self._nodes.get(key)
        return None if node is None or not _waits(node) else ObservedNode(node, (), self._ranges)

    async def verify(self, observed: ObservedNode, client: Client) -> ObservedNode | None:
        """Two nodes must never have one slice: what is taken is read from the server."""
        live = (await client.list(NODES)).items
        found = next((node for node in live if node["metadata"]["uid"] == observed.node["metadata"]["uid"]), None)
        taken = [slice for node in live for slice in slices(node)]
        return None if found is None else replace(observed, node=found, taken=taken)

    def plan(self, observed: ObservedNode) -> Plan:
        return plan_slices(observed)


def _waits(node: Manifest) -> bool:
    return bool(machine_of(node)) and not slices(node)
