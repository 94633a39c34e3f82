"""Names, service rules and the way of the data: how soon, how many, how fast.

- `names`: pods become ready one after the other and many at a time; from the moment at which the API has acknowledged
  it their names are due. Asked by a process of its own over UDP, all the time; "no such name" to a question that was
  sent when the name was due is an error.
- `dns`: questions per second, with many on their way, and how long one takes that waits for its answer.
- `rules`: what one change costs with 10, 1,000 and 10,000 services, of either family, and with 10 and 1,000 ports of
  the machine (`benchmarks.services`).
- `throughput`: bytes per second over loopback, from pod to pod, and through a ClusterIP. Needs root and the container
  tools; a cluster of its own.

The API server, its controllers and DNS run in this process on the durable store. Alone:
`python -m benchmarks network`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.api.coordination.lease import LEASES
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.resource import Manifest
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import Client
from holdfast.cluster.control_plane import ControlPlane
from holdfast.cluster.cycles import collect_when_idle
from holdfast.cluster.loop import run
from holdfast.network.dns.server import DnsServer
from holdfast.simulation.cluster import Directories
from holdfast.store.sqlite import SqliteStore
from holdfast.world import real_world

from . import asking, services, throughput

GOAL_P99_MS = 10.0
GOAL_RATIO = 3.0
GROW_WITH_NOTHING = ("services", "services_ipv6", "node_ports")
STARTS = 1_000
TOGETHER = 10
"""So many pods become ready at a time, in the second half."""
PER_SERVICE = 50
DNS_S = 3.0
NODE, LEASES_IN = "by-hand", "kube-node-lease"
DOMAIN = "cluster.local"


def measure() -> dict[str, Any]:
    logging.disable(logging.WARNING)  # events that are dropped say so, each of them
    try:
        names_and_dns = run(_measure())
    finally:
        logging.disable(logging.NOTSET)
    return {**names_and_dns, "rules": _rules(), "throughput": throughput.measure()}


def _rules() -> dict[str, Any]:
    """Every figure of a change at the most services, as a multiple of what it is at the fewest."""
    found = services.measure()
    ratios = {name: _ratios(list(found.get(name, {}).values())) for name in GROW_WITH_NOTHING}
    if not all(ratios.values()):
        return found
    worst = max(ratio for each in ratios.values() for ratio in each.values())
    return {**found, "ratios": {**ratios, "met": worst <= GOAL_RATIO}}


def _ratios(sizes: Sequence[dict[str, Any]]) -> dict[str, float]:
    if len(sizes) < 2:
        return {}
    names = ("endpoint_change_ms", "new_service_ms")
    return {name: round(sizes[-1][name] / sizes[0][name], 2) for name in names}


class Names:
    """A cluster in this process whose pods are written by hand, and its DNS."""

    def __init__(self, client: Client, dns: DnsServer) -> None:
        self.client = client
        self.dns = dns

    @property
    def port(self) -> int:
        return self.dns.listening[0][1]

    async def be_a_node(self) -> None:
        """Pods of a node that is not there, or silent, are not ready."""
        await self.client.create(NODES, {"metadata": {"name": NODE}})
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        await self.client.patch(NODES, NODE, {"status": status}, subresource="status")
        lease = {"metadata": {"name": NODE, "namespace": LEASES_IN}, "spec": {"holderIdentity": NODE}}
        await self.client.create(LEASES, lease)
        while True:
            spec = {"renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
            await self.client.patch(LEASES, NODE, {"spec": spec}, LEASES_IN)
            await asyncio.sleep(5)

    async def make_service(self, name: str) -> None:
        spec = {"clusterIP": "None", "selector": {"app": name}, "ports": [{"name": "web", "port": 80}]}
        metadata = {"name": name, "namespace": "default"}
        await self.client.create(SERVICES, {"metadata": metadata, "spec": spec})

    async def make_pod(self, name: str, service: str) -> Manifest:
        """On a node without an agent, and not ready."""
        container = {"name": "main", "image": "host"}
        metadata = {"name": name, "namespace": "default", "labels": {"app": service}}
        spec = {"nodeName": NODE, "hostname": name, "subdomain": service, "containers": [container]}
        return await self.client.create(PODS, {"metadata": metadata, "spec": spec})

    async def make_ready(self, name: str, address: str) -> None:
        """What an agent writes; returns when the API has acknowledged it."""
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        await self.client.patch(PODS, name, {"status": status}, "default", subresource="status")


@contextlib.asynccontextmanager
async def names() -> AsyncIterator[Names]:
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as directory:
        world = real_world()
        store = SqliteStore(Path(directory) / "state.db", world.clock)
        await store.open()
        server = ApiServer(store, world, Config())
        await server.open()
        plane = ControlPlane(
            server.client, world, directories=Directories(), volumes_root="/volumes", without=("dns", "scheduler")
        )
        dns = DnsServer(plane.informers, world, [("127.0.0.1", 0)], DOMAIN)
        made = Names(server.client("benchmark"), dns)
        parts = (plane.run(), dns.run(), collect_when_idle(world.clock), made.be_a_node())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await dns.answers.wait()
            await plane.informers.wait_synced()
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await server.close()
            await store.close()


async def _measure() -> dict[str, Any]:
    async with names() as cluster:
        one_by_one = await _starts(cluster, "one", STARTS // 2, 1, PER_SERVICE)
        together = await _starts(cluster, "many", STARTS // 2, TOGETHER, PER_SERVICE)
        in_one_service = await _starts(cluster, "large", STARTS // 2, 1, STARTS)
        return {
            "names": {
                "one_by_one": one_by_one,
                f"{TOGETHER}_at_a_time": together,
                "in_a_large_service": in_one_service,
            },
            "dns": await _dns(cluster),
        }


async def _starts(cluster: Names, prefix: str, count: int, at_a_time: int, per_service: int) -> dict[str, Any]:
    """Readiness of `count` pods, `at_a_time` at once, in headless services of `per_service` pods each."""
    pods = [(f"{prefix}-{number}", f"{prefix}-{number // per_service}") for number in range(count)]
    for service in dict.fromkeys(service for _, service in pods):
        await cluster.make_service(service)
    for name, service in pods:
        await cluster.make_pod(name, service)
    await asyncio.sleep(0.5)
    asker = await asking.Asker.start(cluster.port)
    due_at_s: dict[str, float] = {}
    try:
        for first in range(0, count, at_a_time):
            wave = pods[first : first + at_a_time]

            async def start(number: int, name: str, service: str) -> None:
                await asker.ask(name, f"{name}.{service}.default.svc.{DOMAIN}")
                await cluster.make_ready(name, f"10.{100 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}")
                due_at_s[name] = time.monotonic()

            await asyncio.gather(*(start(first + n, *each) for n, each in enumerate(wave)))
            await asker.found({name for name, _ in wave})
    finally:
        asked = await asker.stop()
    return _told(due_at_s, asked)


def _told(due_at_s: dict[str, float], asked: dict[str, asking.Found]) -> dict[str, Any]:
    waits_ms = [1e3 * max(0.0, asked[name].at_s - due_at_s[name]) for name in due_at_s]
    p50, p99 = _percentiles(waits_ms, 50, 99)
    denials = sum(asked[name].last_denied_s > due_at_s[name] for name in due_at_s)
    return {
        "pods": len(waits_ms),
        "p50_ms": p50,
        "p99_ms": p99,
        "longest_ms": round(max(waits_ms), 2),
        "denied_once_due": denials,
        "met": p99 <= GOAL_P99_MS and not denials,
    }


async def _dns(cluster: Names) -> dict[str, Any]:
    """With the names of the pods that have been started, and some that are not there."""
    present = [f"one-{number}.one-{number // PER_SERVICE}.default.svc.{DOMAIN}" for number in range(100)]
    absent = [f"{name}.default.svc.{DOMAIN}" for name in present]
    found = {}
    for what, asked in (("present", present), ("absent", absent)):
        for on_their_way in (1, 64):
            told = await asking.flood(cluster.port, asked, on_their_way, DNS_S)
            found[f"{what}_{on_their_way}_on_their_way"] = told
    return found


def _percentiles(values: Sequence[float], *percents: int) -> list[float]:
    ordered = sorted(values)
    return [round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 3) for percent in percents]
