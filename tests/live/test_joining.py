"""The API for other machines: where it answers, what is printed for them, what they get by it."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from holdfast.cluster.home import Home
from holdfast.cluster.joining.credentials import obtain
from holdfast.cluster.node_parts import host_address
from holdfast.wire.client import HttpClient
from holdfast.wire.tls import client_context
from holdfast.world import real_world

from .conftest import Cluster


@pytest.fixture(scope="module")
def cluster():
    """One that has listened on loopback only."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", "kubectl")
    try:
        cluster.up("--nodes", "0")
        yield cluster
    finally:
        cluster.holdfast("down", "--purge")
        shutil.rmtree(cluster.home.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def open_cluster(cluster):
    """The same on all addresses, from its second start on."""
    cluster.holdfast("down")
    cluster.up("--listen", "0.0.0.0")
    return cluster


async def status_at(address, port, home):
    """Of an answer from there, if it comes from who proves to be this cluster."""
    http = HttpClient(f"https://{address}:{port}", client_context(str(home / "ca.crt")))
    try:
        return (await http.request("GET", "/version", timeout=60)).status
    finally:
        await http.close()


def test_on_loopback_it_says_how_to_let_others_in(cluster):
    refused = cluster.holdfast("node", "token", check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        "holdfast: the API answers on loopback only, no other machine can reach it: holdfast down, then holdfast up "
        "--listen ADDRESS (0.0.0.0: all addresses of this machine)"
    )
    later = cluster.holdfast("up", "--no-merge", "--listen", "0.0.0.0", check=False)
    assert later.returncode == 1
    assert "--listen takes a new start" in later.stderr


def test_a_token_brings_a_machine_in_and_keeps_it_in(open_cluster, tmp_path):
    printed = open_cluster.holdfast("node", "token", "--ttl", "10m").stdout.split()
    assert printed[:3] == ["holdfast", "node", "--join"]
    server, token, ca_hash = printed[3], printed[5], printed[7]
    home = Home(tmp_path / "far")
    asyncio.run(obtain(server, token, ca_hash, "far", home, real_world()))
    assert {path.name for path in home.pki.iterdir()} == {"node-far.pem", "node-far-serving.pem"}
    rows = open_cluster.holdfast("node", "token", "list").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["TOKEN", token.partition(".")[0]]
    assert token.partition(".")[2] not in "".join(rows)
    open_cluster.holdfast("node", "token", "delete", token)
    assert open_cluster.holdfast("node", "token", "delete", token, check=False).returncode == 1
    asyncio.run(obtain(server, "", "", "far", home, real_world()))


def test_it_answers_on_every_address_and_proves_itself_there(open_cluster):
    port = json.loads((open_cluster.home / "cluster.json").read_text())["port"]
    for address in ("127.0.0.1", host_address()):
        assert asyncio.run(status_at(address, port, open_cluster.home)) == 200


def test_pods_and_newcomers_are_led_to_the_address_of_this_machine(open_cluster):
    port = json.loads((open_cluster.home / "cluster.json").read_text())["port"]
    info = open_cluster.kubectl("get", "cm", "-n", "kube-public", "cluster-info", "-o", "jsonpath={.data.kubeconfig}")
    assert f"server: https://{host_address()}:{port}\n" in info
    if host_address() != "127.0.0.1":  # endpoints may not lie in the loopback range
        (slice,) = open_cluster.get("endpointslices", "kubernetes")["endpoints"]
        assert slice["addresses"] == [host_address()]
    assert "https://127.0.0.1:" in (open_cluster.home / "kubeconfig").read_text()
