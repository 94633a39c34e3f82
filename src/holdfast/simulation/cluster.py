"""A whole cluster on simulated time: API server, control plane, nodes with simulated containers, one seed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import msgspec

from holdfast.api import registry
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import AlreadyExists, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import Client
from holdfast.cluster.control_plane import ControlPlane
from holdfast.controllers.volumes.bootstrap import create_standard_class
from holdfast.node.agent import Agent
from holdfast.node.config import AgentConfig
from holdfast.node.runtime import ContainerSpec, ContainerState
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.store import Change
from holdfast.store.memory import MemoryStore

from .checkers import all_checkers
from .faults import NO_FAULTS, Faults
from .loop import SimulatedLoop, simulated_world
from .observation import Facts, InvariantBroken, Observation
from .process import Process

T = TypeVar("T")

HEARTBEATS = ("/registry/coordination.k8s.io/leases/", "/registry/leases/", "/registry/nodes/", "/registry/core/nodes/")
STEP_S = 0.5
"""How often a condition is looked at while time passes."""
TRACE_LENGTH = 12
TASK = ("task",)
"""The command of a container that ends by itself, well or not."""
TASK_FAILS = 0.25
LONGEST_TASK_S = 20.0


class NeverHappened(AssertionError):
    """A condition did not come true in time."""


class Directories:
    """Volumes' directories that exist by name only. They outlive every process, as a disk does."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    async def create(self, path: str) -> None:
        self.present.add(path)

    async def remove(self, path: str) -> None:
        self.present.discard(path)

    async def empty(self, path: str) -> None:
        """Nothing is ever in one."""


class Node:
    """One machine, whose containers outlive its agent."""

    def __init__(self, name: str, number: int, cluster: Cluster) -> None:
        scripts = cluster.script_for
        self.name = name
        self.runtime = SimulatedRuntime(cluster.world, scripts=scripts, network=f"10.{244 + number}")
        self.process = cluster.make_process(f"agent {name}", self._run)
        self._cluster = cluster

    async def _run(self, client_for: Callable[[str], Client]) -> None:
        config = AgentConfig(node_name=self.name, capacity={"cpu": "64", "memory": "256Gi"}, most_pods=10_000)
        await Agent(client_for(f"node:{self.name}"), self.runtime, self._cluster.world, config).run()

    def runs(self, pod_uid: str) -> bool:
        """Whether any container of the pod runs here."""
        return any(each.state is ContainerState.RUNNING for each in self.runtime.containers(pod_uid))

    def running_containers(self) -> list[str]:
        """Ids, in the order in which they were made."""
        return [each.id for each in self.runtime.containers() if each.state is ContainerState.RUNNING]


class Cluster:
    """What a scenario works with. Calls return when they are done; time passes in `run_for` and `run_until`."""

    def __init__(self, loop: SimulatedLoop, seed: int, faults: Faults, nodes: int) -> None:
        self.seed = seed
        self.world = simulated_world(loop, seed)
        self.faults = faults
        self.directories = Directories()
        self.trace: list[str] = []
        """The last changes, for whoever reads a failure."""
        self._loop = loop
        self._chance = Random(f"faults {seed}")
        self._digest = hashlib.blake2b(digest_size=16)
        self._identities: dict[str, list[str]] = {}
        """Uids of all pods that ever had a name."""
        self._broken: list[str] = []
        self._last_write_s = 0.0
        self._checkers = all_checkers()
        self._facts = Facts(lag_s=faults.lag_s + STEP_S, running=self._running)
        self.store = MemoryStore(self.world.clock)
        self.server = ApiServer(self.store, self.world, Config())
        self.control_plane = self.make_process("control plane", self._run_control_plane)
        self.nodes = [Node(f"n{number + 1}", number, self) for number in range(nodes)]
        self._demons: list[asyncio.Task[None]] = []

    # How it is made

    def make_process(self, name: str, run: Callable[[Callable[[str], Client]], Coroutine[Any, Any, None]]) -> Process:
        return Process(name, run, lambda part: self.server.client(part), lambda: self.faults, self._chance)

    def script_for(self, spec: ContainerSpec) -> Script:
        start_delay_s = self._chance.random() * self.faults.slow_start_s
        if spec.command != TASK:
            return Script(start_delay_s=start_delay_s)
        failed = self._chance.random() < TASK_FAILS
        exit_after_s = self._chance.random() * LONGEST_TASK_S
        return Script(start_delay_s=start_delay_s, exit_after_s=exit_after_s, exit_code=int(failed))

    async def _run_control_plane(self, client_for: Callable[[str], Client]) -> None:
        parts = ControlPlane(
            client_for,
            self.world,
            directories=self.directories,
            volumes_root="/volumes",
            ca_certificate="simulated",
            without=("dns",),
        )
        await parts.run()

    async def open(self) -> None:
        self.store.listen(self._on_changes)
        await self.store.open()
        await self.server.open()
        await create_standard_class(self.client)
        for process in self._processes():
            process.start()
        create_task = self._loop.create_task
        self._demons.append(create_task(self.control_plane.crash_now_and_then(lambda: self.faults.crash_every_s)))
        for node in self.nodes:
            self._demons.append(create_task(node.process.crash_now_and_then(lambda: self.faults.agent_crash_every_s)))

    async def close(self) -> None:
        for demon in self._demons:
            demon.cancel()
        for process in self._processes():
            await process.end()
        await self.server.close()
        await self.store.close()

    def _processes(self) -> list[Process]:
        return [self.control_plane, *(node.process for node in self.nodes)]

    # What a scenario does

    @property
    def client(self) -> Client:
        """The user's: it never fails."""
        return self.server.client("scenario")

    def do(self, call: Coroutine[Any, Any, T]) -> T:
        """Waits for one call, in simulated time."""
        result = self._loop.run_until_complete(call)
        self._check()
        return result

    def apply(self, *manifests: Manifest) -> None:
        """Creates each object, or merges it into the one that is there."""
        for manifest in manifests:
            self.do(self._apply(manifest))

    async def _apply(self, manifest: Manifest) -> None:
        resource = registry.by_api_version(manifest["apiVersion"], manifest["kind"])
        assert resource is not None, manifest["kind"]
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "default") if resource.namespaced else ""
        try:
            await self.client.create(resource, manifest, namespace)
        except AlreadyExists:
            await self.client.patch(resource, metadata["name"], manifest, namespace)

    def get(self, resource: Resource, name: str, namespace: str = "default") -> Manifest | None:
        try:
            return self.do(self.client.get(resource, name, namespace if resource.namespaced else ""))
        except NotFound:
            return None

    def objects(self, resource: Resource, namespace: str = "") -> Sequence[Manifest]:
        return self.do(self.client.list(resource, namespace)).items

    def patch(self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str = "default") -> Manifest:
        return self.do(self.client.patch(resource, name, patch, namespace if resource.namespaced else ""))

    def scale(self, name: str, replicas: int) -> None:
        self.patch(STATEFUL_SETS, name, {"spec": {"replicas": replicas}})

    def delete(self, resource: Resource, name: str, namespace: str = "default", **options: Any) -> None:
        """As its user does: checkers allow it. No error if there is no such object."""
        found = self.get(resource, name, namespace)
        if found is None:
            return
        uid = found["metadata"]["uid"]
        self._facts.by_user.add(uid)
        if resource is STATEFUL_SETS:
            self._facts.by_user |= {pod["metadata"]["uid"] for pod in self.objects(PODS, namespace)}
        self.do(self.client.delete(resource, name, namespace if resource.namespaced else "", uid=uid, **options))

    def ready_replicas(self, name: str) -> int:
        """As the set's status has it."""
        return int(self._status(name).get("readyReplicas", 0))

    def is_settled(self, name: str) -> bool:
        """Whether the set is as its spec wants it, all replicas ready and of the newest revision."""
        found = self.get(STATEFUL_SETS, name)
        assert found is not None, name
        status, replicas = found.get("status") or {}, found["spec"].get("replicas", 1)
        return (
            status.get("observedGeneration") == found["metadata"]["generation"]
            and all(status.get(count, 0) == replicas for count in ("replicas", "readyReplicas", "updatedReplicas"))
            and status.get("currentRevision") == status.get("updateRevision")
        )

    def running_pods(self) -> list[str]:
        """`namespace/name` of each pod of which a container runs, by the word of the machines."""
        return [identity for identity in self._identities if any(self._running(identity))]

    def _status(self, name: str) -> Manifest:
        found = self.get(STATEFUL_SETS, name)
        status: Manifest = (found or {}).get("status") or {}
        return status

    def kill(self, process: Process) -> None:
        """The control plane or a node's agent, for good."""
        self.do(process.kill())

    def start(self, process: Process) -> None:
        async def start() -> None:
            process.start()

        self.do(start())

    def heal(self) -> None:
        """The last fault is over: from here on the cluster has to converge."""
        self.faults = NO_FAULTS
        for process in self._processes():
            self.start(process)

    # Time

    def run_for(self, seconds: float) -> None:
        end_s = self._loop.time() + seconds
        while self._loop.time() < end_s:
            self.do(asyncio.sleep(min(STEP_S, end_s - self._loop.time())))

    def run_until(self, condition: Callable[[], bool], within_s: float = 600.0) -> None:
        """Raises NeverHappened."""
        end_s = self._loop.time() + within_s
        while not condition():
            if self._loop.time() >= end_s:
                raise NeverHappened(f"not within {within_s:g} s; last changes:\n" + "\n".join(self.trace))
            self.run_for(STEP_S)

    def run_until_quiet(self, quiet_s: float = 60.0, within_s: float = 600.0) -> None:
        """Until nothing but heartbeats has been written for a while (DESIGN 4.6)."""
        self.run_until(lambda: self._loop.time() - self._last_write_s >= quiet_s, within_s)

    @property
    def fingerprint(self) -> str:
        """Of everything that was ever written, and when: equal for equal histories."""
        return self._digest.hexdigest()

    # Watching it

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._digest.update(f"{self._loop.time():.6f} {change.key} {change.is_delete} ".encode() + change.value)
            if not change.key.startswith(HEARTBEATS):
                self._last_write_s = self._loop.time()
                self._observe(change)

    def _observe(self, change: Change) -> None:
        what = "deleted" if change.is_delete else "written" if change.previous else "created"
        self.trace = [*self.trace[-TRACE_LENGTH:], f"{self._loop.time():10.3f} {what} {change.key}"]
        if not _is_checked(change.key):
            return
        old = msgspec.json.decode(change.previous.value) if change.previous else None
        new = None if change.is_delete else msgspec.json.decode(change.value)
        seen = Observation(self._loop.time(), old, new)
        if seen.kind == "Pod" and old is None:
            self._identities.setdefault(seen.key, []).append(seen.manifest["metadata"]["uid"])
        for checker in self._checkers:
            if problem := checker.check(seen, self._facts):
                self._broken.append(f"{type(checker).__name__}: {problem}")

    def _running(self, identity: str) -> Iterator[str]:
        for uid in self._identities.get(identity, ()):
            if any(node.runs(uid) for node in self.nodes):
                yield uid

    def _check(self) -> None:
        if self._broken:
            raise InvariantBroken("\n".join([*self._broken, "last changes:", *self.trace]))
        for process in self._processes():
            process.check()


def _is_checked(key: str) -> bool:
    plurals = ("pods", "statefulsets", "jobs", "persistentvolumeclaims", "persistentvolumes")
    return any(f"/{plural}/" in key for plural in plurals)


@contextmanager
def simulate(seed: int, faults: Faults = NO_FAULTS, *, nodes: int = 1) -> Iterator[Cluster]:
    """A cluster that runs until the block ends. A failure inside names its seed."""
    loop = SimulatedLoop()
    asyncio.set_event_loop(loop)
    cluster = Cluster(loop, seed, faults, nodes)
    try:
        loop.run_until_complete(cluster.open())
        yield cluster
    except Exception as error:
        error.add_note(f"seed {seed}, at {loop.time():.3f} s of simulated time")
        raise
    finally:
        loop.run_until_complete(_end(cluster, loop))
        loop.close()
        asyncio.set_event_loop(None)


async def _end(cluster: Cluster, loop: SimulatedLoop) -> None:
    await cluster.close()
    left = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
