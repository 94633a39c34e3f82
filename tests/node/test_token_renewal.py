"""When the agent asks for a new token (A220, V105)."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.times import format_time
from holdfast.node.lookup import ApiLookup
from holdfast.node.pod import Pod
from holdfast.world import World


class Clock:
    def __init__(self):
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self):
        return self.moment

    def monotonic_s(self):
        return self.moment.timestamp()

    async def sleep(self, seconds):
        await asyncio.sleep(0)


class Server:
    """Gives out tokens, each with its number."""

    def __init__(self, clock):
        self._clock = clock
        self.asked = []

    async def create(self, resource, manifest, namespace="", *, name="", subresource=""):
        self.asked.append((f"{namespace}/{name}", subresource, manifest["spec"]))
        expires = self._clock.now() + timedelta(seconds=manifest["spec"]["expirationSeconds"])
        return {"status": {"token": f"token-{len(self.asked)}", "expirationTimestamp": format_time(expires)}}


POD = Pod({"metadata": {"name": "a", "namespace": "ns", "uid": "u"}, "spec": {"serviceAccountName": "bot"}})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    return Server(clock)


@pytest.fixture
def lookup(server, clock):
    return ApiLookup(server, World(clock, random.Random(1)))


async def test_a_token_is_asked_for_as_the_pods_account_and_bound_to_the_pod(lookup, server):
    assert await lookup.token(POD, "vault", 900) == "token-1"
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": "u"}
    wanted = {"audiences": ["vault"], "expirationSeconds": 900, "boundObjectRef": reference}
    assert server.asked == [("ns/bot", "token", wanted)]


async def test_it_serves_for_four_fifths_of_its_life(lookup, clock):
    await lookup.token(POD, "", 1000)
    assert lookup.renewal_s("u") == 800
    clock.moment += timedelta(seconds=799)
    assert await lookup.token(POD, "", 1000) == "token-1"
    clock.moment += timedelta(seconds=1)
    assert await lookup.token(POD, "", 1000) == "token-2"


async def test_no_token_gets_older_than_a_day(lookup):
    await lookup.token(POD, "", 10 * 24 * 3600)
    assert lookup.renewal_s("u") == 24 * 3600


async def test_each_audience_and_each_life_has_its_own(lookup):
    asked = [("", 3607), ("vault", 3607), ("vault", 600)]
    assert [await lookup.token(POD, *each) for each in asked] == ["token-1", "token-2", "token-3"]
    assert [await lookup.token(POD, *each) for each in asked] == ["token-1", "token-2", "token-3"]


async def test_of_a_pod_that_is_gone_nothing_is_kept(lookup):
    await lookup.token(POD, "", 1000)
    lookup.forget("u")
    assert lookup.renewal_s("u") is None
    assert await lookup.token(POD, "", 1000) == "token-2"
