"""Where network policies are enforced, and what the keeper is told of the machine."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest

from holdfast.cluster import network_part
from holdfast.cluster.home import Home
from holdfast.cluster.policy_enforcement import PolicyEnforcement
from holdfast.cluster.policy_enforcement import machine as machine_of
from holdfast.cluster.settings import Settings
from holdfast.cluster.shown import Identity
from holdfast.network.pods.masquerade import table_name
from holdfast.network.tables import nftables
from holdfast.world import real_world

SETTINGS = Settings(nodes=2, pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16", runtime="oci")


def enforcement(tmp_path, settings=SETTINGS):
    identity = Identity(Home(tmp_path), "https://127.0.0.1:1", "n1")
    return PolicyEnforcement(Home(tmp_path), settings, identity, real_world())


@pytest.mark.parametrize(
    ("runtime", "installed", "reason"),
    [
        ("simulated", True, "pods of the runtime 'simulated' have no network of their own"),
        ("process", True, "pods of the runtime 'process' have no network of their own"),
        ("oci", False, "nftables is not installed"),
    ],
)
async def test_where_policies_cannot_be_enforced_it_says_why_once_and_no_pod_waits(
    tmp_path, monkeypatch, caplog, runtime, installed, reason
):
    monkeypatch.setattr(nftables, "open_nftables", lambda: object() if installed else None)
    with caplog.at_level(logging.INFO):
        made = enforcement(tmp_path, SETTINGS.changed(runtime=runtime))
        assert not made.gate.is_open
        await made.run()
        await made.gate.admit("uid", ("10.244.0.2",))
        await made.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"network policies are not enforced on this machine reason={reason!r}"
    ]


async def test_enforcement_that_breaks_is_begun_anew(tmp_path, monkeypatch):
    made = enforcement(tmp_path)
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

    monkeypatch.setattr(nftables, "open_nftables", Nft)
    both = SETTINGS.changed(pod_cidr="10.244.0.0/16,fd00:10:244::/56", service_cidr="10.96.0.0/16,fd00:10:96::/112")
    await enforcement(tmp_path, both).close()
    table = f"{table_name(str(tmp_path))}-policies"
    assert asked == [f"table {each} {table}\ndelete table {each} {table}\n" for each in ("ip", "ip6")]


def test_the_machine_is_its_nodes_and_where_its_pods_ask_for_names(tmp_path):
    machine = partial(machine_of, Home(tmp_path))
    (here,) = machine(SETTINGS)
    assert (here.version, list(here.nodes), here.dns) == (4, SETTINGS.node_names(), ("10.244.0.1",))
    assert machine(SETTINGS.changed(without=("dns",)))[0].dns == ()
    joined = SETTINGS.changed(nodes=1, first_slice=64, server="https://192.0.2.1:6443", name="far")
    assert machine(joined)[0].dns == ("10.244.64.1", "10.244.0.1"), "its own, and the first machine's"
