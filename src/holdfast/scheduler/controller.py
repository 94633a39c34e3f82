"""The scheduler at work: what wakes a pod, one attempt at a time, bindings in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import ApiError, Conflict, NotFound
from holdfast.api.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector
from holdfast.api.storage import binding
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.api.times import format_time
from holdfast.client import Client, PatchType, Unreachable
from holdfast.client.event_series import SeriesRecorder
from holdfast.client.events import AFTER_WORK_S
from holdfast.client.informer import Informers, key_of
from holdfast.world import World

from .filters import is_ready
from .plan import Assign, Unschedulable, decide
from .preemption import BY_SCHEDULER, Preemption
from .queue import SchedulingQueue
from .view import ClusterView, has_ended
from .volumes import Reservation, StorageView

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BIND_LIMIT_S = 600.0
"""So long a pod waits for its volumes before that is told (V37)."""

UNANSWERED_AGAIN_S = 1.0

BY_CLAIM, FREE_BY_CLASS = "claim", "free, by storage class"


class Scheduler:
    """Gives a node to each pod that asks for this scheduler. `run` until cancelled; to start over, make it anew."""

    def __init__(self, client: Client, informers: Informers, world: World, host: str = "localhost") -> None:
        """`host` is the machine that it says in events to be on."""
        self.queue = SchedulingQueue()
        self.events = SeriesRecorder(client, NAME, world, host, after_s=AFTER_WORK_S)
        self._client = client
        self._world = world
        self._informers = informers
        self._view = ClusterView()
        self._binding: set[str] = set()
        """Uids of pods that a node was given to, until they are seen with it or seen to be gone."""
        self._waits_since_s: dict[str, float] = {}

    async def run(self) -> None:
        with self._informers.collecting() as subscriptions:
            self._start(self._informers)
        try:
            await self._informers.wait_synced()
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self.events.run(), name=f"{NAME} events")
                self._group.create_task(self._work(), name=NAME)
        finally:
            self.queue.close()
            for end in subscriptions:
                end()

    # What wakes

    def _start(self, informers: Informers) -> None:
        self._pods, self._nodes = informers.of(PODS), informers.of(NODES)
        self._namespaces = informers.of(NAMESPACES)
        self._claims, self._volumes = informers.of(PERSISTENT_VOLUME_CLAIMS), informers.of(PERSISTENT_VOLUMES)
        self._classes, self._budgets = informers.of(STORAGE_CLASSES), informers.of(POD_DISRUPTION_BUDGETS)
        self._pods.add_index(BY_CLAIM, binding.claim_keys)
        self._volumes.add_index(FREE_BY_CLASS, binding.free_classes)
        self._volumes.add_index(BY_CLAIM, lambda volume: filter(None, (binding.claim_key(volume),)))
        self._storage = StorageView(
            claim=lambda namespace, name: self._claims.get(f"{namespace}/{name}"),
            volume=self._volumes.get,
            candidates=self._candidates,
            storage_class=self._classes.get,
            users=self._users,
        )
        self._nodes.subscribe(self._on_node)
        self._pods.subscribe(self._on_pod)
        self._claims.subscribe(self._on_claim)
        self._volumes.subscribe(self._on_volume)
        self._namespaces.subscribe(self._on_namespace)
        self._classes.subscribe(lambda old, new: self.queue.wake_all())

    def _candidates(self, claim: Manifest) -> Sequence[Manifest]:
        free = self._volumes.by_index(FREE_BY_CLASS, binding.class_of(claim))
        return [*free, *self._volumes.by_index(BY_CLAIM, key_of(claim))]

    def _users(self, namespace: str, claim: str) -> Sequence[Manifest]:
        pods = self._pods.by_index(BY_CLAIM, f"{namespace}/{claim}")
        return [
            pod
            for pod in pods
            if not has_ended(pod) and (pod["spec"].get("nodeName") or self._view.assumed_node(pod["metadata"]["uid"]))
        ]

    def _namespaces_with(self, selector: LabelSelector) -> frozenset[str]:
        metadata = (namespace["metadata"] for namespace in self._namespaces.list())
        return frozenset(each["name"] for each in metadata if selector.matches(each.get("labels")))

    def _on_namespace(self, old: Manifest | None, new: Manifest | None) -> None:
        """Pods may want to be near those of a namespace with certain labels, or away from them."""
        if old is not None and new is not None and old["metadata"].get("labels") != new["metadata"].get("labels"):
            self.queue.wake_all()

    def _on_node(self, old: Manifest | None, new: Manifest | None) -> None:
        node = new or old
        assert node is not None
        self._view.set_node(node["metadata"]["name"], new)
        if new is not None and (old is None or _matters(old) != _matters(new)):
            self.queue.wake_all()

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        pod = new or old
        assert pod is not None
        key = key_of(pod)
        self._view.set_pod(pod["metadata"]["uid"], new)
        if new is not None and _wants_node(new):
            if old is None or not _wants_node(old) or _asks(old) != _asks(new):
                self.queue.add(key, new["spec"].get("priority") or 0)
            return
        self.queue.forget(key)
        self._waits_since_s.pop(pod["metadata"]["uid"], None)
        self._binding.discard(pod["metadata"]["uid"])
        if _leaves_room(old, new):
            self.queue.wake_all()

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        claim = new or old
        assert claim is not None
        self._wake_users_of(key_of(claim))

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            return
        if key := binding.claim_key(new):
            self._wake_users_of(key)
        elif (new.get("status") or {}).get("phase") == "Available":
            self.queue.wake_all()

    def _wake_users_of(self, claim: str) -> None:
        for pod in self._pods.by_index(BY_CLAIM, claim):
            self.queue.wake(key_of(pod))

    # One attempt

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._attempt(key)
            except ApiError as error:
                log.info("failed pod=%s error=%r", key, str(error))
                self.queue.retry(key)
            except Exception:
                log.exception("crashed pod=%s", key)
                self.queue.retry(key)

    async def _attempt(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or not _wants_node(pod):
            self.queue.forget(key)
            return
        uid = pod["metadata"]["uid"]
        if uid in self._binding:
            return
        preferred = self._view.assumed_node(uid)
        self._view.forget(pod)
        nominated = self._view.nominated_node(uid)
        nodes, budgets = self._view.nodes_for(pod), self._budgets.list
        random, namespaces = self._world.random, self._namespaces_with
        match decide(pod, nodes, self._storage, random, preferred, nominated, budgets, namespaces):
            case Unschedulable() as refusal:
                log.info("unschedulable pod=%s reason=%r", key, refusal.message)
                self.queue.park(key)
                if refusal.preemption:
                    nominated = refusal.preemption.node
                elif not refusal.keeps_nomination:
                    nominated = ""
                self._view.nominate(pod, nominated)
                if refusal.preemption:
                    await self._preempt(pod, refusal.preemption)
                await self._refuse(pod, refusal.message, nominated)
            case Assign(node, reservation, waits_for_volumes=True):
                self._view.assume(pod, node)
                self._wait(pod, key)
                await self._reserve(reservation, node)
            case Assign(node):
                self._view.assume(pod, node)
                self._binding.add(uid)
                self._group.create_task(self._bind(pod, node), name=f"bind {key}")

    async def _preempt(self, pod: Manifest, preemption: Preemption) -> None:
        """Ends the victims, which keep their place until they are gone (N227)."""
        uid = pod["metadata"]["uid"]
        told = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": BY_SCHEDULER,
            "message": f"{NAME}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": format_time(self._world.clock.now()),
        }
        for victim in preemption.victims:
            metadata = victim["metadata"]
            patch = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [told]}}
            try:
                await self._patch_status(victim, patch)
                await self._client.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except (NotFound, Conflict):
                continue  # it has gone by itself
            said = f"Preempted by pod {uid} on node {preemption.node}"
            self.events.record(victim, "Normal", "Preempted", said, action="Preempting")

    async def _patch_status(self, pod: Manifest, patch: Manifest) -> None:
        metadata = pod["metadata"]
        await self._client.patch(
            PODS, metadata["name"], patch, metadata["namespace"], type=PatchType.STRATEGIC, subresource="status"
        )

    async def _refuse(self, pod: Manifest, message: str, nominated: str) -> None:
        self.events.record(pod, "Warning", "FailedScheduling", message, action="Scheduling")
        condition = _scheduled_condition(pod)
        is_told = (condition.get("reason"), condition.get("message")) == ("Unschedulable", message)
        if is_told and nominated == ((pod.get("status") or {}).get("nominatedNodeName") or ""):
            return
        is_flip = condition.get("status") != "False"
        at = format_time(self._world.clock.now()) if is_flip else condition.get("lastTransitionTime")
        refused = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": at,
        }
        metadata = pod["metadata"]
        status = {"conditions": [refused], "nominatedNodeName": nominated or None}
        try:
            await self._patch_status(pod, {"metadata": {"uid": metadata["uid"]}, "status": status})
        except (NotFound, Conflict):
            return  # the pod is gone: its deletion is on its way here

    def _wait(self, pod: Manifest, key: str) -> None:
        uid, now_s = pod["metadata"]["uid"], self._world.clock.monotonic_s()
        since_s = self._waits_since_s.setdefault(uid, now_s)
        if now_s - since_s >= BIND_LIMIT_S:
            message = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
            self.events.record(pod, "Warning", "FailedScheduling", message, action="Scheduling")
            self._waits_since_s[uid] = now_s
        self.queue.wait(key, BIND_LIMIT_S)

    async def _reserve(self, reservation: Reservation, node: str) -> None:
        """Tells the volume binder what was chosen (V37). Written already is written."""
        for claim, volume in reservation.matches:
            if not binding.is_reserved_for(volume, claim):
                patch = binding.reservation(volume, claim)
                await self._client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], patch)
        for claim in reservation.provisions:
            if binding.annotation(claim, binding.SELECTED_NODE) == node:
                continue
            metadata = claim["metadata"]
            patch = binding.locked(claim, {"metadata": {"annotations": {binding.SELECTED_NODE: node}}})
            await self._client.patch(PERSISTENT_VOLUME_CLAIMS, metadata["name"], patch, metadata["namespace"])

    async def _bind(self, pod: Manifest, node: str) -> None:
        """Never raises. The view keeps the assumption until the pod is seen with its node, or seen to be gone."""
        metadata, key = pod["metadata"], key_of(pod)
        manifest = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._insist_on_binding(manifest)
        except (Conflict, NotFound) as error:
            # It has a node already, is on its way out or is gone: news of that is under way.
            log.info("not bound pod=%s node=%s error=%r", key, node, str(error))
        except ApiError as error:
            log.info("refused pod=%s node=%s error=%r", key, node, str(error))
            self._binding.discard(metadata["uid"])
            self._view.forget(pod)
            self.queue.retry(key)
        else:
            log.info("bound pod=%s node=%s", key, node)
            told = f"Successfully assigned {key} to {node}"
            self.events.record(pod, "Normal", "Scheduled", told, action="Binding")

    async def _insist_on_binding(self, manifest: Manifest) -> None:
        """A call without an answer may have bound the pod: until that is known, its place must not be given away."""
        metadata = manifest["metadata"]
        while True:
            try:
                await self._client.create(
                    PODS, manifest, metadata["namespace"], name=metadata["name"], subresource="binding"
                )
            except Unreachable:
                await self._world.clock.sleep(UNANSWERED_AGAIN_S)
            else:
                return


def _wants_node(pod: Manifest) -> bool:
    """N229: a pod that is on its way out is not bound any more."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and (spec.get("schedulerName") or NAME) == NAME
        and not spec.get("schedulingGates")
        and not pod["metadata"].get("deletionTimestamp")
        and not has_ended(pod)
    )


def _asks(pod: Manifest) -> tuple[object, ...]:
    """What a decision reads of the pod itself; its own refusal in its status must not wake it."""
    return pod["spec"], pod["metadata"].get("labels"), pod["metadata"]["uid"]


def _matters(node: Manifest) -> tuple[object, ...]:
    """What a decision reads of a node: not its heartbeats."""
    status = node.get("status") or {}
    return node["metadata"].get("labels"), node["spec"], status.get("allocatable"), is_ready(node)


def _leaves_room(old: Manifest | None, new: Manifest | None) -> bool:
    """Whether resources, a port or an identity became free, or a pod appeared that others want to be near."""
    if old is None:
        return False
    if new is None or has_ended(new):
        return bool(old["spec"].get("nodeName")) and not has_ended(old)
    return not old["spec"].get("nodeName") or old["metadata"].get("labels") != new["metadata"].get("labels")


def _scheduled_condition(pod: Manifest) -> Manifest:
    conditions: Iterable[Manifest] = (pod.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == "PodScheduled"), {})
