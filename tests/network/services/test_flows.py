"""UDP flows that are forgotten, and the kernel's words for them: D48, R94."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from holdfast.network.services.conntrack import Flow, flows
from holdfast.network.services.flows import Entrances
from holdfast.network.services.routes import routes

from .builders import endpoint, service, slice_of


def udp(*addresses, port=53, **spec):
    manifest = service(ports=[{"name": "http", "port": port, "protocol": "UDP", "nodePort": 30053}], **spec)
    return routes(manifest, [slice_of(*map(endpoint, addresses), protocol="UDP")], ["one"])


def flow(to, answered_by):
    return Flow(to, answered_by, b"")


@pytest.mark.parametrize(
    ("to", "answered_by", "is_stale"),
    [
        pytest.param(("10.96.0.10", 53), ("10.244.0.2", 8080), True, id="to an endpoint that is gone"),
        pytest.param(("10.96.0.10", 53), ("10.244.0.3", 8080), False, id="to one that is there"),
        pytest.param(("10.96.0.10", 53), ("10.96.0.10", 53), True, id="from before there were rules"),
        pytest.param(("10.96.0.11", 53), ("10.244.0.2", 8080), False, id="to another service"),
        pytest.param(("10.96.0.10", 54), ("10.244.0.2", 8080), False, id="to another port"),
        pytest.param(("192.0.2.2", 30053), ("10.244.0.2", 8080), True, id="by the node port"),
        pytest.param(("203.0.113.1", 30053), ("203.0.113.1", 30053), False, id="to a stranger's port of that number"),
        pytest.param(("198.51.100.1", 53), ("10.244.0.2", 8080), True, id="by an external address"),
    ],
)
def test_d48_flows_are_stale_whose_endpoint_is_gone(to, answered_by, is_stale):
    entrances = Entrances()
    before, after = (udp(*addresses, externalIPs=["198.51.100.1"]) for addresses in (["10.244.0.2"], ["10.244.0.3"]))
    entrances.add(before, after)
    assert entrances.is_stale(flow(to, answered_by)) is is_stale


def test_flows_to_a_service_that_is_gone_are_stale():
    entrances = Entrances()
    entrances.add(udp("10.244.0.2"), ())
    assert entrances.is_stale(flow(("10.96.0.10", 53), ("10.244.0.2", 8080)))


def test_an_address_that_moved_to_another_service_keeps_that_services_flows():
    entrances = Entrances()
    entrances.add((), udp("10.244.0.3"))
    entrances.add(udp("10.244.0.2"), ())
    assert not entrances.is_stale(flow(("10.96.0.10", 53), ("10.244.0.3", 8080)))


def test_d48_tcp_is_left_alone():
    entrances = Entrances()
    entrances.add(routes(service(), [slice_of(endpoint("10.244.0.2"))], ["one"]), ())
    assert not entrances


def attribute(kind, data):
    padding = b"\0" * (-len(data) % 4)
    return struct.pack("=HH", 4 + len(data), kind) + data + padding


def direction(kind, protocol, source, destination):
    """A tuple as ctnetlink writes it."""
    first = 3 if ":" in source[0] else 1
    ends = enumerate((source, destination), first)
    addresses = b"".join(attribute(n, ip_address(end[0]).packed) for n, end in ends)
    ports = b"".join(attribute(n, end[1].to_bytes(2, "big")) for n, end in ((2, source), (3, destination)))
    inner = attribute(0x8001, addresses) + attribute(0x8002, attribute(1, bytes([protocol])) + ports)
    return attribute(0x8000 | kind, inner), inner


def test_the_kernels_words_are_read():
    client, virtual, pod = ("10.244.0.9", 40000), ("10.96.0.10", 53), ("10.244.0.2", 8080)
    original, raw = direction(1, socket.IPPROTO_UDP, client, virtual)
    reply, _ = direction(2, socket.IPPROTO_UDP, pod, client)
    timeout = attribute(7, (30).to_bytes(4, "big"))
    of_tcp = direction(1, socket.IPPROTO_TCP, client, virtual)[0] + direction(2, socket.IPPROTO_TCP, pod, client)[0]
    found = list(flows(iter([original + reply + timeout, of_tcp])))
    assert found == [Flow(virtual, pod, raw)]


def test_d48_the_kernels_words_for_ipv6_are_read():
    client, virtual, pod = ("fd00:10:244::9", 40000), ("fd00:10:96::a", 53), ("fd00:10:244::2", 8080)
    original, raw = direction(1, socket.IPPROTO_UDP, client, virtual)
    reply, _ = direction(2, socket.IPPROTO_UDP, pod, client)
    assert list(flows(iter([original + reply]))) == [Flow(virtual, pod, raw)]
