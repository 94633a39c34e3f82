"""Addresses of services from ServiceCIDRs besides the cluster's own (D12): from those that are ready and stay."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

RANGES = "/apis/networking.k8s.io/v1/servicecidrs"
SERVICES = "/api/v1/namespaces/ns/services"
MERGE = {"content-type": "application/merge-patch+json"}


async def add_range(web: Any, cidr: str, name: str = "more", *, ready: bool = True) -> None:
    assert (await web("POST", RANGES, {"metadata": {"name": name}, "spec": {"cidrs": [cidr]}})).code == 201
    if ready:
        await say_ready(web, name, "True")


async def say_ready(web: Any, name: str, status: str) -> None:
    ready = {"type": "Ready", "status": status, "reason": "", "message": "m", "lastTransitionTime": None}
    answer = await web("PATCH", f"{RANGES}/{name}/status", {"status": {"conditions": [ready]}}, headers=MERGE)
    assert answer.code == 200


async def make(web: Any, name: str, address: str | None = None) -> Any:
    given = {"clusterIP": address} if address else {}
    return await web("POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **given}})


MISMATCH = "failed to allocate IP 10.200.0.9: the provided network does not match the current range"


async def test_an_address_of_a_further_range_can_be_asked_for_once_it_is_ready(web: Any) -> None:
    await add_range(web, "10.200.0.0/28", ready=False)
    assert MISMATCH in (await make(web, "a", "10.200.0.9"))["message"]
    await say_ready(web, "more", "True")
    assert (await make(web, "a", "10.200.0.9"))["spec"]["clusterIPs"] == ["10.200.0.9"]
    taken = await make(web, "b", "10.200.0.9")
    assert "failed to allocate IP 10.200.0.9: provided IP is already allocated" in taken["message"]


async def test_addresses_come_from_all_ranges_until_all_are_full(web: Any) -> None:
    await add_range(web, "10.200.0.0/29")
    more = ipaddress.ip_network("10.200.0.0/29")
    found = [(await make(web, f"s{i}"))["spec"]["clusterIP"] for i in range(40)]
    assert len(set(found)) == 40
    mine = [address for address in found if ipaddress.ip_address(address) in more]
    assert sorted(mine) == [f"10.200.0.{i}" for i in range(1, 7)]


async def test_a_range_that_is_deleted_or_not_ready_gives_no_address(web: Any) -> None:
    await add_range(web, "10.200.0.0/28")
    finalizers = {"metadata": {"finalizers": ["example.com/keep"]}}
    assert (await web("PATCH", f"{RANGES}/more", finalizers, headers=MERGE)).code == 200
    await web("DELETE", f"{RANGES}/more")
    assert MISMATCH in (await make(web, "a", "10.200.0.9"))["message"]
    await add_range(web, "10.200.0.0/27", "other")
    assert (await make(web, "a", "10.200.0.9")).code == 201
    await say_ready(web, "other", "False")
    assert "does not match the current range" in (await make(web, "b", "10.200.0.10"))["message"]


async def test_overlapping_ranges_never_give_one_address_twice(web: Any) -> None:
    await add_range(web, "10.200.0.0/29", "one")
    await add_range(web, "10.200.0.0/30", "two")
    await make(web, "a", "10.200.0.1")
    found = [(await make(web, f"s{i}"))["spec"]["clusterIP"] for i in range(30)]
    assert len({*found, "10.200.0.1"}) == 31
    assert (await web("DELETE", f"{SERVICES}/a")).code == 200
    assert (await make(web, "b", "10.200.0.1")).code == 201


@pytest.mark.parametrize("cidr", ["10.200.0.8/32", "10.200.0.8/31", "fd00::/120"])
async def test_a_range_without_usable_addresses_does_no_harm(web: Any, cidr: str) -> None:
    await add_range(web, cidr)
    assert [(await make(web, f"s{i}")).code for i in range(8)] == [201] * 8


async def test_ranges_count_again_after_a_restart(web: Any, server: Any) -> None:
    await add_range(web, "10.200.0.0/28")
    await make(web, "a", "10.200.0.9")
    await server.close()
    await server.open()
    assert "already allocated" in (await make(web, "b", "10.200.0.9"))["message"]
    assert (await make(web, "b", "10.200.0.10")).code == 201
