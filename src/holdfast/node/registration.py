"""Keeps the Node object: registers it, reports its status on change, proves by a Lease that it lives (N181)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from holdfast.api.core.node import NODES
from holdfast.api.errors import AlreadyExists, ApiError, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client, PatchType
from holdfast.client.events import EventRecorder
from holdfast.client.leases import LeaseKeeper
from holdfast.world import World

from . import node_status
from .config import AgentConfig
from .node_status import Machine
from .runtime import Runtime

log = logging.getLogger(__name__)

CHECK_EVERY_S = 10.0
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 7.0


class Registration:
    """This node in the API."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        world: World,
        config: AgentConfig,
        machine: Machine,
        events: EventRecorder,
    ) -> None:
        self.node: Manifest = node_status.new_node(config, machine, 0)
        """As last read or written."""
        self.server_port = 0
        self.volumes_in_use: Callable[[], list[str]] = list
        """Those attached volumes of which something may be mounted here (V48)."""
        self._client = client
        self._runtime = runtime
        self._world = world
        self._config = config
        self._machine = machine
        self._events = events
        self._changed = asyncio.Event()
        self._pressures: frozenset[str] = frozenset()

    def notice(self, node: Manifest) -> None:
        """The API has a newer state of the Node."""
        before, self.node = self.node, node
        if node_status.differs(before.get("status") or {}, node.get("status") or {}):
            self._changed.set()

    def report_soon(self) -> None:
        self._changed.set()

    def note_pressures(self, pressures: frozenset[str], reclaimed: str) -> None:
        """What the node is short of, and what is reclaimed for it just now, if anything (N146)."""
        if pressures != self._pressures:
            self._pressures = pressures
            self._changed.set()
        if reclaimed:
            self._events.record(self.node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {reclaimed}")

    async def register(self) -> None:
        """Creates the Node or brings its labels up to date, reports the first status; tries until it succeeds."""
        delay_s = FIRST_RETRY_S
        while True:
            try:
                await self._register()
                await self.report()
                return
            except ApiError as error:
                log.info("node not registered node=%s error=%s", self._config.node_name, error)
                await self._world.clock.sleep(delay_s)
                delay_s = min(delay_s * 2, LONGEST_RETRY_S)

    def tell_limits(self) -> None:
        """Once for each start of the agent."""
        if self._config.limits:
            message = f"{'; '.join(self._config.limits)}: `holdfast doctor` says what would lift it"
            self._events.record(self.node, "Warning", "Rootless", f"Containers run without root: {message}")

    async def run(self) -> None:
        """Heartbeats and reports, for ever."""
        metadata = self.node["metadata"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata.get("uid", "")}
        lease = LeaseKeeper(self._client, self._world, self._config.node_name, owner=owner)
        async with asyncio.TaskGroup() as group:
            group.create_task(lease.run(), name="node lease")
            group.create_task(self._keep_reporting(), name="node status")

    async def _keep_reporting(self) -> None:
        while True:
            try:
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self.report()
            except NotFound:
                await self.register()
            except ApiError as error:
                log.debug("node status not written node=%s error=%s", self._config.node_name, error)

    async def _register(self) -> None:
        new = node_status.new_node(self._config, self._machine, self.server_port)
        try:
            self.node = await self._client.create(NODES, new)
            self._tell("Starting", "Starting kubelet.")
        except AlreadyExists:
            metadata = {key: new["metadata"][key] for key in ("labels", "annotations")}
            self.node = await self._client.patch(NODES, self._config.node_name, {"metadata": metadata})
            await self._tell_ranges(new["spec"])

    async def _tell_ranges(self, spec: Manifest) -> None:
        """Of a Node that says nothing yet: what it once says is for its life."""
        told = self.node["spec"].get("podCIDRs")
        if not told and spec:
            self.node = await self._client.patch(NODES, self._config.node_name, {"spec": spec})
        elif told and spec and told != spec["podCIDRs"]:
            name, now = self._config.node_name, ",".join(spec["podCIDRs"])
            log.warning("the Node tells of another range of pods node=%s range=%s; delete it to renew it", name, now)

    async def report(self) -> None:
        """Writes the status, if it has changed. Raises ApiError."""
        old = self.node.get("status") or {}
        now = self._world.clock.now()
        images = node_status.image_entries(await self._runtime.images())
        new = node_status.node_status(
            self._config,
            self._machine,
            self._runtime,
            images,
            self.server_port,
            now,
            old,
            pressures=self._pressures,
            volumes_in_use=self.volumes_in_use(),
        )
        if not node_status.differs(old, new) and not node_status.is_due(old, now):
            return
        self.node = await self._client.patch(
            NODES, self._config.node_name, {"status": new}, type=PatchType.MERGE, subresource="status"
        )
        if node_status.has_rebooted(old, new):
            boot_id = self._machine.boot_id
            message = f"Node {self._config.node_name} has been rebooted, boot id: {boot_id}"
            self._events.record(self.node, "Warning", "Rebooted", message)
        for reason in node_status.news(old, new):
            self._tell(reason, f"Node {self._config.node_name} status is now: {reason}")

    def _tell(self, reason: str, message: str) -> None:
        self._events.record(self.node, "Normal", reason, message)
