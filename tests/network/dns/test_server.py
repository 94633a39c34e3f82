"""The server over real sockets on loopback: D57, D60, D64 to D67, R100 to R103."""

from __future__ import annotations

import asyncio
import random
import shutil
import struct
from contextlib import asynccontextmanager

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.client import ObjectList
from holdfast.client.informer import Informers
from holdfast.network.dns import server as module
from holdfast.network.dns.forward import Forwarder
from holdfast.network.dns.records import Zone
from holdfast.network.dns.resolver import Resolver
from holdfast.network.dns.server import DnsServer, host_resolvers
from holdfast.world import World, real_world

from .builders import alias, endpoint, service, slice_of


class Objects:
    """A client that lists what it was made with; nothing ever changes."""

    def __init__(self, *objects, is_silent=False):
        self.objects = objects
        self.is_silent = is_silent

    async def list(self, resource, namespace="", **options):
        if self.is_silent:
            await asyncio.Event().wait()
        return ObjectList([each for kind, each in self.objects if kind is resource], "1")

    async def watch(self, resource, namespace="", **options):
        await asyncio.Event().wait()
        yield


def everything(*more):
    many = [endpoint(f"10.244.{number // 250}.{number % 250}", hostname=f"web-{number}") for number in range(100)]
    return [
        (NAMESPACES, {"metadata": {"name": "default"}}),
        (SERVICES, service()),
        (SERVICES, service("many")),
        (SERVICES, alias("db", "db.example.com")),
        (SERVICES, alias("near", "nginx.default.svc.cluster.local")),
        (ENDPOINT_SLICES, slice_of("nginx", endpoint("10.244.0.2", hostname="web-0"))),
        (ENDPOINT_SLICES, slice_of("many", *many)),
        (PODS, {"metadata": {"name": "p", "namespace": "default"}, "status": {"podIPs": [{"ip": "10.244.0.9"}]}}),
        *more,
    ]


@asynccontextmanager
async def serving(client=None, upstreams=()):
    """The port of a running server."""
    world = real_world()
    informers = Informers(client or Objects(*everything()), world)
    server = DnsServer(informers, world, [("127.0.0.1", 0)], upstreams=upstreams)
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(informers.run())]
    try:
        async with asyncio.timeout(60):
            await server.answers.wait()
            if client is None:
                await informers.wait_synced()
        yield server.listening[0][1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Reply(asyncio.DatagramProtocol):
    def __init__(self):
        self.data = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        self.data.set_result(data)


async def over_udp(port, data, within_s=60):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Reply, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(data)
        return await asyncio.wait_for(protocol.data, within_s)
    finally:
        transport.close()


async def over_tcp(port, *queries):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = []
    for data in queries:
        writer.write(struct.pack("!H", len(data)) + data)
    for _ in queries:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        replies.append(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    return replies


async def ask(port, name, type="A", *, edns=0):
    query = dnslib.DNSRecord.question(name, type)
    if edns:
        query.add_ar(dnslib.EDNS0(udp_len=edns))
    reply = dnslib.DNSRecord.parse(await over_udp(port, query.pack()))
    assert reply.header.id == query.header.id
    return reply


NGINX = "nginx.default.svc.cluster.local"


async def test_an_answer_is_authoritative_short_lived_and_in_the_clients_spelling():
    async with serving() as port:
        reply = await ask(port, "Web-0.NGINX.default.svc.cluster.local")
        assert (reply.header.aa, reply.header.ra, reply.header.rcode) == (1, 1, 0)
        (record,) = reply.rr
        assert (str(record.rname), str(record.rdata)) == ("Web-0.NGINX.default.svc.cluster.local.", "10.244.0.2")
        assert record.ttl <= 5


async def test_d59_d60_d63_a_missing_name_and_a_missing_type_both_carry_the_authority():
    async with serving() as port:
        for name, type, code in (("nope.default.svc.cluster.local", "A", 3), (NGINX, "AAAA", 0)):
            reply = await ask(port, name, type)
            assert (reply.header.rcode, reply.rr) == (code, [])
            (soa,) = reply.auth
            assert (soa.ttl, soa.rdata.times[4]) == (0, 0)  # D63: nobody remembers that it is missing


async def test_d55_srv_carries_the_addresses_of_its_targets():
    async with serving() as port:
        reply = await ask(port, f"_web._tcp.{NGINX}", "SRV")
        assert [(str(each.rdata.target), each.rdata.port) for each in reply.rr] == [(f"web-0.{NGINX}.", 8080)]
        assert [str(each.rdata) for each in reply.ar] == ["10.244.0.2"]


async def test_reverse_and_pod_names():
    async with serving() as port:
        assert str((await ask(port, "2.0.244.10.in-addr.arpa", "PTR")).rr[0].rdata) in (
            f"web-0.{NGINX}.",
            "web-2.many.default.svc.cluster.local.",
        )
        assert str((await ask(port, "10-244-0-9.default.pod.cluster.local")).rr[0].rdata) == "10.244.0.9"


async def test_d64_too_much_for_a_datagram_is_cut_and_comes_whole_over_tcp():
    async with serving() as port:
        name = "many.default.svc.cluster.local"
        cut = await ask(port, name)
        assert cut.header.tc == 1
        assert 0 < len(cut.rr) < 100, "whoever cannot ask over TCP has some"
        assert len((await ask(port, name, edns=4096)).rr) == 100
        query = dnslib.DNSRecord.question(name).pack()
        for reply in await over_tcp(port, query, query):
            assert len(dnslib.DNSRecord.parse(reply).rr) == 100


async def test_d64_answers_come_in_no_fixed_order():
    async with serving() as port:
        name = "many.default.svc.cluster.local"
        firsts = {str((await ask(port, name, edns=4096)).rr[0].rdata) for _ in range(10)}
        assert len(firsts) > 1


async def test_d65_a_view_that_is_not_complete_yet_says_no_to_nothing():
    async with serving(Objects(is_silent=True)) as port:
        assert (await ask(port, NGINX)).header.rcode == 2  # SERVFAIL (D65)


async def test_other_names_do_not_exist_where_nobody_can_be_asked():
    async with serving() as port:
        assert (await ask(port, "example.com")).header.rcode == 3  # R103


@asynccontextmanager
async def upstream(answer):
    """A resolver; `answer` makes a reply of a query, or None for silence."""
    seen = []

    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            seen.append(dnslib.DNSRecord.parse(data))
            if (reply := answer(seen[-1])) is not None:
                self.transport.sendto(reply.pack(), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname"), seen
    finally:
        transport.close()


def known(query):
    reply = query.reply()
    reply.add_answer(*dnslib.RR.fromZone(f"{query.q.qname} 60 A 192.0.2.7"))
    return reply


async def test_d60_d67_other_names_are_asked_for_upstream_and_own_names_never():
    async with upstream(known) as (address, seen), serving(upstreams=[address]) as port:
        assert str((await ask(port, "example.com")).rr[0].rdata) == "192.0.2.7"
        await ask(port, "nope.default.svc.cluster.local")
        assert [str(each.q.qname) for each in seen] == ["example.com."]  # D60


async def test_d67_a_silent_upstream_is_given_up_and_the_next_is_asked(monkeypatch):
    monkeypatch.setattr("holdfast.network.dns.forward.ATTEMPT_S", 0.5)
    async with upstream(lambda query: None) as (silent, _), upstream(known) as (good, _):
        async with serving(upstreams=[silent, good]) as port:
            assert (await ask(port, "example.com")).header.rcode == 0
        async with serving(upstreams=[silent]) as port:
            assert (await ask(port, "example.com")).header.rcode == 2  # D67


async def test_d57_an_alias_comes_with_its_targets_addresses():
    async with upstream(known) as (address, _), serving(upstreams=[address]) as port:
        outside = await ask(port, "db.default.svc.cluster.local")
        assert [str(each.rdata) for each in outside.rr] == ["db.example.com.", "192.0.2.7"]
        inside = await ask(port, "near.default.svc.cluster.local")
        assert [str(each.rdata) for each in inside.rr] == [f"{NGINX}.", "10.244.0.2"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda data: data[:2] + bytes([data[2] | 0x28]) + data[3:], 4, id="another operation"),
        pytest.param(lambda data: data[:-2] + b"\x00\x03", 4, id="class CHAOS"),
        pytest.param(lambda data: data[:-4] + b"\x00\xfc\x00\x01", 4, id="a transfer"),
        pytest.param(lambda data: data[:-3], 1, id="cut short"),
        pytest.param(lambda data: data[:4] + b"\x00\x00" + data[6:12], 1, id="no question"),
    ],
)
async def test_what_is_not_a_query_is_refused(change, code):
    async with serving() as port:
        reply = await over_udp(port, change(dnslib.DNSRecord.question(NGINX).pack()))
        assert reply[3] & 0x0F == code


async def test_responses_and_scraps_get_no_answer():
    async with serving() as port:
        query = dnslib.DNSRecord.question(NGINX).pack()
        for data in (b"short", query[:2] + b"\x84" + query[3:]):
            with pytest.raises(TimeoutError):
                await over_udp(port, data, within_s=0.05)


def resolver():
    zone = Zone("cluster.local", random.Random(0))
    world = World(real_world().clock, random.Random(0))
    return Resolver(zone, lambda: True, Forwarder((), world))


@given(st.binary(max_size=80), st.integers(0, 30), st.booleans())
def test_no_bytes_make_it_fail(noise, cut, is_udp):
    query = bytes(dnslib.DNSRecord.question(NGINX).pack())
    for data in (noise, query[:cut] + noise, query[:12] + noise):
        answer = resolver().answer(data, is_udp=is_udp)
        assert answer is None or (isinstance(answer, bytes) and answer[:2] == data[:2])


async def test_dig_understands_it():
    if shutil.which("dig") is None:
        pytest.skip("dig is not installed")
    async with serving() as port:
        arguments = ["@127.0.0.1", "-p", str(port), "+short", "+tries=1", "+time=60", f"_web._tcp.{NGINX}", "SRV"]
        process = await asyncio.create_subprocess_exec("dig", *arguments, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert output.decode().split() == ["0", "100", "8080", f"web-0.{NGINX}."]


async def test_an_address_that_another_program_has_is_tried_again(monkeypatch):
    monkeypatch.setattr(module, "REBIND_AFTER_S", 0.02)
    taken, tcp = module.bind(("127.0.0.1", 0))
    address = taken.getsockname()
    world = real_world()
    informers = Informers(Objects(), world)
    server = DnsServer(informers, world, [address])
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0.05)
    assert server.listening == []
    taken.close()
    tcp.close()
    async with asyncio.timeout(60):
        await server.answers.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_an_address_may_come_into_being_later():
    udp, tcp = module.bind(("192.0.2.53", 0))
    udp.close()
    tcp.close()


def test_the_hosts_resolvers(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# x\nsearch a b\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver\n")
    assert host_resolvers(path) == [("10.0.0.1", 53), ("fe80::1", 53)]
    assert host_resolvers(tmp_path / "missing") == []
