"""Pods have no link before what policies say of them holds."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from holdfast.network.pods import links
from holdfast.network.pods.gate import Gate
from holdfast.network.pods.network import PodNetwork
from holdfast.network.pods.ranges import Slice

SLICES = [
    Slice(ip_network("10.244.0.0/16"), ip_network("10.244.0.0/24")),
    Slice(ip_network("fd00:10:244::/56"), ip_network("fd00:10:244::/64")),
]


@pytest.fixture
def done(monkeypatch):
    """What is done to links."""
    found = []
    monkeypatch.setattr(links, "attach", lambda name, path, addresses: found.append("attached"))
    monkeypatch.setattr(links, "detach", lambda name: found.append("detached"))
    return found


async def test_a_pod_waits_for_its_policies_before_it_has_a_link_and_leaves_after_it(tmp_path, done):
    gate, told = Gate(is_open=False), []
    network = PodNetwork("c", SLICES, tmp_path, gate)
    gate.close(lambda uid: told.append((uid, gate.told.get(uid))))
    attaching = asyncio.create_task(network.attach("uid", "/nowhere"))
    while not told:  # noqa: ASYNC110 -- nothing else tells
        await asyncio.sleep(0)
    assert told == [("uid", ("10.244.0.2", "fd00:10:244::2"))]
    assert done == []
    gate.let_in("uid")
    await attaching
    assert done == ["attached"]
    await network.detach("uid")
    assert told[1:] == [("uid", None)]


async def test_a_pod_that_is_not_let_in_has_no_link(tmp_path, done):
    gate = Gate(is_open=False)
    gate.close(gate.turn_away)
    with pytest.raises(OSError, match="the pod has been deleted"):
        await PodNetwork("c", SLICES, tmp_path, gate).attach("uid", "/nowhere")
    assert done == []


async def test_pods_of_an_earlier_process_are_known_by_the_addresses_that_they_were_told(tmp_path, done):
    gate = Gate()
    network = PodNetwork("c", SLICES, tmp_path, gate)
    await network.attach("uid", "/nowhere")
    again = PodNetwork("c", SLICES, tmp_path, after := Gate(is_open=False))
    await again.recover({"uid": ("/nowhere", ("10.244.0.2", "fd00:10:244::2"))})
    assert after.told == gate.told
    await again.recover({})
    assert after.told == {}


async def test_without_policies_a_pod_does_not_wait(tmp_path, done):
    await PodNetwork("c", SLICES, tmp_path).attach("uid", "/nowhere")
    assert done == ["attached"]


async def test_who_waits_comes_in_when_there_is_nothing_to_wait_for(tmp_path, done):
    gate = Gate(is_open=False)
    gate.close(lambda uid: gate.open())
    await PodNetwork("c", SLICES, tmp_path, gate).attach("uid", "/nowhere")
    assert done == ["attached"]
