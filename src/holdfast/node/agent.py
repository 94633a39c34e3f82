"""The node agent: one worker per pod of this node, the Node object, and the agent's own HTTPS endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding, growth
from holdfast.client import Client
from holdfast.client.events import AFTER_WORK_S, EventRecorder
from holdfast.client.informer import Informers
from holdfast.world import World

from .admission import rejection
from .config import AgentConfig
from .drawn_on import DrawnOn
from .eviction.manager import Evictions
from .eviction.measuring import PodUsage, machine_readings
from .eviction.thresholds import Readings
from .eviction.thresholds import parse as parse_thresholds
from .files import ImaginedFiles, PodFiles, StateDirectory
from .hosts import Resolver
from .image_garbage import ImageGarbage
from .image_pulls import ImagePulls
from .log_rotation import rotate_for_ever
from .lookup import ApiLookup
from .node_status import Machine, imagined_machine, read_machine
from .orphans import remove_orphans
from .own_machine import disk_of, node_resolver, only_one, read_text
from .plan import is_over
from .pod import Pod
from .pod_views import pod_view
from .probes import Prober
from .probes.prober import NetworkProber, ScriptedProber
from .registration import Registration
from .resizing import requested
from .runtime import ContainerRecord, ContainerState, Runtime
from .runtime.simulated import SimulatedRuntime
from .shared import PodVolumes, Shared
from .shutdown import stop_all
from .status_writer import Turns
from .streaming import PodView
from .volumes.composition import pod_volumes
from .volumes.usage import VolumeUse
from .worker import PodWorker

if TYPE_CHECKING:
    from .statistics.sampling import Statistics

log = logging.getLogger(__name__)

REVIVE_AFTER_S = 10.0

__all__ = ["Agent", "AgentConfig"]


class Agent:
    """Runs the pods of one node. Stopping it stops nothing but itself: containers go on, and are adopted again."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        world: World,
        config: AgentConfig,
        *,
        volumes: PodVolumes | None = None,
        prober: Prober | None = None,
        readings: Callable[[], Awaitable[Readings]] | None = None,
    ) -> None:
        """`volumes`, `prober` and `readings`, of what the machine has left, stand in for the real ones."""
        self._client = client
        self._runtime = runtime
        self._world = world
        self._config = config
        self._volumes = volumes
        self._prober = prober
        self._readings = readings
        self._workers: dict[str, PodWorker] = {}
        self._names: dict[str, PodWorker] = {}
        self._is_shutting_down = False
        self.started = asyncio.Event()
        """Set once the Node is registered and every pod of the node is known."""
        self.is_cut_off = False
        """Nobody may reach this agent; that it reaches nobody is up to its client."""
        self._group: asyncio.TaskGroup
        self._shared: Shared
        self._evictions: Evictions

    async def run(self) -> None:
        """Until cancelled. Raises RuntimeError if another agent uses the state directory (N203)."""
        with only_one(self._config.state_dir):
            await self._runtime.open()
            try:
                await self._run()
            finally:
                await self._runtime.close()

    async def shut_down(self) -> None:
        """Stops every pod within its grace period and takes it down; its object stays. `run` goes on, idle."""
        self._is_shutting_down = True
        await stop_all(list(self._workers.values()), self._world.clock, self._config.shutdown_grace_s)

    async def _run(self) -> None:
        config, world, client = self._config, self._world, self._client
        events = EventRecorder(client, "kubelet", world, host=config.node_name, after_s=AFTER_WORK_S)
        state = config.state_dir
        machine = read_machine(str(state)) if state is not None else imagined_machine(config.node_name)
        registration = Registration(client, self._runtime, world, config, machine, events)
        informers = Informers(client, world)
        async with asyncio.TaskGroup() as self._group:
            self._shared = self._share(informers, events, registration)
            self._runtime.on_exit(self._container_ended)
            server = await self._serve(registration, machine)
            try:
                self._group.create_task(informers.run(), name="informers")
                self._group.create_task(events.run(), name="events")
                if state is not None:
                    self._group.create_task(rotate_for_ever(self._runtime, world), name="logs")
                    self._group.create_task(self._image_garbage(state, events, registration).run(), name="images")
                self._follow_objects(informers, registration)
                await registration.register()
                registration.tell_limits()
                self._group.create_task(registration.run(), name="registration")
                self._evictions = self._make_evictions(registration)
                await self._follow_pods(informers)
                self._group.create_task(self._evictions.run(), name="evictions")
                self.started.set()
                await asyncio.Event().wait()
            finally:
                await self._shared.images.close()
                if server is not None:
                    await server.close()

    # -- composition ------------------------------------------------------------------------------

    def _share(self, informers: Informers, events: EventRecorder, registration: Registration) -> Shared:
        config = self._config
        services = informers.of(SERVICES)
        lookup = ApiLookup(self._client, self._world)
        is_real = config.state_dir is not None
        return Shared(
            client=self._client,
            runtime=self._runtime,
            world=self._world,
            config=config,
            events=events,
            images=ImagePulls(self._runtime, self._world, lookup.secrets),
            files=_files(config),
            volumes=self._volumes or pod_volumes(self._client, lookup, self._world, config, registration, events),
            lookup=lookup,
            prober=self._prober or _prober(self._runtime),
            resolver=node_resolver(config.resolv_conf) if is_real else Resolver(),
            node_hosts=read_text("/etc/hosts") if is_real else "",
            services=lambda: tuple(services.list()),
            services_synced=services.wait_synced,
            node=lambda: registration.node,
            spawn=self._spawn,
            requested_beside=self._requested_beside,
            orphans_gone=asyncio.Event(),
            status_turns=Turns(),
        )

    def _make_evictions(self, registration: Registration) -> Evictions:
        shared, config = self._shared, self._config
        readings = self._readings or machine_readings(config.state_dir, config.image_dir)
        usage = PodUsage(self._runtime, shared.files, shared.volumes)
        thresholds = parse_thresholds(config.eviction_hard)
        return Evictions(self._world, thresholds, readings, usage, self._active, registration.note_pressures)

    def _active(self) -> list[PodWorker]:
        return [worker for worker in self._workers.values() if worker.uses_resources]

    async def _serve(self, registration: Registration, machine: Machine) -> Any:
        if not self._config.server_host:
            return None
        from .server import AgentServer

        server = AgentServer(
            self,
            self._runtime,
            started=self.started,
            statistics=self._statistics(machine),
            admits=lambda: not self.is_cut_off,
        )
        config = self._config
        made = await asyncio.to_thread(config.server_listen, config.server_host) if config.server_listen else None
        registration.server_port = await server.listen(config.server_host, config.server_port, config.server_tls, made)
        return server

    def _statistics(self, machine: Machine) -> Statistics:
        from .statistics.machine import read_usage
        from .statistics.sampling import Statistics

        usage = read_usage if self._config.state_dir is not None else None

        async def volumes(pod_uid: str) -> Sequence[VolumeUse]:
            worker = self._workers.get(pod_uid)
            return await self._shared.volumes.usage(worker.pod) if worker else ()

        return Statistics(self._config.node_name, self.pods, self._runtime, self._world.clock, usage, volumes, machine)

    def _image_garbage(self, state: Path, events: EventRecorder, registration: Registration) -> ImageGarbage:
        def tell(reason: str, message: str) -> None:
            events.record(registration.node, "Warning", reason, message)

        return ImageGarbage(self._runtime, self._world, lambda: disk_of(state), tell)

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        return self._group.create_task(_guarded(coroutine))

    # -- following the API ------------------------------------------------------------------------

    def _follow_objects(self, informers: Informers, registration: Registration) -> None:
        """What containers are made of, and this Node."""

        def node_changed(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None:
                registration.notice(new)
                if old is not None and _attached_to(old) != _attached_to(new):
                    self._volumes_attached()
            else:
                registration.report_soon()

        informers.of(NODES, field_selector=f"metadata.name={self._config.node_name}").subscribe(node_changed)

        def claim_changed(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and growth.waits_for_node(new):
                self._claim_changed(new)

        drawn_on = DrawnOn(self._client, self._world, lambda: list(self._workers.values()), self._spawn)
        if self._config.asks_one_by_one:
            self._group.create_task(drawn_on.look_for_ever(self._config.resync_s), name="contents")
        else:
            drawn_on.follow(informers, self._shared.orphans_gone.is_set)
        if self._config.volumes_dir is not None:
            informers.of(PERSISTENT_VOLUME_CLAIMS).subscribe(claim_changed)

    def _volumes_attached(self) -> None:
        """Pods may wait for one of them (V48)."""
        for worker in self._workers.values():
            worker.retry()

    def _claim_changed(self, claim: Manifest) -> None:
        """Its volume may have grown under the file system that pods have mounted (V66)."""
        metadata = claim["metadata"]
        for worker in self._workers.values():
            if f"{metadata['namespace']}/{metadata['name']}" in binding.claim_keys(worker.pod.manifest):
                self._spawn(self._shared.volumes.grow(worker.pod, metadata["name"]))

    async def _follow_pods(self, informers: Informers) -> None:
        pods = informers.of(PODS, field_selector=f"spec.nodeName={self._config.node_name}")
        pods.subscribe(self._pod_changed)
        await pods.wait_synced()
        await remove_orphans(self._shared, self._workers)  # not before the first list is through (N200)
        self._shared.orphans_gone.set()

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            assert old is not None
            if worker := self._workers.get(old["metadata"]["uid"]):
                worker.removed()
            return
        pod = Pod(new)
        if worker := self._workers.get(pod.uid):
            worker.update(pod)
            return
        if self._is_shutting_down:
            return
        predecessor = self._names.get(pod.key)
        worker = PodWorker(pod, self._shared, predecessor.finished if predecessor else None)
        self._admit(worker)
        self._workers[pod.uid] = self._names[pod.key] = worker
        self._group.create_task(self._work(worker), name=f"pod {pod.key}")

    def _admit(self, worker: PodWorker) -> None:
        """A pod that this node has not begun with yet is looked at once more (N191)."""
        pod, node = worker.pod, self._shared.node()
        if pod.status.get("startTime") or pod.is_terminating or is_over(pod.phase):
            return
        others = [other.pod for other in self._active()]
        allowed = self._shared.config.allowed_sysctls
        if verdict := rejection(pod, node, others, self._evictions.pressures, allowed):
            worker.reject(verdict)

    async def _work(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            # The agent goes on with every other pod, and begins anew with this one: all it knew is to be found again.
            log.exception("worker failed pod=%s", worker.pod.key)
            await self._world.clock.sleep(REVIVE_AFTER_S)
            self._forget(worker)
            if not worker.is_gone:
                self._pod_changed(None, worker.pod.manifest)
        finally:
            self._forget(worker)

    def _forget(self, worker: PodWorker) -> None:
        if self._workers.get(worker.pod.uid) is worker:
            del self._workers[worker.pod.uid]
        if self._names.get(worker.pod.key) is worker:
            del self._names[worker.pod.key]
        for other in self._workers.values():
            other.another_left()

    def _container_ended(self, record: ContainerRecord) -> None:
        if worker := self._workers.get(record.pod_uid):
            worker.wake()

    def _requested_beside(self, pod_uid: str) -> dict[str, int]:
        return requested(worker.pod for worker in self._active() if worker.pod.uid != pod_uid)

    # -- for the agent's endpoint (streaming.PodSource) -------------------------------------------

    def find_pod(self, namespace: str, name: str) -> PodView | None:
        worker = self._names.get(f"{namespace}/{name}")
        return pod_view(worker.pod, self._runtime, self._shared.files) if worker else None

    def pods(self) -> list[PodView]:
        """All of them, for statistics."""
        return [pod_view(worker.pod, self._runtime, self._shared.files) for worker in self._names.values()]

    def is_running(self, container_id: str) -> bool:
        return any(
            record.id == container_id and record.state is ContainerState.RUNNING
            for record in self._runtime.containers()
        )


async def _guarded(coroutine: Coroutine[Any, Any, object]) -> None:
    """One probe's or one write's mistake must not end the agent."""
    try:
        await coroutine
    except Exception:
        log.exception("a task of the agent failed")


def _files(config: AgentConfig) -> PodFiles:
    return StateDirectory(config.state_dir) if config.state_dir is not None else ImaginedFiles()


def _prober(runtime: Runtime) -> Prober:
    return ScriptedProber(runtime) if isinstance(runtime, SimulatedRuntime) else NetworkProber(runtime)


def _attached_to(node: Manifest) -> object:
    return (node.get("status") or {}).get("volumesAttached")
