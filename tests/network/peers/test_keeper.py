"""The routes follow the Nodes, through an imagined kernel and through the real one in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from holdfast.network.peers.keeper import PeerRoutes
from holdfast.network.peers.plan import Far, Here, Route

from .test_plan import NOBODY, PODS, node

SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
FAR = ip_network("10.244.64.0/24")


class Kernel:
    def __init__(self):
        self.routes = {Route(ip_network("10.244.99.0/24"), ip_address("192.168.1.99"), 7)}
        self.refuses = ()

    def reach(self, addresses):
        return dict.fromkeys(addresses, 7)

    def present(self, pods):
        return set(self.routes)

    def put(self, route):
        if str(route.network) in self.refuses:
            raise OSError("not now")
        self.routes = {each for each in self.routes if each.network != route.network} | {route}

    def remove(self, route):
        self.routes.discard(route)


class Nodes:
    def __init__(self, *nodes):
        self.nodes = nodes

    def of(self, resource):
        return self

    def list(self):
        return list(self.nodes)


@pytest.fixture
def kernel():
    return Kernel()


def keeper(nodes, kernel, told=None):
    told = {} if told is None else told
    return PeerRoutes(
        nodes, None, Here(("vm",), (PODS,)), "t", lambda others, problems: told.update(problems), machine=kernel
    )


async def test_what_a_killed_process_has_left_and_nobody_wants_is_removed(kernel):
    await keeper(Nodes(node("far", str(FAR), addresses=["192.168.1.9"])), kernel).keep()
    assert kernel.routes == {NOBODY, Route(FAR, ip_address("192.168.1.9"), 7)}


async def test_a_route_moves_with_its_node_and_goes_with_it(kernel):
    nodes = Nodes(node("far", str(FAR), addresses=["192.168.1.9"]))
    routes = keeper(nodes, kernel)
    await routes.keep()
    nodes.nodes = (node("far", str(FAR), addresses=["192.168.1.10"]),)
    await routes.keep()
    assert Route(FAR, ip_address("192.168.1.10"), 7) in kernel.routes
    assert len(kernel.routes) == 2
    nodes.nodes = ()
    await routes.keep()
    assert kernel.routes == {NOBODY}


async def test_one_that_the_kernel_refuses_does_not_keep_others_from_theirs_and_is_tried_again(kernel):
    kernel.refuses = (str(FAR),)
    nodes = Nodes(
        node("far", str(FAR), addresses=["192.168.1.9"]),
        node("third", "10.244.65.0/24", addresses=["192.168.1.8"]),
    )
    with pytest.raises(OSError, match=r"10\.244\.64\.0/24: not now"):
        await keeper(nodes, kernel, told := {}).keep()
    assert told == {"far": "the kernel refuses a route to 10.244.64.0/24: not now"}
    assert {str(route.network) for route in kernel.routes} == {"10.244.0.0/16", "10.244.65.0/24"}


async def test_who_has_to_tell_is_given_what_cannot_be_reached(kernel):
    kernel.reach = lambda addresses: dict.fromkeys(addresses, Far.BEYOND)
    told = {}
    await keeper(Nodes(node("far", str(FAR), addresses=["192.168.1.9"])), kernel, told).keep()
    assert told["far"].startswith("192.168.1.9 is behind a router")


REAL = """
import socket, subprocess
from ipaddress import ip_address, ip_network
from holdfast.network.peers import kernel
from holdfast.network.peers.plan import Far, Route

def ip(*words):
    subprocess.run(["ip", *words], check=True)

ip("link", "set", "lo", "up")
ip("link", "add", "wire", "type", "veth", "peer", "name", "end")
for end in ("wire", "end"):
    ip("link", "set", end, "up")
ip("address", "add", "192.168.7.1/24", "dev", "wire")
ip("address", "add", "2001:db8:7::1/64", "dev", "wire", "nodad")
ip("route", "add", "10.9.0.0/16", "via", "192.168.7.254")
wire = socket.if_nametoindex("wire")
wanted = {"192.168.7.1": Far.OWN, "192.168.7.9": wire, "10.9.0.1": Far.BEYOND, "203.0.113.1": Far.NOWHERE,
          "2001:db8:7::9": wire, "2001:db8:9::1": Far.NOWHERE}
assert kernel.reach(map(ip_address, wanted)) == {ip_address(each): reach for each, reach in wanted.items()}

pods = [ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")]
routes = {
    Route(pods[0]), Route(pods[1]),
    Route(ip_network("10.244.64.0/24"), ip_address("192.168.7.9"), wire),
    Route(ip_network("fd00:10:244:40::/64"), ip_address("2001:db8:7::9"), wire),
}
ip("route", "add", "10.244.3.0/24", "dev", "lo")
assert kernel.present(pods) == set()
for _ in range(2):
    for route in routes:
        kernel.put(route)
assert kernel.present(pods) == routes, kernel.present(pods)
assert kernel.present(pods[:1]) == {each for each in routes if each.network.version == 4}
moved = Route(ip_network("10.244.64.0/24"), ip_address("192.168.7.10"), wire)
kernel.put(moved)
assert {each for each in kernel.present(pods) if each.network == moved.network} == {moved}
for _ in range(2):
    for route in (moved, *routes):
        kernel.remove(route)
assert kernel.present(pods) == set()
assert "10.244.3.0/24" in subprocess.run(["ip", "route"], capture_output=True, text=True).stdout
"""


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip", path=SEARCH), reason="needs root and ip")
def test_the_kernel_is_told_and_asked():
    environment = {"PATH": SEARCH, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    command = ["unshare", "--net", sys.executable, "-W", "error", "-c", REAL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
