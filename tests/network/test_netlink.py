"""Netlink by hand: messages and attributes, what the kernel refuses, and links and routes in a namespace of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.network.netlink import Netlink, attribute, attributes
from holdfast.network.rtnetlink import LOCAL, NO_DAD, ON_LINK, UNICAST, Route, RtNetlink
from holdfast.world import linux

IP = shutil.which("ip", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
in_own_namespace = pytest.mark.skipif(os.geteuid() != 0 or IP is None, reason="needs root and iproute2")
ERROR, DONE, ROUTE, INTERRUPTED = 2, 3, 24, 0x10


# -- messages


class Kernel:
    """A socket whose answers are given beforehand."""

    def __init__(self, *received: bytes) -> None:
        self.sent: list[bytes] = []
        self._received = list(received)

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def recv(self, most: int) -> bytes:
        return self._received.pop(0)


def netlink(*received: bytes) -> tuple[Netlink, Kernel]:
    made = Netlink()
    made._socket, made._number = Kernel(*received), 0  # type: ignore[assignment]
    return made, made._socket  # type: ignore[return-value]


def message(kind: int, body: bytes, *, number: int = 1, flags: int = 0) -> bytes:
    padding = bytes(-len(body) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body + padding


def code(number: int) -> bytes:
    return struct.pack("=i", -number)


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40)), st.binary(max_size=16))
def test_attributes_are_read_as_they_were_written(told, header):
    body = header + b"".join(attribute(number, value) for number, value in told.items())
    assert attributes(body, len(header)) == told


@given(st.binary(max_size=64))
def test_whatever_the_attributes_are_reading_them_comes_to_an_end(body):
    for value in attributes(body, 0).values():
        assert len(value) <= len(body)


def test_an_order_that_is_refused_is_an_error_with_the_kernels_number():
    made, _ = netlink(message(ERROR, code(errno.EEXIST)))
    with pytest.raises(FileExistsError):
        made.order(ROUTE, 0, b"")


def test_answers_to_an_earlier_question_are_passed_over():
    late = message(ERROR, code(errno.EEXIST), number=0) + message(ROUTE, b"late", number=0)
    made, _ = netlink(late + message(ROUTE, b"this"), message(ERROR, code(0)))
    assert made.ask(ROUTE, b"") == b"this"


def test_a_question_with_another_number_of_answers_than_one_is_an_error():
    made, _ = netlink(message(ERROR, code(0)))
    with pytest.raises(OSError, match="0 answers"):
        made.ask(ROUTE, b"")


def test_a_dump_comes_in_parts_of_any_number():
    made, kernel = netlink(
        message(ROUTE, b"one.") + message(ROUTE, b"two"), message(ROUTE, b"3"), message(DONE, code(0))
    )
    assert made.dump(ROUTE, b"") == [b"one.", b"two", b"3"]
    assert len(kernel.sent) == 1


def test_a_dump_during_which_something_changed_is_asked_for_again():
    made, kernel = netlink(
        message(ROUTE, b"one", flags=INTERRUPTED) + message(DONE, code(0)),
        message(ROUTE, b"one", number=2) + message(ROUTE, b"two", number=2) + message(DONE, code(0), number=2),
    )
    assert made.dump(ROUTE, b"") == [b"one", b"two"]
    assert len(kernel.sent) == 2


# -- the kernel


def in_namespace(work: Callable[[RtNetlink], Any]) -> Any:
    """What it comes to in a network namespace that has nothing but a loopback link, and ends with it."""

    def enter_and_work() -> Any:
        linux.unshare(linux.CLONE_NEWNET)
        with RtNetlink() as netlink:
            netlink.set_up(netlink.link("lo").index)
            return work(netlink)

    return linux.in_new_thread(enter_and_work)


def until(holds: Callable[[], bool], within_s: float = 10) -> None:
    """The kernel takes what is sent to a new address of IPv6 a moment later than it says."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def ip(*arguments: str) -> Any:
    """As iproute2 sees it: a program is in the namespace of the thread that starts it."""
    done = subprocess.run([str(IP), "-json", "-details", *arguments], check=True, capture_output=True)
    return json.loads(done.stdout or "[]")


def pair(netlink: RtNetlink) -> int:
    """One end of a pair whose other end is in the same namespace."""
    with open("/proc/thread-self/ns/net", "rb") as own:
        netlink.add_pair("here", "there", own.fileno())
    for name in ("here", "there"):
        netlink.set_up(netlink.link(name).index)
    return netlink.link("here").index


@in_own_namespace
def test_both_ends_of_a_pair_are_made_come_up_and_go_together():
    def work(netlink: RtNetlink) -> None:
        index = pair(netlink)
        seen = {link["ifname"]: link for link in ip("link")}
        assert seen["here"]["ifindex"] == index
        assert seen["here"]["linkinfo"] == {"info_kind": "veth"}
        assert seen["there"]["address"] == netlink.link("there").address
        assert netlink.link(index) == netlink.link("here")
        assert netlink.link("here").is_operating
        netlink.remove_link(index)
        for name in ("here", "there"):
            with pytest.raises(OSError, match="No such device") as refused:
                netlink.link(name)
            assert refused.value.errno == errno.ENODEV

    in_namespace(work)


@in_own_namespace
def test_an_end_is_put_into_the_namespace_that_is_named():
    def work(netlink: RtNetlink) -> None:
        def enter_and_look() -> None:
            linux.unshare(linux.CLONE_NEWNET)
            with open("/proc/thread-self/ns/net", "rb") as there, RtNetlink() as other:
                netlink.add_pair("here", "there", there.fileno())
                assert other.link("there").address != netlink.link("here").address
                with pytest.raises(OSError, match="No such device"):
                    other.link("here")

        linux.in_new_thread(enter_and_look)

    in_namespace(work)


@in_own_namespace
@pytest.mark.parametrize(("address", "prefix"), [("10.9.0.5", 24), ("fd00:9::5", 64)])
def test_addresses_are_added_once_and_removed(address, prefix):
    address = ip_address(address)

    def work(netlink: RtNetlink) -> None:
        index = pair(netlink)
        netlink.add_address(index, address, prefix, NO_DAD if address.version == 6 else 0)
        held = [one for one in ip("address", "show", "here")[0]["addr_info"] if one["scope"] != "link"]
        assert [(one["local"], one["prefixlen"], one.get("nodad", False)) for one in held] == [
            (str(address), prefix, address.version == 6)
        ]
        with pytest.raises(FileExistsError):
            netlink.add_address(index, address, prefix)
        netlink.remove_address(index, address, prefix)
        with pytest.raises(OSError, match="Cannot assign") as refused:
            netlink.remove_address(index, address, prefix)
        assert refused.value.errno == errno.EADDRNOTAVAIL

    in_namespace(work)


ROUTES = [
    ("10.9.0.1/24", "10.99.0.0/16", {"gateway": "10.9.0.7"}),
    ("10.9.0.1/24", "10.99.0.4/32", {"scope": ON_LINK, "source": "10.9.0.1"}),
    ("10.9.0.1/24", "0.0.0.0/0", {"gateway": "10.9.0.7"}),
    ("fd00:9::1/64", "fd00:99::/48", {"gateway": "fd00:9::7"}),
    ("fd00:9::1/64", "fd00:99::4/128", {"source": "fd00:9::1"}),
    ("fd00:9::1/64", "::/0", {"gateway": "fd00:9::7"}),
]


@in_own_namespace
@pytest.mark.parametrize(("own", "to", "told"), ROUTES)
def test_a_route_is_read_as_it_was_put_by_its_maker_and_removed(own, to, told):
    address, _, prefix = own.partition("/")
    given = {name: ip_address(value) if isinstance(value, str) else value for name, value in told.items()}

    def work(netlink: RtNetlink) -> None:
        index = pair(netlink)
        netlink.add_address(index, ip_address(address), int(prefix), NO_DAD)
        route = Route(ip_network(to), index, **given, protocol=104)
        netlink.replace_route(route)
        netlink.replace_route(route)
        version = route.to.version
        assert netlink.routes(version, 104) == [route]
        assert netlink.routes(10 - version, 104) == []
        listed = ip(f"-{version}", "route", "show", "proto", "104")
        assert [(one["dev"], one.get("gateway"), one.get("prefsrc")) for one in listed] == [
            ("here", told.get("gateway"), told.get("source"))
        ]
        inside = route.to[9] if route.to.num_addresses > 1 else route.to[0]
        way = netlink.way_to(inside)
        assert (way.link, way.gateway, way.kind) == (index, route.gateway, UNICAST)
        until(lambda: netlink.way_to(ip_address(address)).kind == LOCAL)
        netlink.remove_route(route)
        assert netlink.routes(version, 104) == []
        with pytest.raises(ProcessLookupError):
            netlink.remove_route(route)

    in_namespace(work)


@in_own_namespace
def test_where_no_way_leads_is_an_error():
    def work(netlink: RtNetlink) -> None:
        with pytest.raises(OSError, match="unreachable"):
            netlink.way_to(ip_address("192.0.2.1"))

    in_namespace(work)


@in_own_namespace
def test_of_a_thousand_routes_all_are_listed():
    def work(netlink: RtNetlink) -> None:
        index = pair(netlink)
        routes = {Route(ip_network(f"10.{n // 250}.{n % 250}.0/24"), index, scope=ON_LINK) for n in range(1000)}
        for route in routes:
            netlink.replace_route(route)
        assert set(netlink.routes(4, 4)) == routes
        assert netlink.routes(4, 104) == []

    in_namespace(work)


@in_own_namespace
def test_a_neighbour_is_known_for_good():
    def work(netlink: RtNetlink) -> None:
        index = pair(netlink)
        for address in ("fd00:9::7", "10.9.0.7"):
            netlink.know(index, ip_address(address), "02:00:00:00:00:07")
        known = {one["dst"]: (one["lladdr"], one["state"]) for one in ip("neighbour", "show", "dev", "here")}
        assert known == dict.fromkeys(("fd00:9::7", "10.9.0.7"), ("02:00:00:00:00:07", ["PERMANENT"]))

    in_namespace(work)


def test_a_socket_is_closed_afterwards():
    with Netlink() as made:
        assert made._socket.fileno() > 0
    assert made._socket.fileno() == -1
