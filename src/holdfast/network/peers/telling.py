"""How users learn that the pods of a machine cannot be reached.

Of two machines that do not reach each other, the one that came later says so of itself, by the condition
NetworkUnavailable, so that no pods come to it. The one that was there before, the first of all in any case, goes on as
it was: it records an event of the other's Node.

Source: Kubernetes, staging/src/k8s.io/cloud-provider/controllers/route/route_controller.go (reasons and texts).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from holdfast.api.core.machines import machine_of
from holdfast.api.core.node import NODES
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time
from holdfast.client import Client, PatchType
from holdfast.client.events import EventRecorder
from holdfast.client.informer import Informers
from holdfast.world import Clock

from .plan import Peer

log = logging.getLogger(__name__)

CONDITION = "NetworkUnavailable"
RETRY_AFTER_S = 2.0


class Events:
    """One for each node whenever there is something new to say of it."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self._told: Mapping[str, str] = {}

    def tell(self, others: Sequence[Peer], problems: Mapping[str, str]) -> None:
        for peer in others:
            problem = problems.get(peer.name, "")
            if problem and problem != self._told.get(peer.name):
                message = f"Could not create route for node {peer.name}: {problem}"
                self._recorder.record(peer.node, "Warning", "FailedToCreateRoute", message)
        self._told = dict(problems)


def own_fault(others: Sequence[Peer], own: Manifest | None) -> set[str]:
    """The names of those that were there before `own`, and the first machine's."""
    if own is None:
        return {peer.name for peer in others}
    since = _since(own)
    return {peer.name for peer in others if not machine_of(peer.node) or _since(peer.node) < since}


def _since(node: Manifest) -> tuple[str, str]:
    metadata = node["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["name"]


class Condition:
    """The own Node's. `run` until cancelled: written again if the agent, on an older view, has left it out."""

    def __init__(self, client: Client, informers: Informers, clock: Clock, name: str, events: Events) -> None:
        """`events` are told of what is no fault of this machine."""
        self._events = events
        self._client = client
        self._clock = clock
        self._name = name
        self._nodes = informers.of(NODES)
        self._wake = asyncio.Event()
        self._problem: str | None = None
        """None as long as nobody has looked."""

    def tell(self, others: Sequence[Peer], problems: Mapping[str, str]) -> None:
        own = own_fault(others, self._nodes.get(self._name))
        told = sorted((name, why) for name, why in problems.items() if name in own)
        self._problem = "; ".join(f"pods of {name} cannot be reached: {why}" for name, why in told)
        self._wake.set()
        self._events.tell(others, {name: why for name, why in problems.items() if name not in own})

    async def run(self) -> None:
        end = self._nodes.subscribe(self._node_changed)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not await self._write():
                    await self._clock.sleep(RETRY_AFTER_S)
                    self._wake.set()
        finally:
            end()

    def _node_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and new["metadata"]["name"] == self._name:
            self._wake.set()

    async def _write(self) -> bool:
        """Whether it is as it should be."""
        node = self._nodes.get(self._name)
        if node is None or self._problem is None:
            return True
        wanted = condition(self._problem)
        if any(wanted.items() <= each.items() for each in (node.get("status") or {}).get("conditions") or ()):
            return True
        now = format_time(self._clock.now())
        patch = {"status": {"conditions": [{**wanted, "lastHeartbeatTime": now, "lastTransitionTime": now}]}}
        try:
            await self._client.patch(NODES, self._name, patch, type=PatchType.STRATEGIC, subresource="status")
        except ApiError as error:
            log.info("the node's network is not told of node=%s error=%s", self._name, error)
            return False
        return True


def condition(problem: str) -> Manifest:
    """Without its times."""
    if problem:
        return {"type": CONDITION, "status": "True", "reason": "NoRouteCreated", "message": problem}
    message = "the pods of every machine that was there before are reached by a route"
    return {"type": CONDITION, "status": "False", "reason": "RouteCreated", "message": message}
