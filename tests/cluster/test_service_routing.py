"""Where services are routed, and what the router is told of the machine."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from holdfast.cluster import network_part
from holdfast.cluster.home import Home
from holdfast.cluster.service_routing import ServiceRouting, machines
from holdfast.cluster.settings import Settings
from holdfast.cluster.shown import Identity
from holdfast.network.pods.masquerade import table_name
from holdfast.network.services import machine as services_machine
from holdfast.network.tables import nftables
from holdfast.world import real_world

SETTINGS = Settings(nodes=2, pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16", runtime="oci")


def routing(tmp_path, settings=SETTINGS):
    identity = Identity(Home(tmp_path), "https://127.0.0.1:1", "n1")
    return ServiceRouting(Home(tmp_path), settings, identity, real_world())


@pytest.mark.parametrize(
    ("runtime", "installed", "reason"),
    [
        ("simulated", True, "pods of the runtime 'simulated' have no network of their own"),
        ("process", True, "pods of the runtime 'process' have no network of their own"),
        ("oci", False, "nftables is not installed"),
    ],
)
async def test_where_services_cannot_be_routed_it_says_why_once(
    tmp_path, monkeypatch, caplog, runtime, installed, reason
):
    monkeypatch.setattr(nftables, "open_nftables", lambda: object() if installed else None)
    with caplog.at_level(logging.INFO):
        made = routing(tmp_path, SETTINGS.changed(runtime=runtime))
        await made.run()
        await made.close()
    assert [record.getMessage() for record in caplog.records] == [
        f'services are not routed on this machine reason="{reason}"'
        if "'" in reason
        else f"services are not routed on this machine reason='{reason}'"
    ]


async def test_routing_that_breaks_is_begun_anew(tmp_path, monkeypatch, caplog):
    made = routing(tmp_path)
    attempts = []

    async def breaks():
        attempts.append(1)
        raise ValueError("broken") if len(attempts) < 3 else asyncio.CancelledError

    monkeypatch.setattr(network_part, "RESTART_AFTER_S", 0)
    monkeypatch.setattr(nftables, "open_nftables", object)
    monkeypatch.setattr(made, "_run", breaks)
    with pytest.raises(asyncio.CancelledError):
        await made.run()
    assert len(attempts) == 3


async def test_what_a_killed_process_left_is_taken_away_by_any_other(tmp_path, monkeypatch):
    asked = []

    class Nft:
        def run(self, commands):
            asked.append(commands)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(nftables, "open_nftables", Nft)
    monkeypatch.setattr(services_machine, "remove_route", lambda services, gateway: None)
    await routing(tmp_path).close()
    table = f"{table_name(str(tmp_path))}-services"
    assert asked == [f"table ip {table}\ndelete table ip {table}\n"]


def test_every_node_is_on_this_machine_and_the_first_ones_gateway_stands_for_it():
    (here,) = machines(SETTINGS)
    assert [str(network) for network in here.nodes.values()] == ["10.244.0.0/24", "10.244.1.0/24"]
    assert list(here.nodes) == SETTINGS.node_names()
    assert (str(here.pods), str(here.services), here.gateway) == ("10.244.0.0/16", "10.96.0.0/16", "10.244.0.1")


def test_a_cluster_with_two_families_is_routed_in_each():
    both = SETTINGS.changed(pod_cidr="10.244.0.0/16,fd00:10:244::/56", service_cidr="10.96.0.0/16,fd00:10:96::/112")
    _, six = machines(both)
    assert [str(network) for network in six.nodes.values()] == ["fd00:10:244::/64", "fd00:10:244:1::/64"]
    assert (six.family.name, str(six.services), six.gateway) == ("IPv6", "fd00:10:96::/112", "fd00:10:244::1")
