"""Plain questions are answered by hand: exactly as the library answers them, whatever the bytes (R100)."""

from __future__ import annotations

import random

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.network.dns import message, quick
from holdfast.network.dns.forward import Forwarder
from holdfast.network.dns.records import Zone
from holdfast.network.dns.resolver import Resolver
from holdfast.world import real_world

from .builders import alias, endpoint, service, slice_of

MANY = [endpoint(f"10.244.1.{number}", hostname=f"many-{number}") for number in range(1, 101)]


def zone() -> Zone:
    made = Zone("cluster.local", random.Random(1))
    made.set_namespace("default", True)
    for name in ("nginx", "many"):
        made.set_service(f"default/{name}", service(name))
    made.set_service("default/db", alias("db", "db.example.com"))
    made.set_slice("default/nginx", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0"), endpoint("fd00::7")))
    made.set_slice("default/many", slice_of("many", *MANY))
    return made


ZONE = zone()
NAMES = (
    "nginx.default.svc.cluster.local",
    "Web-0.Nginx.Default.svc.cluster.local",
    "many.default.svc.cluster.local",
    "nope.default.svc.cluster.local",
    "web-0.nginx.default.svc.cluster.local.default.svc.cluster.local",
    "default.svc.cluster.local",
    "svc.cluster.local",
    "cluster.local",
    "fd00--7.nginx.default.svc.cluster.local",
)


def query(name: str, type: str = "A", edns: int | None = None, ad: int = 0) -> bytes:
    asked = dnslib.DNSRecord.question(name, type)
    asked.header.ad = ad
    if edns is not None:
        asked.add_ar(dnslib.EDNS0(udp_len=edns))
    return bytes(asked.pack())


def slowly(data: bytes) -> dnslib.DNSRecord:
    question = message.parse(data)
    assert isinstance(question, message.Question)
    answer = ZONE.answer(question.name, question.type)
    return dnslib.DNSRecord.parse(message.encode(question, answer, ZONE.domain, 65535))


def quickly(data: bytes) -> dnslib.DNSRecord:
    parsed = quick.parse(data)
    assert parsed is not None
    answer = ZONE.answer(parsed.name, parsed.type, quick.most(parsed, 65535))
    reply = quick.encode(parsed, data, answer, ZONE.domain)
    assert reply is not None
    return dnslib.DNSRecord.parse(reply)


def told(reply: dnslib.DNSRecord) -> list[str]:
    """All that a client reads in it; the order of addresses is chance."""
    return [str(reply.header), str(reply.q), *sorted(map(str, reply.rr)), *map(str, reply.auth), *map(str, reply.ar)]


@pytest.mark.parametrize("edns", [None, 512, 4096])
@pytest.mark.parametrize("type", ["A", "AAAA"])
@pytest.mark.parametrize("name", NAMES)
def test_the_two_ways_say_the_same(name: str, type: str, edns: int | None) -> None:
    data = query(name, type, edns)
    assert told(quickly(data)) == told(slowly(data))


def test_the_answer_is_under_the_name_as_it_was_asked_for() -> None:
    (record,) = quickly(query("Web-0.NGINX.default.svc.cluster.local")).rr
    assert str(record.rname) == "Web-0.NGINX.default.svc.cluster.local."


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(query(NAMES[0], "SRV"), id="another type"),
        pytest.param(query(NAMES[0])[:-1], id="cut short"),
        pytest.param(query(NAMES[0]) + b"\0", id="more behind it"),
        pytest.param(query(NAMES[0], edns=4096)[:-4], id="options cut short"),
        pytest.param(query(NAMES[0])[:2] + b"\x29" + query(NAMES[0])[3:], id="another operation"),
        pytest.param(query(NAMES[0])[:2] + b"\x81" + query(NAMES[0])[3:], id="a reply"),
        pytest.param(b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", id="a name that points to itself"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_not_plain_is_left_to_the_library(data: bytes) -> None:
    assert quick.parse(data) is None


def test_an_alias_is_left_to_the_library() -> None:
    data = query("db.default.svc.cluster.local")
    parsed = quick.parse(data)
    assert parsed is not None
    assert quick.encode(parsed, data, ZONE.answer(parsed.name, "A"), ZONE.domain) is None


PLAIN = query(NAMES[0], edns=1232)


@given(
    st.binary(max_size=64)
    | st.builds(lambda kept, more: PLAIN[:kept] + more, st.integers(0, len(PLAIN)), st.binary(max_size=80))
)
def test_whatever_the_bytes_nothing_is_raised_and_what_is_answered_is_a_reply(data: bytes) -> None:
    resolver = Resolver(ZONE, lambda: True, Forwarder((), real_world()))
    reply = resolver.answer(data, is_udp=True)
    assert reply is None or (isinstance(reply, bytes) and reply[:2] == data[:2] and reply[2] & 0x80)


@given(st.integers(0, 100), st.sampled_from([None, 512, 1232, 4096]))
def test_d64_no_datagram_is_larger_than_the_client_can_take_and_it_has_what_fits(count: int, edns: int | None) -> None:
    """Resolvers that never ask over TCP, as musl's did for long, find some of the addresses all the same."""
    ZONE.set_slice("default/some", slice_of("some", *MANY[:count]))
    ZONE.set_service("default/some", service("some"))
    resolver = Resolver(ZONE, lambda: True, Forwarder((), real_world()))
    reply = resolver.answer(query("some.default.svc.cluster.local", edns=edns), is_udp=True)
    assert isinstance(reply, bytes)
    limit = edns or 512
    assert len(reply) <= limit
    parsed = dnslib.DNSRecord.parse(reply)
    assert bool(parsed.header.tc) is (len(parsed.rr) < count)
    assert len(parsed.rr) == count or len(reply) + 16 > limit
    assert parsed.header.rcode == (0 if count else 3)


def test_d64_an_answer_larger_than_any_message_has_as_many_addresses_as_fit_over_tcp() -> None:
    made = Zone("cluster.local", random.Random(1))
    made.set_namespace("default", True)
    made.set_service("default/huge", service("huge"))
    for n in range(100):
        made.set_slice(f"default/{n}", slice_of("huge", *(endpoint(f"10.{n}.0.{each}") for each in range(1, 101))))
    resolver = Resolver(made, lambda: True, Forwarder((), real_world()))
    reply = resolver.answer(query("huge.default.svc.cluster.local"), is_udp=False)
    assert isinstance(reply, bytes)
    parsed = dnslib.DNSRecord.parse(reply)
    assert len({str(each.rdata) for each in parsed.rr}) == len(parsed.rr) == (65535 - 48) // 16


def test_d64_srv_of_a_service_that_is_larger_than_any_message_still_has_an_answer_over_tcp() -> None:
    made = Zone("cluster.local", random.Random(1))
    made.set_namespace("default", True)
    made.set_service("default/huge", service("huge"))
    for n in range(20):
        peers = (endpoint(f"10.{n}.0.{each}", hostname=f"peer-{n}-{each}") for each in range(1, 101))
        made.set_slice(f"default/{n}", slice_of("huge", *peers))
    resolver = Resolver(made, lambda: True, Forwarder((), real_world()))
    reply = resolver.answer(query("_web._tcp.huge.default.svc.cluster.local", "SRV"), is_udp=False)
    assert isinstance(reply, bytes)
    parsed = dnslib.DNSRecord.parse(reply)
    assert len({str(each.rdata.target) for each in parsed.rr}) == len(parsed.rr) == len(parsed.ar) == 500
