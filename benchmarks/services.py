"""Rules of services: what a full build and one change cost when 10, 1,000 or 10,000 services exist.

Of services of a cluster address alone, of either family, of such with a port of the machine too, and of those by the
rules that nftables of old gets, where each service has chains of its own (as all still have that ask for affinity).

In a network namespace of its own, so that no rule of this machine is touched and none of them counts. Needs root
and nftables. Part of `network`; alone: `python -m benchmarks.services`.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from holdfast.network.services.routes import routes
from holdfast.network.services.rules import Machine, fragment, service_table
from holdfast.network.tables.nftables import Nftables, open_nftables
from holdfast.network.tables.table import Fragment, Table, removal
from holdfast.world import linux

SIZES = (10, 1_000, 10_000)
ENDPOINTS = 3
BUDGET_S = 60.0
"""Sizes are left out once this much time has gone."""

FIRST_PORT = 30_000


def _machine(pods: str, services: str, gateway: str) -> Machine:
    return Machine(ip_network(pods), ip_network(services), {"one": ip_network(pods)}, gateway)


MACHINE = _machine("10.244.0.0/16", "10.96.0.0/16", "10.244.0.1")
MACHINE6 = _machine("fd00:10:244::/56", "fd00:10:96::/112", "fd00:10:244::1")


@dataclass(frozen=True, slots=True)
class Kind:
    """What all services of one measurement are like."""

    machine: Machine
    has_node_port: bool = False


KINDS = {
    "services": Kind(MACHINE),
    "services_ipv6": Kind(MACHINE6),
    "node_ports": Kind(MACHINE, has_node_port=True),
    "node_ports_in_chains": Kind(replace(MACHINE, draws_in_maps=False), has_node_port=True),
}
MOST_NODE_PORTS = 1_000
"""There are no more than 2,768."""


def measure(sizes: tuple[int, ...] = SIZES, changes: int = 15) -> dict[str, Any]:
    """For each size: milliseconds of a full build, and medians of a changed endpoint and of a service that comes."""
    if os.geteuid() != 0:
        return {"skipped": "needs root"}
    return linux.in_new_thread(lambda: _measure(sizes, changes))


def _measure(sizes: tuple[int, ...], changes: int) -> dict[str, Any]:
    linux.unshare(linux.CLONE_NEWNET)
    nftables = open_nftables()
    if nftables is None:
        return {"skipped": "needs nftables"}
    found = {name: _at_sizes(nftables, kind, sizes, changes) for name, kind in KINDS.items()}
    return {"by": type(nftables).__name__, "endpoints_each": ENDPOINTS, **found}


def _at_sizes(nftables: Nftables, kind: Kind, sizes: tuple[int, ...], changes: int) -> dict[str, Any]:
    begin = time.perf_counter()
    found = {}
    for size in sizes:
        is_too_much = kind.has_node_port and size > MOST_NODE_PORTS
        if time.perf_counter() - begin < BUDGET_S and not is_too_much:
            found[str(size)] = _at_size(nftables, kind, size, changes)
    return found


def _at_size(nftables: Nftables, kind: Kind, size: int, changes: int) -> dict[str, Any]:
    table = service_table("benchmark", kind.machine)
    decide_s = _seconds(lambda: _fill(table, kind, size))
    full = table.full()
    full_s = _seconds(lambda: nftables.run(full))
    changed, came = [], []
    for n in range(changes):
        table.set(f"s{n % size}", _service(kind, n % size, shift=1 + n))
        changed.append(_apply(nftables, table))
        table.set(f"s{size + n}", _service(kind, size + n))
        came.append(_apply(nftables, table))
    nftables.run(removal(f"{kind.machine.family.word} benchmark"))
    return {
        "decide_ms": round(1000 * decide_s, 1),
        "full_ms": round(1000 * full_s, 1),
        "full_bytes": len(full),
        "endpoint_change_ms": round(1000 * statistics.median(changed), 2),
        "new_service_ms": round(1000 * statistics.median(came), 2),
    }


def _fill(table: Table, kind: Kind, size: int) -> None:
    for n in range(size):
        table.set(f"s{n}", _service(kind, n))


def _apply(nftables: Nftables, table: Table) -> float:
    return _seconds(lambda: nftables.run(table.changes()))


def _seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _service(kind: Kind, number: int, shift: int = 0) -> Fragment:
    machine, family = kind.machine, kind.machine.family.name
    node_port = {"nodePort": FIRST_PORT + number} if kind.has_node_port else {}
    service = {
        "metadata": {"name": f"service-{number}", "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": str(machine.services.network_address + 1 + number),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", **node_port}],
        },
    }
    first = ip_address(machine.gateway) + 1 + (number * ENDPOINTS + shift) % 60_000
    slice = {
        "addressType": family,
        "endpoints": [{"addresses": [str(first + n)], "nodeName": "one"} for n in range(ENDPOINTS)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    return fragment(routes(service, [slice], ("one",), family), machine)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
