"""Runs a scenario of `test_repair.py` in network and mount namespaces that end with this program.

What it does to rules, links, addresses, routes and sysctls does not touch the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

from holdfast.network.notices import LinkNotices, RuleNotices
from holdfast.network.pods import forwarding, links, masquerade, ranges, state
from holdfast.network.pods.network import PodNetwork
from holdfast.world import real_world

PODS = [ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")]
SLICES = ranges.node_slices(PODS, 3)
FOUR, SIX = SLICES
WITHIN_S = 20.0
"""Less than the half minute after which somebody looks anyway."""
PORT = 8000
SERVE = f"""
import socket
with socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
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


async def linked(network, uid, pod):
    """Its addresses, once they lead to it."""
    addresses = await network.take(uid)
    await network.attach(uid, pod.namespace)
    return addresses


@contextlib.asynccontextmanager
async def pods(count):
    """A network that is looked after, and pods on it by uid: each with its address."""
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        network = PodNetwork("test", SLICES, Path(directory))
        await network.open()
        keeping = asyncio.create_task(network.keep(real_world().clock))
        made = {f"pod-{number}": Pod(stack) for number in range(count)}
        addresses = {uid: await linked(network, uid, pod) for uid, pod in made.items()}
        assert addresses["pod-0"] == ("10.244.3.2", "fd00:10:244:3::2")
        try:
            yield network, addresses
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await network.close()


async def reaches(address):
    try:
        async with asyncio.timeout(5):
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
    lines = [*run("ip", "route").splitlines(), *run("ip", "-6", "route").splitlines()]
    lines += run("ip", "-o", "address").splitlines()
    own = [line for line in lines if "10.244." in line or "fd00:10:" in line]
    own += ["IPv6 is passed on"] * forwarding.forwards(6)
    return [*own, *pod_links(), *run("nft", "list", "tables").split()]


def pod_links():
    return [line for line in run("ip", "-o", "link").splitlines() if ": hf" in line]


async def what_is_taken_away_comes_back():
    async with pods(2) as (_, addresses):
        (first, first6), (second, second6) = addresses.values()
        link = links.link_name("test", "pod-0")
        table = masquerade.table_name("test")
        listings = {family: run("nft", "list", "table", family, table) for family in ("ip", "ip6")}

        def is_whole():
            looped = all(state.is_own(slice.gateway) and state.loops(slice.node) for slice in SLICES)
            passed = forwarding.forwards(4) and forwarding.forwards(6)
            return looped and passed and all(has_listing(table, *listing) for listing in listings.items())

        for harm in (
            ["ip", "route", "del", f"{first}/32"],
            ["ip", "route", "del", f"{first6}/128"],
            ["ip", "address", "del", f"{links.ENTRANCE}/64", "dev", link],
            ["ip", "link", "set", link, "down"],
            ["ip", "link", "del", link],
            ["ip", "address", "del", f"{FOUR.gateway}/32", "dev", "lo"],
            ["ip", "address", "del", f"{SIX.gateway}/128", "dev", "lo"],
            ["ip", "route", "del", str(FOUR.node)],
            ["ip", "route", "del", str(SIX.node)],
            ["sysctl", "-qw", "net.ipv4.ip_forward=0"],
            ["sysctl", "-qw", "net.ipv6.conf.all.forwarding=0"],
            ["nft", "delete", "table", "ip", table],
            ["nft", "delete", "table", "ip6", table],
            ["nft", "flush", "chain", "ip", table, "forward"],
            ["nft", "flush", "chain", "ip6", table, "sent"],
            ["nft", "add", "rule", "ip", table, "postrouting", "drop"],
        ):
            run(*harm)
            await until(f"all is well after {harm}", is_whole)
            for address in (first, first6, second, second6):
                await until(f"{address} is reached after {harm}", lambda address=address: reaches(address))
    assert left() == []


def has_listing(table, family, listing):
    with contextlib.suppress(subprocess.CalledProcessError):
        return run("nft", "list", "table", family, table) == listing
    return False


async def no_pod_waits_for_its_second_address():
    """Nobody looks whether somebody else has it, or where it is: links have two ends."""
    async with pods(20) as (_, addresses):
        for address in [each[1] for each in addresses.values()]:
            assert await reaches(address)
            assert "PERMANENT" in run("ip", "neigh", "show", address)
        assert "tentative" not in run("ip", "-6", "address")


async def no_pod_is_asked_where_it_is():
    """The first packet of the very first moment gets there."""
    waits = []
    async with pods(1) as (network, _), contextlib.AsyncExitStack() as stack:
        for number in range(10):
            pod = Pod(stack)
            address = (await linked(network, f"late-{number}", pod))[1]
            connection = socket.socket(socket.AF_INET6)
            stack.callback(connection.close)
            connection.settimeout(20)
            begin = time.monotonic()
            connection.connect((address, PORT))
            waits.append(time.monotonic() - begin)
    assert statistics.median(waits) < 0.9, "the kernel asks again after a second"


async def pods_have_ipv6_on_machines_whose_new_links_have_none():
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    async with pods(1) as (_, addresses):
        assert await reaches(addresses["pod-0"][1])
    assert left() == []


async def without_ipv6_a_pod_that_comes_or_goes_changes_no_address_of_the_machine():
    """Browsers and others drop their connections when one comes or goes, whatever it is for."""
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        network, pod = PodNetwork("test", SLICES[:1], Path(directory)), Pod(stack)
        await network.open()
        before = run("ip", "-o", "address")
        (address,) = await linked(network, "pod", pod)
        assert await reaches(address)
        await asyncio.sleep(0.5)
        assert run("ip", "-o", "address") == before
        await network.close()
    assert left() == []


async def routers_go_on_telling_the_machine_and_pods_never_do():
    """A machine that passes packets on takes no default route any more, unless it is told to."""
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "link", "add", "off0", "type", "veth", "peer", "name", "off1")
    run("sysctl", "-qw", "net.ipv6.conf.off0.accept_ra=0")
    async with pods(1):
        assert [accepts(link) for link in ("up0", "up1", "off0", "default")] == ["2", "2", "0", "2"]
        (link,) = pod_links()
        assert accepts(link.split(": ")[1].partition("@")[0]) == "0"
    assert [accepts(link) for link in ("up0", "up1", "off0", "default")] == ["1", "1", "0", "1"]
    assert left() == []


def accepts(link):
    return Path(f"/proc/sys/net/ipv6/conf/{link}/accept_ra").read_text().strip()


async def what_was_switched_on_before_stays_so_and_the_last_cluster_puts_back_what_was_not():
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory:
        others = ranges.node_slices([ip_network("10.245.0.0/16"), ip_network("fd00:10:245::/56")], 0)
        networks = [PodNetwork(f"test-{n}", [SLICES, others][n], Path(directory, str(n))) for n in (0, 1)]
        for network in networks:
            await network.open()
        await networks[0].close()
        assert forwarding.forwards(6), "the other one needs it"
        await networks[1].close()
        assert left() == []
        run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        await networks[0].open()
        await networks[0].close()
        assert left() == ["IPv6 is passed on"]


async def a_node_that_leaves_takes_nothing_from_the_others():
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory:
        nodes = [PodNetwork("test", ranges.node_slices(PODS, n), Path(directory, str(n))) for n in (0, 1)]
        for node in nodes:
            await node.open()
        await nodes[0].close()
        assert masquerade.table_name("test") in run("nft", "list", "tables")
        assert forwarding.forwards(6)
        await nodes[1].close()
    assert left() == []


async def a_pod_of_before_there_was_a_second_family_keeps_its_one_address():
    """Its network namespace is found again, by a node that has two families by now."""
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        before, pod = PodNetwork("test", SLICES[:1], Path(directory)), Pod(stack)
        await before.open()
        (address,) = await linked(before, "old", pod)
        after = PodNetwork("test", SLICES, Path(directory))
        await after.recover({"old": (pod.namespace, (address,))})
        await after.open()
        await after.repair()
        assert "fd00:10:244:3::2" not in run("ip", "-6", "route")
        run("ip", "route", "del", f"{address}/32")
        await after.repair()
        assert await reaches(address)
        await after.close()
    assert left() == []


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
        (both,) = addresses.values()
        assert "default" not in run("ip", "route")
        for nobody in ("10.244.3.77", "10.244.3.254", "fd00:10:244:3::77", "fd00:10:244:3:9::1"):
            try:
                socket.create_connection((nobody, PORT), timeout=20).close()
            except ConnectionRefusedError:
                pass
            else:
                raise AssertionError(f"{nobody} answers")
        with contextlib.ExitStack() as stack:
            connections = [socket.create_connection((address, PORT), timeout=20) for address in both]
            for connection in connections:
                stack.enter_context(connection)
            await network.detach("pod-0")
            for connection in connections:
                assert await is_told(connection), f"nobody told {connection}"


async def is_told(connection, within_s=20):
    deadline = time.monotonic() + within_s
    try:
        while time.monotonic() < deadline:
            connection.sendall(b"x")
            await asyncio.sleep(0.02)
    except OSError as error:
        return error.errno in (errno.ECONNRESET, errno.EPIPE)
    return False


async def the_kernel_tells_of_the_table_asked_for():
    table, other, both = RuleNotices("t", [socket.AF_INET]), RuleNotices("u"), RuleNotices("t")
    run("nft", "add table ip t; add chain ip t c; add set ip t s { type ipv4_addr; }")
    assert (table.drain(), other.drain()) == (1, 0)
    run("nft", "add rule ip t c accept")
    run("nft", "add element ip t s { 192.0.2.1 }")
    assert (table.drain(), other.drain()) == (2, 0)
    run("nft", "list ruleset")
    both.drain()
    run("nft", "add table ip6 t")
    assert (table.drain(), both.drain()) == (0, 1)
    run("nft", "flush ruleset")
    assert (table.drain(), other.drain(), both.drain()) == (1, 0, 1)
    for notices in (table, other, both):
        notices.close()


async def the_kernel_tells_of_what_goes_and_not_of_what_comes():
    notices = LinkNotices()
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    run("ip", "route", "add", "198.51.100.0/24", "dev", "lo")
    assert notices.drain() == 0
    for loss in (["route", "del", "198.51.100.0/24"], ["address", "del", "192.0.2.1/32", "dev", "lo"]):
        run("ip", *loss)
        assert notices.drain() > 0
    run("ip", "address", "add", "2001:db8::1/128", "dev", "lo")
    run("ip", "route", "add", "2001:db8:1::/64", "dev", "lo")
    assert notices.drain() == 0
    for loss in (["route", "del", "2001:db8:1::/64"], ["address", "del", "2001:db8::1/128", "dev", "lo"]):
        run("ip", *loss)
        assert notices.drain() > 0
    for name, version in (("net.ipv4.ip_forward", 4), ("net.ipv6.conf.all.forwarding", 6)):
        run("sysctl", "-qw", f"{name}={1 - forwarding.forwards(version)}")
        assert notices.drain() > 0
    now = int(Path("/proc/sys/net/ipv6/conf/lo/forwarding").read_text())
    run("sysctl", "-qw", f"net.ipv6.conf.lo.forwarding={1 - now}")
    assert notices.drain() == 0, "a setting of one link"
    run("ip", "link", "set", "lo", "down")
    assert notices.drain() > 0
    notices.close()


SCENARIOS = {
    each.__name__: each
    for each in (
        what_is_taken_away_comes_back,
        no_pod_waits_for_its_second_address,
        no_pod_is_asked_where_it_is,
        pods_have_ipv6_on_machines_whose_new_links_have_none,
        without_ipv6_a_pod_that_comes_or_goes_changes_no_address_of_the_machine,
        routers_go_on_telling_the_machine_and_pods_never_do,
        what_was_switched_on_before_stays_so_and_the_last_cluster_puts_back_what_was_not,
        a_node_that_leaves_takes_nothing_from_the_others,
        a_pod_of_before_there_was_a_second_family_keeps_its_one_address,
        who_leaves_is_not_linked_again,
        addresses_that_no_pod_has_refuse_and_open_connections_are_reset,
        the_kernel_tells_of_the_table_asked_for,
        the_kernel_tells_of_what_goes_and_not_of_what_comes,
    )
}

if __name__ == "__main__":
    asyncio.run(SCENARIOS[sys.argv[1]]())
