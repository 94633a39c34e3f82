"""What a machine that has joined is to its parts: one node, with addresses and services of its own."""

from __future__ import annotations

import errno
import socket

import pytest

from holdfast.cluster import node_parts
from holdfast.cluster import settings as saved
from holdfast.cluster.agents_process import description
from holdfast.cluster.home import Home
from holdfast.cluster.joining.checks import CannotJoin
from holdfast.cluster.joining.facts import facts_of, joined_settings
from holdfast.cluster.joining.join import Asked, join
from holdfast.cluster.node_faults import Condition, NotDone, change
from holdfast.cluster.service_routing import machines
from holdfast.cluster.settings import Settings
from holdfast.world import SystemClock, real_world

FIRST = Settings(chosen="oci", pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")
JOINED = joined_settings(facts_of(FIRST), "https://127.0.0.1:6443", "far", 64)


def test_services_are_routed_for_its_own_node_and_by_its_own_address():
    (here,) = machines(JOINED)
    assert {name: str(network) for name, network in here.nodes.items()} == {"far": "10.244.64.0/24"}
    assert (str(here.pods), here.gateway) == ("10.244.0.0/16", "10.244.64.1")


def test_a_first_machine_without_nodes_still_knows_its_gateway():
    (here,) = machines(FIRST.changed(nodes=0))
    assert (dict(here.nodes), here.gateway) == ({}, "10.244.0.1")


def test_its_address_is_the_one_by_which_it_reaches_the_api():
    assert node_parts.node_addresses(JOINED, 0) == ("127.0.0.1",)
    assert node_parts.server_address(JOINED) == "127.0.0.1"
    assert node_parts.server_address(JOINED.changed(server="https://[2001:db8::5]:6443")) == ""


def test_its_agent_is_at_the_port_by_which_agents_are_known_or_at_another(monkeypatch):
    asked = []

    def create_server(address, backlog):
        asked.append(address)
        if address[1] == 10250 and len(asked) > 1:
            raise OSError(errno.EADDRINUSE, "taken")
        return address

    monkeypatch.setattr(socket, "create_server", create_server)
    assert node_parts.listen_for_others("192.168.1.9") == ("192.168.1.9", 10250)
    assert node_parts.listen_for_others("192.168.1.9") == ("192.168.1.9", 0)


def test_agents_with_another_slice_are_replaced():
    here, elsewhere = (description(JOINED.changed(first_slice=number), JOINED.server) for number in (64, 65))
    assert here != elsewhere


def test_what_is_saved_is_read_again(tmp_path):
    saved.save(tmp_path / "cluster.json", JOINED)
    assert saved.load(tmp_path / "cluster.json") == JOINED


async def test_its_node_is_not_taken_away_by_name(tmp_path):
    home = Home(tmp_path)
    saved.save(home.settings, JOINED)
    with pytest.raises(NotDone, match="far has joined a cluster"):
        await change(home, "far", Condition.STOPPED, SystemClock())


async def test_the_first_time_takes_a_token(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.cluster.joining.join._check_machine", lambda home: None)
    with pytest.raises(CannotJoin, match="takes --token and --ca-hash: `holdfast node token`"):
        await join(Home(tmp_path / "h"), Asked("127.0.0.1:1", name="far"), real_world(), print)


async def test_without_root_a_machine_does_not_join(tmp_path, monkeypatch):
    found = FIRST.changed(is_rootless=True)
    monkeypatch.setattr("holdfast.cluster.joining.join.decide", lambda *given, **more: found)
    with pytest.raises(CannotJoin, match="as root only"):
        await join(Home(tmp_path / "h"), Asked("127.0.0.1:1", name="far"), real_world(), print)
