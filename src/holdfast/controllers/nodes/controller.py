"""What the controllers of node failures look at, and what wakes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from holdfast.api.coordination.lease import LEASES
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.leases import NODE_LEASE_NAMESPACE
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import (
    SOONEST_S,
    ObservedEviction,
    ObservedNode,
    ObservedOrphan,
    due_at,
    plan_eviction,
    plan_node,
    plan_orphan,
    plan_removed,
    ready_status,
)

BY_NODE = "node"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
QUARANTINE_S = 40.0
"""So long a pod's node has to be missing before the pod is given up (W100)."""


def pods_by_node(informers: Informers) -> Informer:
    pods = informers.of(PODS)
    pods.add_index(BY_NODE, lambda pod: (pod["spec"].get("nodeName") or "",))
    return pods


@dataclass(frozen=True, slots=True)
class Removed:
    """A node that is there no more."""

    node: Manifest


class NodeLifecycle:
    """Watches heartbeats. Keys are nodes.

    Silence is measured on this side's clock, from when a heartbeat was seen: a node's clock may be wrong. A
    restart gives every node a new grace.
    """

    name = "node-controller"
    concurrency = 2

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[object, float]] = {}
        self._registered: dict[str, Manifest] = {}
        """Nodes that have been told of, as they were then."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._nodes, self._pods = informers.of(NODES), pods_by_node(informers)
        self._leases = informers.of(LEASES)

        def on_node(old: Manifest | None, new: Manifest | None) -> None:
            if new is None:
                assert old is not None
                self._heard.pop(key_of(old), None)
                queue.add(key_of(old))
                return
            self._silence_of(new)
            queue.add(key_of(new))
            if old is None or ready_status(old) != ready_status(new):
                for other in self._nodes.list():  # whether all are lost concerns each (N185)
                    queue.add(key_of(other))

        def on_lease(old: Manifest | None, new: Manifest | None) -> None:
            if new is None or new["metadata"]["namespace"] != NODE_LEASE_NAMESPACE:
                return
            node = self._nodes.get(new["metadata"]["name"])
            if node is not None:
                self._silence_of(node)  # takes note; the timer that runs for every node does the rest

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            """One newly bound; an agent that says that its pod is ready although nobody hears of its node is let be,
            or both would write against each other without end (N186)."""
            name = new["spec"].get("nodeName") if new is not None else None
            if not name or (old is not None and old["spec"].get("nodeName") == name):
                return
            node = self._nodes.get(name)
            if node is not None and ready_status(node) != "True":
                queue.add(key_of(node))

        self._nodes.subscribe(on_node)
        self._leases.subscribe(on_lease)
        self._pods.subscribe(on_pod)

    def observe(self, key: str) -> ObservedNode | Removed | None:
        node = self._nodes.get(key)
        if node is None:
            registered = self._registered.pop(key, None)
            return Removed(registered) if registered is not None else None
        is_new = key not in self._registered
        self._registered.setdefault(key, node)
        return ObservedNode(
            node=node,
            silent_s=self._silence_of(node),
            pods=self._pods.by_index(BY_NODE, key),
            is_disrupted=all(ready_status(other) != "True" for other in self._nodes.list()),
            now=self._clock.now(),
            is_new=is_new,
        )

    def _silence_of(self, node: Manifest) -> float:
        """Seconds since the Lease or what the node itself says of its heartbeat was last seen to change."""
        name = node["metadata"]["name"]
        lease = self._leases.get(f"{NODE_LEASE_NAMESPACE}/{name}")
        conditions = (node.get("status") or {}).get("conditions") or ()
        beat = (
            lease["spec"].get("renewTime") if lease is not None else None,
            [each.get("lastHeartbeatTime") for each in conditions if each["type"] == "Ready"],
        )
        now_s = self._clock.monotonic_s()
        last, since_s = self._heard.get(name, (None, now_s))
        if last != beat:
            self._heard[name] = (beat, now_s)
            return 0.0
        return now_s - since_s

    def plan(self, observed: ObservedNode | Removed) -> Plan:
        return plan_removed(observed.node) if isinstance(observed, Removed) else plan_node(observed)


class TaintEviction:
    """Deletes pods from nodes whose taints they do not tolerate any longer. Keys are pods.

    It remembers which ones wait for that only to tell of those that need not go after all.
    """

    name = "taint-eviction-controller"
    concurrency = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[Manifest, datetime]] = {}
        """Pods whose deletion is a matter of time, and when they were first seen to have such taints to tolerate."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._nodes, self._pods = informers.of(NODES), pods_by_node(informers)

        def on_node(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and _evicting(new) != (_evicting(old) if old is not None else []):
                for pod in self._pods.by_index(BY_NODE, new["metadata"]["name"]):
                    queue.add(key_of(pod))

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            pod = new or old
            assert pod is not None
            if key_of(pod) in self._waiting or (new is not None and self._taints_of(new)):
                queue.add(key_of(pod))

        self._nodes.subscribe(on_node)
        self._pods.subscribe(on_pod)

    def _taints_of(self, pod: Manifest) -> list[Manifest]:
        node = self._nodes.get(pod["spec"].get("nodeName") or "")
        return _evicting(node) if node is not None else []

    def observe(self, key: str) -> ObservedEviction | None:
        pod, now = self._pods.get(key), self._clock.now()
        waited, since = self._waiting.pop(key, (None, now))
        if waited is not None and pod is not None and waited["metadata"]["uid"] != pod["metadata"]["uid"]:
            since = now
        taints = self._taints_of(pod) if pod is not None else []
        subject = pod or waited
        if subject is None or not (taints or waited):
            return None
        due = due_at(subject, taints, since, now)
        if due is not None and due > now:
            self._waiting[key] = subject, since
        return ObservedEviction(subject, taints, since, now, was_waiting=waited is not None)

    def plan(self, observed: ObservedEviction) -> Plan:
        return plan_eviction(observed)


def _evicting(node: Manifest) -> list[Manifest]:
    return [each for each in node["spec"].get("taints") or () if each["effect"] == "NoExecute"]


class PodGarbageCollector:
    """Force-deletes pods that no agent will ever confirm to be gone. Keys are pods."""

    name = "pod-garbage-collector"
    concurrency = 2

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._missing_since_s: dict[str, float] = {}

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._nodes, self._pods = informers.of(NODES), pods_by_node(informers)

        def on_node(old: Manifest | None, new: Manifest | None) -> None:
            node = new or old
            assert node is not None
            if new is not None:
                self._missing_since_s.pop(new["metadata"]["name"], None)
            if new is None or _is_out_of_service(new):
                for pod in self._pods.by_index(BY_NODE, node["metadata"]["name"]):
                    queue.add(key_of(pod))

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and self._may_be_lost(new):
                queue.add(key_of(new))

        self._nodes.subscribe(on_node)
        self._pods.subscribe(on_pod)

    def _may_be_lost(self, pod: Manifest) -> bool:
        name = pod["spec"].get("nodeName")
        if not name:
            return bool(pod["metadata"].get("deletionTimestamp"))
        node = self._nodes.get(name)
        return node is None or _is_out_of_service(node)

    def observe(self, key: str) -> ObservedOrphan | None:
        pod = self._pods.get(key)
        if pod is None or not self._may_be_lost(pod):
            return None
        name = pod["spec"].get("nodeName") or ""
        node = self._nodes.get(name) if name else None
        return ObservedOrphan(
            pod=pod,
            node_is_gone=bool(name) and node is None and self._is_given_up(name, key),
            is_out_of_service=node is not None and _is_out_of_service(node),
            now=self._clock.now(),
        )

    def _is_given_up(self, node: str, key: str) -> bool:
        """Whether the node has been missing long enough; if not, the pod is looked at again when it has."""
        now_s = self._clock.monotonic_s()
        missing_s = now_s - self._missing_since_s.setdefault(node, now_s)
        if missing_s < QUARANTINE_S:
            self._queue.add_after(key, max(QUARANTINE_S - missing_s, SOONEST_S))
        return missing_s >= QUARANTINE_S

    async def verify(self, observed: ObservedOrphan, client: Client) -> ObservedOrphan:
        """A forced deletion permits a second writer: the node must be gone for certain (N188)."""
        if not observed.node_is_gone:
            return observed
        try:
            await client.get(NODES, observed.pod["spec"]["nodeName"])
        except NotFound:
            return observed
        return replace(observed, node_is_gone=False)

    def plan(self, observed: ObservedOrphan) -> Plan:
        return plan_orphan(observed)


def _is_out_of_service(node: Manifest) -> bool:
    taints = node["spec"].get("taints") or ()
    return ready_status(node) != "True" and any(each["key"] == OUT_OF_SERVICE for each in taints)
