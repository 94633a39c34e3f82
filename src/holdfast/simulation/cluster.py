"""A whole cluster on simulated time: API server, control plane, nodes with simulated containers, one seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, TypeVar

from holdfast.api import registry
from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import AlreadyExists, Conflict, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client
from holdfast.cluster.control_plane import ControlPlane
from holdfast.controllers.volumes.bootstrap import create_standard_class
from holdfast.store.memory import MemoryStore

from .faults import NO_FAULTS, Faults
from .frontend import Frontend
from .loop import SimulatedLoop, simulated_world
from .machines import Directories, Node, Trouble
from .mishaps import Mishaps
from .observation import USER
from .process import Process
from .witness import Witness

T = TypeVar("T")

STEP_S = 0.5
"""How often a condition is looked at while time passes."""
FOLLOWED = (STATEFUL_SETS, PODS, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS)
"""Of these the checkers know how new the control plane's view is."""


class NeverHappened(AssertionError):
    """A condition did not come true in time."""


class Cluster:
    """What a scenario works with. Calls return when they are done; time passes in `run_for` and `run_until`."""

    def __init__(self, loop: SimulatedLoop, seed: int, faults: Faults, nodes: int) -> None:
        self.seed = seed
        self.world = simulated_world(loop, seed)
        self.faults = faults
        self.directories = Directories()
        self.store = MemoryStore(self.world.clock)
        self.frontend = Frontend(self.store, self.world)
        self._loop = loop
        self._parts: ControlPlane | None = None
        chance = Random(f"faults {seed}")
        self.control_plane = Process(
            "control plane", self._run_control_plane, self.frontend, lambda: self.faults, chance
        )
        self.nodes = [
            Node(f"n{number + 1}", number, self.world, self.frontend, lambda: self.faults, chance)
            for number in range(nodes)
        ]
        self._witness = Witness(loop.time, self.nodes, self._views, faults.acting_s + STEP_S)
        self._mishaps = Mishaps(lambda: self.faults, chance)
        self._later: set[asyncio.Task[None]] = set()
        """Ends of troubles that are under way."""

    # How it is made

    async def _run_control_plane(self, client_for: Callable[[str], Client]) -> None:
        self._parts = ControlPlane(
            client_for,
            self.world,
            directories=self.directories,
            volumes_root="/volumes",
            ca_certificate="simulated",
            without=("dns",),
        )
        await self._parts.run()

    def _views(self) -> Mapping[str, int]:
        informers = self._parts.informers if self._parts is not None else None
        found = {resource.kind: informers.whole(resource) for resource in FOLLOWED} if informers is not None else {}
        return {kind: informer.revision for kind, informer in found.items() if informer is not None}

    async def open(self) -> None:
        self._unwatch = self.store.listen(self._witness.on_changes)
        await self.store.open()
        await self.frontend.start()
        await create_standard_class(self.client)
        for process in self._processes():
            await process.start()
        self._mishaps.begin(self.frontend, self.control_plane, [node.process for node in self.nodes])

    async def close(self) -> None:
        self._unwatch()
        self._mishaps.end()
        for task in self._later:
            task.cancel()
        for process in self._processes():
            await process.end()
        await self.frontend.kill()
        await self.store.close()

    def _processes(self) -> list[Process]:
        return [self.control_plane, *(node.process for node in self.nodes)]

    # What a scenario does

    @property
    def client(self) -> Client:
        """The user's: it never fails, but waits for a server that is down."""
        if not self.frontend.is_up and not self._loop.is_running():
            self._loop.run_until_complete(self.frontend.wait_up())
        return self.frontend.client("scenario")

    @property
    def trace(self) -> Sequence[str]:
        """The last changes, for whoever reads a failure."""
        return self._witness.trace

    def do(self, call: Coroutine[Any, Any, T], *, by: str = USER) -> T:
        """Waits for one call, in simulated time. Checkers judge what it does as done `by` that controller."""
        task: asyncio.Task[T] = self._loop.create_task(call, name=by)
        try:
            return self._loop.run_until_complete(task)
        finally:
            self._check()

    def apply(self, *manifests: Manifest) -> None:
        """Creates each object, or merges it into the one that is there."""
        for manifest in manifests:
            self.do(_apply(self.client, manifest))

    def get(self, resource: Resource, name: str, namespace: str = "default") -> Manifest | None:
        try:
            return self.do(self.client.get(resource, name, namespace if resource.namespaced else ""))
        except NotFound:
            return None

    def objects(self, resource: Resource, namespace: str = "") -> Sequence[Manifest]:
        return self.do(self.client.list(resource, namespace)).items

    def patch(
        self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str = "default", **options: Any
    ) -> Manifest:
        namespace = namespace if resource.namespaced else ""
        return self.do(self.client.patch(resource, name, patch, namespace, **options))

    def scale(self, name: str, replicas: int) -> None:
        self.patch(STATEFUL_SETS, name, {"spec": {"replicas": replicas}})

    def delete(self, resource: Resource, name: str, namespace: str = "default", **options: Any) -> None:
        """As its user does: checkers allow it. No error if there is no such object."""
        found = self.get(resource, name, namespace)
        if found is None:
            return
        uid = found["metadata"]["uid"]
        self.permit(uid, by_force=options.get("grace_period_s") == 0)
        with suppress(NotFound, Conflict):  # gone meanwhile, or another by now
            self.do(self.client.delete(resource, name, namespace if resource.namespaced else "", uid=uid, **options))

    def permit(self, uid: str, *, by_force: bool = False) -> None:
        """Checkers let the object of that uid go, whoever deletes it; by force, without asking whether it runs."""
        self._witness.facts.by_user.add(uid)
        if by_force:
            self._witness.facts.by_force.add(uid)

    def ready_replicas(self, name: str) -> int:
        """As the set's status has it."""
        found = self.get(STATEFUL_SETS, name)
        return int(((found or {}).get("status") or {}).get("readyReplicas", 0))

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
        return self._witness.running_pods()

    # What goes wrong on purpose

    def kill(self, process: Process | Frontend) -> None:
        """The control plane, a node's agent, or the API server, for good."""
        self.do(process.kill())

    def start(self, process: Process | Frontend) -> None:
        self.do(process.start())

    def restart(self, process: Process | Frontend, after_s: float) -> None:
        """Kills it now; it comes back by itself."""
        self.kill(process)
        self._after(after_s, process.start)

    def trouble(self, node: Node, trouble: Trouble, for_s: float) -> None:
        """Something is wrong with a machine for a while."""
        self.do(node.suffer(trouble))
        self._after(for_s, node.recover)

    def make_unready(self, pod_uid: str, for_s: float) -> None:
        """The pod's readiness probes fail for a while, wherever it runs."""

        async def recover() -> None:
            for node in self.nodes:
                node.unready.discard(pod_uid)

        for node in self.nodes:
            node.unready.add(pod_uid)
        self._after(for_s, recover)

    def _after(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await act()

        task = self._loop.create_task(wait(), name="later")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def heal(self) -> None:
        """The last fault is over: from here on the cluster has to converge."""
        self.faults = NO_FAULTS
        self.do(self._heal())

    async def _heal(self) -> None:
        for task in self._later:
            task.cancel()
        await self.frontend.start()
        await self.control_plane.start()
        for node in self.nodes:
            await node.recover()

    # Time

    @property
    def time_s(self) -> float:
        """Since the cluster was made."""
        return self._loop.time()

    def run_for(self, seconds: float) -> None:
        end_s = self._loop.time() + seconds
        while self._loop.time() < end_s:
            self.do(asyncio.sleep(min(STEP_S, end_s - self._loop.time())))

    def run_until(self, condition: Callable[[], bool], within_s: float = 600.0) -> None:
        """Raises NeverHappened."""
        end_s = self._loop.time() + within_s
        while not condition():
            self._may_go_on(end_s, within_s)
            self.run_for(STEP_S)

    def _may_go_on(self, end_s: float, within_s: float) -> None:
        if self._loop.time() >= end_s:
            raise NeverHappened(f"not within {within_s:g} s; last changes:\n" + "\n".join(self.trace))

    def run_until_quiet(self, quiet_s: float = 60.0, within_s: float = 600.0) -> None:
        """Until nothing but heartbeats has been written for a while (DESIGN 4.6). Raises NeverHappened."""
        end_s = self._loop.time() + within_s
        while (left_s := quiet_s - (self._loop.time() - self._witness.last_write_s)) > 0:
            self._may_go_on(end_s, within_s)
            self.do(asyncio.sleep(max(left_s, STEP_S)))

    @property
    def fingerprint(self) -> str:
        """Of everything that was ever written, and when: equal for equal histories."""
        return self._witness.fingerprint

    def _check(self) -> None:
        self._witness.check()
        for process in self._processes():
            process.check()


async def _apply(client: Client, manifest: Manifest) -> None:
    resource = registry.by_api_version(manifest["apiVersion"], manifest["kind"])
    assert resource is not None, manifest["kind"]
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace", "default") if resource.namespaced else ""
    try:
        await client.create(resource, manifest, namespace)
    except AlreadyExists:
        await client.patch(resource, metadata["name"], manifest, namespace)


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
