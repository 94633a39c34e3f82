"""What the attaching of volumes looks at, and what wakes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from holdfast.api.conditions import is_true
from holdfast.api.core.node import NODES
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.api.storage.attaching import DISKS, attacher_of, unique_name
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from holdfast.client import Client
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.volumes.controller import BY_CLAIM, pods_in, volumes_of
from holdfast.world import Clock

from .plan import ObservedNode, ObservedVolume, Place, plan_attachments, plan_node

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
BY_VOLUME, BY_NODE = "volume", "node"


def attachments_in(informers: Informers) -> Informer:
    """The attachments made here, to be found by volume and by node; those of other attachers are theirs."""
    attachments = informers.of(VOLUME_ATTACHMENTS)
    attachments.add_index(BY_VOLUME, _volume_name)
    attachments.add_index(
        BY_NODE, lambda attachment: [attachment["spec"]["nodeName"] for _ in _volume_name(attachment)]
    )
    return attachments


def _volume_name(attachment: Manifest) -> Iterable[str]:
    spec = attachment["spec"]
    return filter(None, (spec["source"].get("persistentVolumeName") if spec["attacher"] in DISKS else "",))


class VolumeAttacher:
    """Keys are volumes."""

    name = "attachdetach-controller"
    concurrency = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unwanted_since: dict[str, dict[str, datetime]] = {}
        """By volume and node. Forgotten by a restart, which only makes a node that is away be waited for longer."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes, self._pods = volumes_of(informers), pods_in(informers)
        self._attachments, self._nodes = attachments_in(informers), informers.of(NODES)
        self._volumes.subscribe(self._on_volume)
        self._pods.subscribe(self._on_pod)
        self._attachments.subscribe(self._on_attachment)
        self._nodes.subscribe(self._on_node)

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        volume = new or old
        assert volume is not None
        if attacher_of(volume):
            self._queue.add(key_of(volume))

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        pod = new or old
        assert pod is not None
        if new is None or old is None or _needs_volumes(old) != _needs_volumes(new):
            for key in binding.claim_keys(pod):
                for volume in self._volumes.by_index(BY_CLAIM, key):
                    self._on_volume(None, volume)

    def _on_attachment(self, old: Manifest | None, new: Manifest | None) -> None:
        attachment = new or old
        assert attachment is not None
        for name in _volume_name(attachment):
            self._queue.add(name)

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        node = new or old
        assert node is not None
        if old is None or new is None or _matters(old) != _matters(new):
            for attachment in self._attachments.by_index(BY_NODE, node["metadata"]["name"]):
                self._on_attachment(None, attachment)

    def observe(self, key: str) -> ObservedVolume | None:
        volume = self._volumes.get(key)
        attachments = list(self._attachments.by_index(BY_VOLUME, key))
        if (volume is None or not attacher_of(volume)) and not attachments:
            return None
        pods = [] if volume is None else list(filter(_needs_volumes, self._users(volume)))
        wanted, now = {pod["spec"]["nodeName"] for pod in pods}, self._clock.now()
        before = self._unwanted_since.pop(key, {})
        places = {}
        for attachment in attachments:
            node = attachment["spec"]["nodeName"]
            if node in wanted:
                places[node] = Place()
                continue
            since = self._unwanted_since.setdefault(key, {})[node] = before.get(node, now)
            name = unique_name(attachment["spec"]["attacher"], key)
            places[node] = replace(_as_place(self._nodes.get(node), name), unwanted_since=since)
        return ObservedVolume(volume, attachments, pods, places, now)

    def _users(self, volume: Manifest) -> Iterable[Manifest]:
        if (volume.get("status") or {}).get("phase") != "Bound":
            return ()
        return self._pods.by_index(BY_CLAIM, binding.claim_key(volume))

    async def verify(self, observed: ObservedVolume, client: Client) -> ObservedVolume:
        """A volume is taken from a node only if the node has just said that it does not have it mounted."""
        places = dict(observed.places)
        for attachment in observed.attachments:
            spec = attachment["spec"]
            place = places[spec["nodeName"]]
            if place.unwanted_since is not None and not place.has_it_mounted:
                name = unique_name(spec["attacher"], spec["source"]["persistentVolumeName"])
                live = _as_place(await _live(client, spec["nodeName"]), name)
                places[spec["nodeName"]] = replace(live, unwanted_since=place.unwanted_since)
        return replace(observed, places=places)

    def plan(self, observed: ObservedVolume) -> Plan:
        return plan_attachments(observed)


async def _live(client: Client, name: str) -> Manifest | None:
    try:
        return await client.get(NODES, name)
    except NotFound:
        return None


def _as_place(node: Manifest | None, volume: str) -> Place:
    if node is None:
        return Place(is_there=False)
    is_healthy, is_out_of_service, in_use = _matters(node)
    return Place(True, is_healthy, is_out_of_service, volume in in_use)


def _matters(node: Manifest) -> tuple[bool, bool, Sequence[str]]:
    status = node.get("status") or {}
    taints = node["spec"].get("taints") or ()
    return (
        is_true(node, "Ready"),
        any(taint["key"] == OUT_OF_SERVICE for taint in taints),
        status.get("volumesInUse") or (),
    )


def _needs_volumes(pod: Manifest) -> bool:
    has_ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return bool(pod["spec"].get("nodeName")) and not has_ended


class NodeAttachments:
    """Nodes tell what is attached to them. Keys are nodes."""

    name = "attachdetach-controller"
    concurrency = 2

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._attachments, self._nodes = attachments_in(informers), informers.of(NODES)
        self._attachments.subscribe(self._on_attachment)
        self._nodes.subscribe(self._on_node)

    def _on_attachment(self, old: Manifest | None, new: Manifest | None) -> None:
        attachment = new or old
        assert attachment is not None
        self._queue.add(attachment["spec"]["nodeName"])

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and (old is None or _told(old) != _told(new)):
            self._queue.add(key_of(new))

    def observe(self, key: str) -> ObservedNode | None:
        node = self._nodes.get(key)
        return None if node is None else ObservedNode(node, list(self._attachments.by_index(BY_NODE, key)))

    def plan(self, observed: ObservedNode) -> Plan:
        return plan_node(observed)


def _told(node: Manifest) -> object:
    return (node.get("status") or {}).get("volumesAttached")
