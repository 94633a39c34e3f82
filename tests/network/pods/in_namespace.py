"""Runs a scenario of `test_repair.py` in network and mount namespaces that end with this program.

What it does to rules, links, addresses, routes and sysctls does not touch the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Network
from pathlib import Path

from holdfast.network.notices import LinkNotices, RuleNotices
from holdfast.network.pods import links, masquerade, state
from holdfast.network.pods.network import PodNetwork
from holdfast.world import real_world

PODS, NODE = IPv4Network("10.244.0.0/16"), IPv4Network("10.244.3.0/24")
WITHIN_S = 5.0
PORT = 8000
SERVE = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT})) as listening:
    print(flush=True)
    kept = []
    while True:
        kept.append(listening.accept()[0])
"""


def run(*command):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


class Pod:
    """A network namespace, and a process in it that accepts connections."""

    def __init__(self, stack):
        ends_with_us = ["setpriv", "--pdeathsig", "KILL"]
        command = ["unshare", "--net", *ends_with_us, sys.executable, "-c", SERVE]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        stack.callback(self.process.stdout.close)
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)
        self.process.stdout.readline()
        self.namespace = f"/proc/{self.process.pid}/ns/net"


@contextlib.asynccontextmanager
async def pods(count):
    """A network that is looked after, and pods on it by uid: each with its address."""
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        network = PodNetwork("test", PODS, NODE, Path(directory))
        await network.open()
        keeping = asyncio.create_task(network.keep(real_world().clock))
        made = {f"pod-{number}": Pod(stack) for number in range(count)}
        addresses = {uid: await network.attach(uid, pod.namespace) for uid, pod in made.items()}
        try:
            yield network, addresses
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await network.close()


async def reaches(address):
    try:
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection(address, PORT)
    except OSError:
        return False
    writer.close()
    return True


async def until(what, holds, within_s=WITHIN_S):
    deadline = time.monotonic() + within_s
    while not (await found if asyncio.iscoroutine(found := holds()) else found):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)


def left():
    """What there is of pods' networks in this namespace."""
    routes = [line for line in run("ip", "route").splitlines() if "10.244." in line]
    addresses = [line for line in run("ip", "-o", "address").splitlines() if "10.244." in line]
    return [*routes, *addresses, *pod_links(), *run("nft", "list", "tables").split()]


def pod_links():
    return [line for line in run("ip", "-o", "link").splitlines() if ": hf" in line]


async def what_is_taken_away_comes_back():
    async with pods(2) as (network, addresses):
        first, second = addresses.values()
        await until("both are reached", lambda: reaches(first))
        link = links.link_name("test", "pod-0")
        table = masquerade.table_name("test")
        listing = run("nft", "list", "table", "ip", table)

        def is_whole():
            is_looped = state.is_own(network.gateway) and state.loops(NODE)
            return is_looped and state.forwards() and run("nft", "list", "tables") and has_listing(table, listing)

        for harm in (
            ["ip", "route", "del", f"{first}/32"],
            ["ip", "link", "set", link, "down"],
            ["ip", "link", "del", link],
            ["ip", "address", "del", f"{network.gateway}/32", "dev", "lo"],
            ["ip", "route", "del", str(NODE)],
            ["sysctl", "-qw", "net.ipv4.ip_forward=0"],
            ["nft", "delete", "table", "ip", table],
            ["nft", "flush", "chain", "ip", table, "forward"],
            ["nft", "add", "rule", "ip", table, "postrouting", "drop"],
        ):
            run(*harm)
            await until(f"all is well after {harm}", is_whole)
            for address in (first, second):
                await until(f"{address} is reached after {harm}", lambda address=address: reaches(address))
    assert left() == []


def has_listing(table, listing):
    with contextlib.suppress(subprocess.CalledProcessError):
        return run("nft", "list", "table", "ip", table) == listing
    return False


async def who_leaves_is_not_linked_again():
    async with pods(3) as (network, addresses):
        for uid in addresses:
            await network.detach(uid)
        await asyncio.sleep(1)
        assert pod_links() == []
    assert left() == []


async def addresses_that_no_pod_has_refuse_and_open_connections_are_reset():
    """Without a default route, too."""
    async with pods(1) as (network, addresses):
        (address,) = addresses.values()
        assert "default" not in run("ip", "route")
        for nobody in ("10.244.3.77", "10.244.3.254"):
            begin = time.monotonic()
            try:
                socket.create_connection((nobody, PORT), timeout=3).close()
            except ConnectionRefusedError:
                pass
            else:
                raise AssertionError(f"{nobody} answers")
            assert time.monotonic() - begin < 1
        with socket.create_connection((address, PORT), timeout=3) as connection:
            await network.detach("pod-0")
            deadline = time.monotonic() + 3
            try:
                while time.monotonic() < deadline:
                    connection.sendall(b"x")
                    await asyncio.sleep(0.02)
            except ConnectionResetError:
                return
            raise AssertionError("nobody told the client")


async def the_kernel_tells_of_the_table_asked_for():
    table, other = RuleNotices("t"), RuleNotices("u")
    run("nft", "add table ip t; add chain ip t c; add set ip t s { type ipv4_addr; }")
    assert (table.drain(), other.drain()) == (1, 0)
    run("nft", "add rule ip t c accept")
    run("nft", "add element ip t s { 192.0.2.1 }")
    assert (table.drain(), other.drain()) == (2, 0)
    run("nft", "list ruleset")
    run("nft", "add table ip6 t")
    assert table.drain() == 0
    run("nft", "flush ruleset")
    assert (table.drain(), other.drain()) == (1, 0)
    table.close()
    other.close()


async def the_kernel_tells_of_what_goes_and_not_of_what_comes():
    notices = LinkNotices()
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    run("ip", "route", "add", "198.51.100.0/24", "dev", "lo")
    assert notices.drain() == 0
    for loss in (["route", "del", "198.51.100.0/24"], ["address", "del", "192.0.2.1/32", "dev", "lo"]):
        run("ip", *loss)
        assert notices.drain() > 0
    forwards = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
    run("sysctl", "-qw", f"net.ipv4.ip_forward={1 - int(forwards)}")
    assert notices.drain() > 0
    run("ip", "link", "set", "lo", "down")
    assert notices.drain() > 0
    notices.close()


SCENARIOS = {
    each.__name__: each
    for each in (
        what_is_taken_away_comes_back,
        who_leaves_is_not_linked_again,
        addresses_that_no_pod_has_refuse_and_open_connections_are_reset,
        the_kernel_tells_of_the_table_asked_for,
        the_kernel_tells_of_what_goes_and_not_of_what_comes,
    )
}

if __name__ == "__main__":
    asyncio.run(SCENARIOS[sys.argv[1]]())
