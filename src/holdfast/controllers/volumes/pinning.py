"""Volumes stay on the machine where they were made: their node affinity says so, once there are several.

A machine that has joined has one node, and its volumes that node's name. The first machine's volumes are within reach
of all of its nodes (X8.3), however many it has one day: they keep off the others. They say so only when there are
others, which may be long after they were made.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.core.machines import MACHINE, machine_of
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Patch, Plan

from .places import is_ours

HOSTNAME = "kubernetes.io/hostname"
FIRST_MACHINE = {"key": MACHINE, "operator": "DoesNotExist"}


def pinned(volume: Manifest, machine: str) -> Manifest:
    """The new volume as one of that machine, as `machine_of` has it."""
    if not machine:
        return volume
    metadata = volume["metadata"]
    annotations = {**(metadata.get("annotations") or {}), MACHINE: machine}
    affinity = _affinity({"key": HOSTNAME, "operator": "In", "values": [machine]})
    return {
        **volume,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**volume["spec"], "nodeAffinity": affinity},
    }


def _affinity(requirement: Manifest) -> Manifest:
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}


@dataclass(frozen=True, slots=True)
class ObservedPlace:
    volume: Manifest
    root: str


def plan_pinning(observed: ObservedPlace) -> Plan:
    """For a cluster of several machines. Pure."""
    volume = observed.volume
    if not is_ours(volume, observed.root) or volume["spec"].get("nodeAffinity"):
        return Plan("has its place, or none", subject=volume)
    patch = {"metadata": {"uid": volume["metadata"]["uid"]}, "spec": {"nodeAffinity": _affinity(FIRST_MACHINE)}}
    name = volume["metadata"]["name"]
    return Plan("is the first machine's", (Patch(PERSISTENT_VOLUMES, "", name, patch),), subject=volume)


class VolumePins:
    """Has the first machine's volumes keep off machines that join. Keys are volumes."""

    name = "volume-pins"
    concurrency = 2

    def __init__(self, root: str) -> None:
        """`root` is the first machine's directory for volumes, absolute."""
        self._root = root
        self._joined: set[str] = set()
        """The nodes of other machines, by name."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        informers.of(NODES).subscribe(self._on_node)
        self._volumes.subscribe(self._on_volume)

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        was_alone = not self._joined
        for node, change in ((old, self._joined.discard), (new, self._joined.add)):
            if node is not None and machine_of(node):
                change(node["metadata"]["name"])
        if was_alone and self._joined:
            for volume in self._volumes.list():
                self._on_volume(None, volume)

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if self._joined and new is not None and not new["spec"].get("nodeAffinity"):
            self._queue.add(key_of(new))

    def observe(self, key: str) -> ObservedPlace | None:
        volume = self._volumes.get(key)
        return None if volume is None or not self._joined else ObservedPlace(volume, self._root)

    def plan(self, observed: ObservedPlace) -> Plan:
        return plan_pinning(observed)
