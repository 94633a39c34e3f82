"""Rules of services: what a full build and one change cost when 10, 1,000 or 10,000 services exist.

In a network namespace of its own, so that no rule of this machine is touched and none of them counts. Needs root
and nftables. Part of `network`; alone: `python -m benchmarks.services`.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from holdfast.network.services.nftables import Nftables, open_nftables
from holdfast.network.services.routes import routes
from holdfast.network.services.rules import Fragment, Machine, fragment
from holdfast.network.services.table import Table, removal
from holdfast.world import linux

SIZES = (10, 1_000, 10_000)
ENDPOINTS = 3
BUDGET_S = 60.0
"""Sizes are left out once this much time has gone."""

MACHINE = Machine(IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16"), {"one": IPv4Network("10.244.0.0/16")},
                  "10.244.0.1")  # fmt: skip


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
    begin = time.perf_counter()
    found = {}
    for size in sizes:
        if time.perf_counter() - begin < BUDGET_S:
            found[str(size)] = _at_size(nftables, size, changes)
    return {"by": type(nftables).__name__, "endpoints_each": ENDPOINTS, "services": found}


def _at_size(nftables: Nftables, size: int, changes: int) -> dict[str, Any]:
    table = Table("benchmark", MACHINE)
    decide_s = _seconds(lambda: _fill(table, size))
    full = table.full()
    full_s = _seconds(lambda: nftables.run(full))
    changed, came = [], []
    for n in range(changes):
        table.set(f"s{n % size}", _service(n % size, shift=1 + n))
        changed.append(_apply(nftables, table))
        table.set(f"s{size + n}", _service(size + n))
        came.append(_apply(nftables, table))
    nftables.run(removal("benchmark"))
    return {
        "decide_ms": round(1000 * decide_s, 1),
        "full_ms": round(1000 * full_s, 1),
        "full_bytes": len(full),
        "endpoint_change_ms": round(1000 * statistics.median(changed), 2),
        "new_service_ms": round(1000 * statistics.median(came), 2),
    }


def _fill(table: Table, size: int) -> None:
    for n in range(size):
        table.set(f"s{n}", _service(n))


def _apply(nftables: Nftables, table: Table) -> float:
    return _seconds(lambda: nftables.run(table.changes()))


def _seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _service(number: int, shift: int = 0) -> Fragment:
    service = {
        "metadata": {"name": f"service-{number}", "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": str(IPv4Address("10.96.0.0") + 1 + number),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    }
    first = IPv4Address("10.244.0.2") + (number * ENDPOINTS + shift) % 60_000
    slice = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(first + n)], "nodeName": "one"} for n in range(ENDPOINTS)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    return fragment(routes(service, [slice], ("one",)), MACHINE)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
