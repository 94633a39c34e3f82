"""Answers held against the table of "Kubernetes DNS-Based Service Discovery", version 1.1.0, section by section.

Asked by a resolver library that is not the one we answer with, and by Debian's `dig`.
"""

from __future__ import annotations

import asyncio
import re
import shutil

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
import dns.reversename
import pytest

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES

from .builders import alias, endpoint, service, slice_of
from .test_server import Objects, serving

ZONE = "cluster.local."
NS = f"default.svc.{ZONE}"
PORTS = [
    {"name": "web", "port": 80, "protocol": "TCP", "targetPort": 8080},
    {"name": "metrics", "port": 53, "protocol": "UDP"},
]


def listed(name, *endpoints, key="x", family="IPv4", ports=((("web"), 8080, "TCP"), ("metrics", 5353, "UDP"))):
    made = slice_of(name, *endpoints, family=family)
    made["metadata"]["name"] = f"{name}-{key}"
    made["ports"] = [{"name": port, "port": number, "protocol": protocol} for port, number, protocol in ports]
    return made


OBJECTS = [
    (NAMESPACES, {"metadata": {"name": "default"}}),
    (SERVICES, service("one", ip="10.96.0.10", ports=PORTS)),
    (SERVICES, service("both", ip="10.96.0.11", clusterIPs=["10.96.0.11", "fd00:96::b"], ports=PORTS)),
    (SERVICES, service("unnamed", ip="10.96.0.12", ports=[{"port": 80, "protocol": "TCP"}])),
    (SERVICES, service("peers", ports=PORTS)),
    (SERVICES, service("silent", ports=PORTS)),
    (SERVICES, alias("elsewhere", "db.example.com")),
    (ENDPOINT_SLICES, listed("one", endpoint("10.244.0.8"))),
    (
        ENDPOINT_SLICES,
        listed(
            "peers",
            endpoint("10.244.0.2", hostname="peer-0"),
            endpoint("10.244.0.3", hostname="peer-1"),
            endpoint("10.244.0.4", hostname="twins"),
            endpoint("10.244.0.5", hostname="twins"),
            endpoint("10.244.0.6"),
            endpoint("10.244.0.7", hostname="late", ready=False),
        ),
    ),
    (
        ENDPOINT_SLICES,
        listed("peers", endpoint("fd00:244::2", hostname="peer-0"), key="y", family="IPv6"),
    ),
    (ENDPOINT_SLICES, listed("silent", endpoint("10.244.0.9", hostname="nobody", ready=False))),
]
NONE, NO_NAME = (), None
"""The name exists without such records; there is no such name."""

TABLE = {
    "2.2 schema version": [(f"dns-version.{ZONE}", "TXT", ['"1.1.0"'])],
    "2.3.1 addresses of a service": [
        (f"one.{NS}", "A", ["10.96.0.10"]),
        (f"one.{NS}", "AAAA", NONE),
        (f"both.{NS}", "A", ["10.96.0.11"]),
        (f"both.{NS}", "AAAA", ["fd00:96::b"]),
        (f"absent.{NS}", "A", NO_NAME),
        (f"one.other.svc.{ZONE}", "A", NO_NAME),
    ],
    "2.3.2 ports of a service": [
        (f"_web._tcp.one.{NS}", "SRV", [f"0 80 one.{NS}"]),
        (f"_metrics._udp.one.{NS}", "SRV", [f"0 53 one.{NS}"]),
        (f"_web._udp.one.{NS}", "SRV", NO_NAME),
        (f"_http._tcp.unnamed.{NS}", "SRV", NO_NAME),
        (f"_._tcp.unnamed.{NS}", "SRV", NO_NAME),
    ],
    "2.3.3 a service by its address": [
        ("10.0.96.10.in-addr.arpa.", "PTR", [f"one.{NS}"]),
        (dns.reversename.from_address("fd00:96::b").to_text(), "PTR", [f"both.{NS}"]),
    ],
    "2.4.1 addresses of a headless service": [
        (f"peers.{NS}", "A", ["10.244.0.2", "10.244.0.3", "10.244.0.4", "10.244.0.5", "10.244.0.6"]),
        (f"peers.{NS}", "AAAA", ["fd00:244::2"]),
        (f"peer-0.peers.{NS}", "A", ["10.244.0.2"]),
        (f"peer-0.peers.{NS}", "AAAA", ["fd00:244::2"]),
        (f"peer-1.peers.{NS}", "AAAA", NONE),
        (f"twins.peers.{NS}", "A", ["10.244.0.4", "10.244.0.5"]),
        (f"10-244-0-6.peers.{NS}", "A", ["10.244.0.6"]),
        (f"late.peers.{NS}", "A", NO_NAME),
        (f"silent.{NS}", "A", NO_NAME),
        (f"nobody.silent.{NS}", "A", NO_NAME),
    ],
    "2.4.2 ports of a headless service": [
        (
            f"_web._tcp.peers.{NS}",
            "SRV",
            [f"0 8080 {host}.peers.{NS}" for host in ("10-244-0-6", "peer-0", "peer-1", "twins")],
        ),
        (f"_web._tcp.silent.{NS}", "SRV", NO_NAME),
    ],
    "2.4.3 an endpoint by its address": [
        ("2.0.244.10.in-addr.arpa.", "PTR", [f"peer-0.peers.{NS}"]),
        (dns.reversename.from_address("fd00:244::2").to_text(), "PTR", [f"peer-0.peers.{NS}"]),
        ("7.0.244.10.in-addr.arpa.", "PTR", NO_NAME),
    ],
    "2.5 another name": [
        (f"elsewhere.{NS}", "CNAME", ["db.example.com."]),
        (f"elsewhere.{NS}", "SRV", ["db.example.com."]),
    ],
}
ROWS = [pytest.param(*row, id=f"{section}: {row[1]} {row[0]}") for section, rows in TABLE.items() for row in rows]


async def by_library(port, name, type):
    """What a resolver finds; for an alias, where it leads."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 60
    try:
        answer = await resolver.resolve(name, type, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return NO_NAME
    return sorted(str(each) for rrset in answer.response.answer for each in rrset)


async def by_dig(port, name, type):
    arguments = ["@127.0.0.1", "-p", str(port), name, type, "+noall", "+answer", "+comments", "+tries=1", "+time=60"]
    process = await asyncio.create_subprocess_exec("dig", *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert not any("Warning" in line or "malformed" in line for line in lines), lines
    if any("status: NXDOMAIN" in line for line in lines):
        return NO_NAME
    assert any("status: NOERROR" in line for line in lines), lines
    return sorted(line.split(None, 4)[4] for line in lines if line and not line.startswith(";"))


@pytest.mark.parametrize(("name", "type", "expected"), ROWS)
async def test_a_resolver_library_finds_what_the_specification_says(name, type, expected):
    async with serving(Objects(*OBJECTS)) as port:
        await until_synced(port)
        assert simplified(await by_library(port, name, type), type) == told(expected)


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed: scripts/test-programs")
@pytest.mark.parametrize(("name", "type", "expected"), ROWS)
async def test_dig_finds_what_the_specification_says(name, type, expected):
    async with serving(Objects(*OBJECTS)) as port:
        await until_synced(port)
        assert simplified(await by_dig(port, name, type), type) == told(expected)


def told(expected):
    return expected if expected is None else sorted(expected)


def simplified(found, type):
    """Without the weights of SRV, which the specification leaves open."""
    if found is None or type != "SRV":
        return found
    return sorted(re.sub(r"^(\d+) \d+ (\d+ )", r"\1 \2", each) for each in found)


async def until_synced(port):
    async with asyncio.timeout(60):
        while True:
            try:
                if await by_library(port, f"one.{NS}", "A"):
                    return
            except dns.exception.DNSException:
                pass
            await asyncio.sleep(0.01)


async def test_srv_comes_with_the_addresses_of_its_targets():
    async with serving(Objects(*OBJECTS)) as port:
        await until_synced(port)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 60
        answer = await resolver.resolve(f"_web._tcp.peers.{NS}", "SRV")
        beside = {str(rrset.name): sorted(map(str, rrset)) for rrset in answer.response.additional}
        assert beside[f"peer-1.peers.{NS}"] == ["10.244.0.3"]
        assert set(beside) == {str(each.target) for each in answer}
