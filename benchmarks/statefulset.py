"""What a StatefulSet costs: CPU time and writes per pod as it comes up, and CPU time of what happens to one pod.

The API server on its durable store, every controller, the scheduler and the node agents run in this process; only
containers are simulated. CPU time is that of the whole process, the store's thread included. Requests are calls in
the process: no HTTP, no TLS.

The fewest writes that bring up a pod:

- `create pods`: 1, by the controller.
- `create pods/binding`: 1, by the scheduler: who wants a pod does not decide where.
- `patch pods/status`: 1, by the agent: running, ready and the address at once. A start that takes longer than 50 ms,
  and a turn of its own (`node.status_writer`), has its waiting written too: then 2.
- `update statefulsets/status`: none per pod. While pods come, one per 100 ms (`controllers.pace`), and one when the
  set settles. Upstream writes what it sees: for an ordered pod 2, that it is there and that it is ready.
- `create persistentvolumeclaims`, `patch persistentvolumeclaims`, `patch persistentvolumeclaims/status`,
  `create persistentvolumes`, `patch persistentvolumes/status`: 7 for a claim with storage of its own. It is created;
  the scheduler notes the node, the binder the provisioner (others than ours wait for just that), the binder the
  volume: 3; it is Bound: 1; the volume is created with its claim in it: 1; it is Bound: 1.

So 3 per pod and 7 per claim, plus at most 10 per second. Events, which are for people and may be dropped, and
heartbeats are counted apart: a burst of 25 for the set, and per pod Scheduled, Pulled, Created and Started.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.conditions import is_true
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import Client
from holdfast.cluster.control_plane import ControlPlane
from holdfast.cluster.cycles import collect_when_idle
from holdfast.controllers.volumes.bootstrap import create_standard_class
from holdfast.node.agent import Agent
from holdfast.node.config import AgentConfig
from holdfast.node.runtime.simulated import SimulatedRuntime
from holdfast.simulation.cluster import Directories
from holdfast.store.sqlite import SqliteStore
from holdfast.world import real_world

WRITES = ("create", "update", "patch", "delete")
APART = {"events": "events", "leases": "heartbeats", "nodes": "heartbeats"}
"""Writes that are not the set's, by plural."""
GOAL = {"create pods": 1.0, "create pods/binding": 1.0, "patch pods/status": 1.0}
GOAL_CLAIMS = {
    "create persistentvolumeclaims": 1.0,
    "patch persistentvolumeclaims": 3.0,
    "patch persistentvolumeclaims/status": 1.0,
    "create persistentvolumes": 1.0,
    "patch persistentvolumes/status": 1.0,
}
GOAL_RATIO = 3.0
"""What an event may cost in a large set, as a multiple of what it costs in a small one."""
NODES = 2
SIZES = (10, 10_000)
EVENTS = 100
REPLACEMENTS = 20
ROUNDS = 3
"""The median of so many is told; one before them warms up."""
TIMEOUT_S = 900


class CountingClient:
    """Implements `Client`; counts writes by what they do to what."""

    def __init__(self, client: Client, counts: Counter[str]) -> None:
        self._client = client
        self._counts = counts

    def __getattr__(self, verb: str) -> Any:
        call = getattr(self._client, verb)
        if verb not in WRITES:
            return call

        def counted(resource: Resource, *arguments: Any, **options: Any) -> Any:
            what = "/".join(filter(None, (resource.plural, options.get("subresource", ""))))
            self._counts[APART.get(resource.plural, f"{verb} {what}")] += 1
            return call(resource, *arguments, **options)

        return counted


class Simulated:
    """A cluster in this process whose containers exist by name only."""

    def __init__(self, server: ApiServer) -> None:
        self.client = server.client("benchmark")
        self.counts: Counter[str] = Counter()
        """Writes of all parts, by what they are."""
        self._server = server

    async def create(self, name: str, replicas: int, policy: str, *, has_claims: bool = False) -> None:
        """Returns when all replicas are ready, by the set's status."""
        await self.client.create(STATEFUL_SETS, manifest(name, replicas, policy, has_claims=has_claims))
        async with asyncio.timeout(TIMEOUT_S):
            async for event in self.client.watch(STATEFUL_SETS, "default", resource_version="0"):
                if event.object["metadata"].get("name") == name and _is_ready(event.object, replicas):
                    return

    async def replace(self, pod: str) -> None:
        """Deletes a pod; returns when the next of that name is ready."""
        gone = await self.client.get(PODS, pod, "default")
        await self.client.delete(PODS, pod, "default")
        version = gone["metadata"]["resourceVersion"]
        chosen = f"metadata.name={pod}"
        async with asyncio.timeout(TIMEOUT_S):
            watch = self.client.watch(PODS, "default", resource_version=version, field_selector=chosen)
            async for event in watch:
                is_next = event.object["metadata"].get("uid") not in (None, gone["metadata"]["uid"])
                if is_next and is_true(event.object, "Ready"):
                    return

    async def goes_quiet(self) -> None:
        """Returns when nothing was written for a moment."""
        revision = -1
        while revision != self._server.store.revision:
            revision = self._server.store.revision
            await asyncio.sleep(0.5)


def _is_ready(statefulset: Manifest, replicas: int) -> bool:
    return bool((statefulset.get("status") or {}).get("readyReplicas", 0) == replicas)


@asynccontextmanager
async def simulated() -> AsyncIterator[Simulated]:
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as directory:
        world = real_world()
        store = SqliteStore(Path(directory) / "state.db", world.clock)
        await store.open()
        server = ApiServer(store, world, Config())
        await server.open()
        made = Simulated(server)
        await create_standard_class(made.client)

        def client_for(name: str) -> Any:
            return CountingClient(server.client(name), made.counts)

        plane = ControlPlane(client_for, world, directories=Directories(), volumes_root="/volumes", without=("dns",))
        parts = [plane.run(), collect_when_idle(world.clock)]
        for number in range(NODES):
            name = f"n{number}"
            config = AgentConfig(name, capacity={"cpu": "10000", "memory": "100Ti"}, most_pods=100_000)
            runtime = SimulatedRuntime(world, network=f"10.{100 + number}")
            parts.append(Agent(client_for(f"node:{name}"), runtime, world, config).run())
        tasks = [asyncio.create_task(part) for part in parts]
        await asyncio.sleep(1)
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await server.close()
            await store.close()


def manifest(name: str, replicas: int, policy: str, *, has_claims: bool = False) -> Manifest:
    container = {"name": "main", "image": "host"}
    spec: Manifest = {
        "serviceName": name,
        "replicas": replicas,
        "podManagementPolicy": policy,
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        },
    }
    if has_claims:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def measure() -> dict[str, Any]:
    """Coming up, per pod; then events, in a small set and in a large one, and the ratio of the two."""
    logging.disable(logging.WARNING)  # events that are dropped say so, each of them
    try:
        return asyncio.run(_measure())
    finally:
        logging.disable(logging.NOTSET)


async def _measure() -> dict[str, Any]:
    result: dict[str, Any] = {}
    async with simulated() as cluster:
        await cluster.create("first", 2, "Parallel", has_claims=True)  # what is made on first use is made now
        for name, replicas, policy, has_claims in (
            ("parallel", 1000, "Parallel", False),
            ("ordered", 1000, "OrderedReady", False),
            ("claims", 200, "Parallel", True),
        ):
            await cluster.goes_quiet()
            result[f"{name}_{replicas}"] = await _coming_up(cluster, name, replicas, policy, has_claims)
    events = {}
    for size in SIZES:
        async with simulated() as cluster:
            events[size] = await _events(cluster, size)
    small, large = (events[size] for size in SIZES)
    ratios = {name: round(large[name] / small[name], 2) for name in small}
    met = all(ratio <= GOAL_RATIO for ratio in ratios.values())
    return {**result, **{f"in_a_set_of_{size}": events[size] for size in SIZES}, "ratios": {**ratios, "met": met}}


async def _coming_up(cluster: Simulated, name: str, replicas: int, policy: str, has_claims: bool) -> dict[str, Any]:
    cluster.counts.clear()
    begin_s, began_s = time.process_time(), time.monotonic()
    await cluster.create(name, replicas, policy, has_claims=has_claims)
    cpu_s, wall_s = time.process_time() - begin_s, time.monotonic() - began_s
    per_pod = {what: round(count / replicas, 3) for what, count in sorted(cluster.counts.items())}
    goal = GOAL | (GOAL_CLAIMS if has_claims else {})
    rest = sum(count for what, count in per_pod.items() if what not in (*goal, *APART.values()))
    return {
        "cpu_ms_per_pod": round(1e3 * cpu_s / replicas, 3),
        "seconds": round(wall_s, 2),
        "writes_per_pod": per_pod,
        "beyond_the_fewest": {what: round(per_pod.get(what, 0) - count, 3) for what, count in goal.items()},
        "status_and_others_per_pod": round(rest, 3),
    }


async def _events(cluster: Simulated, replicas: int) -> dict[str, float]:
    """CPU milliseconds of a change to one pod, and of one pod's replacement, without what time alone costs."""
    await cluster.create("web", replicas, "Parallel")
    await cluster.goes_quiet()

    numbers = itertools.count()

    async def change() -> None:
        for number in range(EVENTS):
            annotation = {"metadata": {"annotations": {"number": str(next(numbers))}}}
            await cluster.client.patch(PODS, f"web-{number % replicas}", annotation, "default")
            await asyncio.sleep(0.01)

    async def replace() -> None:
        for number in range(REPLACEMENTS):
            await cluster.replace(f"web-{number % replicas}")

    changes = [await _cost(cluster, change) for _ in range(1 + ROUNDS)]
    replacements = [await _cost(cluster, replace) for _ in range(1 + ROUNDS)]
    return {
        "event_cpu_ms": round(statistics.median(changes[1:]) / EVENTS, 3),
        "replacement_cpu_ms": round(statistics.median(replacements[1:]) / REPLACEMENTS, 3),
    }


async def _cost(cluster: Simulated, work: Callable[[], Awaitable[None]]) -> float:
    """CPU milliseconds from the beginning of the work until all is quiet, less those of as long a time without it."""
    await cluster.goes_quiet()
    begin_s, began_s = time.process_time(), time.monotonic()
    await work()
    await cluster.goes_quiet()
    busy_s, wall_s = time.process_time() - begin_s, time.monotonic() - began_s
    begin_s = time.process_time()
    await asyncio.sleep(wall_s)
    return 1e3 * (busy_s - (time.process_time() - begin_s))
