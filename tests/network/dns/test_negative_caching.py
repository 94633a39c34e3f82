"""kubernetes#127259: a pod that is ready is found at once, also by who asked for it a moment too early."""

import random

import dnslib
import pytest

from holdfast.network.dns import message
from holdfast.network.dns.forward import Forwarder
from holdfast.network.dns.records import Zone
from holdfast.network.dns.resolver import Resolver
from holdfast.world import real_world

from .builders import endpoint, service, slice_of

NAME = "web-0.nginx.default.svc.cluster.local"
COMMON_TTL_S = 30


class CachingResolver:
    """A resolver on the way, such as a node's or a JVM's: it remembers answers for as long as they say (RFC 2308)."""

    def __init__(self, ask):
        self.now_s = 0.0
        self._ask = ask
        self._until_s = 0.0
        self._addresses = []

    def addresses(self, name):
        if self.now_s >= self._until_s:
            reply = dnslib.DNSRecord.parse(self._ask(dnslib.DNSRecord.question(name).pack()))
            self._addresses = [str(rr.rdata) for rr in reply.rr]
            ttls = [rr.ttl for rr in reply.rr] or [min(rr.ttl, rr.rdata.times[4]) for rr in reply.auth]
            self._until_s = self.now_s + min(ttls)
        return self._addresses


def publish(zone, *, ready):
    zone.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0", ready=ready)))


@pytest.mark.parametrize("negative_ttl_s", [pytest.param(None, id="ours"), pytest.param(COMMON_TTL_S, id="upstream's")])
def test_kubernetes_127259_who_asked_too_early_is_not_kept_from_the_answer(monkeypatch, negative_ttl_s):
    """kubernetes#127259: "no such name" was remembered for 30 s, so that peers of a quorum did not find each other."""
    if negative_ttl_s is not None:
        monkeypatch.setattr(message, "NEGATIVE_TTL_S", negative_ttl_s)
    zone = Zone("cluster.local", random.Random(0))
    zone.set_namespace("default", True)
    zone.set_service("default/nginx", service())
    publish(zone, ready=False)
    server = Resolver(zone, lambda: True, Forwarder([], real_world()))
    peer = CachingResolver(lambda question: server.answer(question, is_udp=True))
    assert peer.addresses(NAME) == []
    publish(zone, ready=True)
    peer.now_s += 0.001
    waited_s = 0
    while not peer.addresses(NAME):
        peer.now_s += 1
        waited_s += 1
    assert waited_s == (negative_ttl_s or 0)
    assert peer.addresses(NAME) == ["10.244.0.2"]
