"""What is said of machines whose pods cannot be reached: each thing once, and never of a good network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from ipaddress import ip_network

from holdfast.network.peers.plan import Here, peers
from holdfast.network.peers.telling import Condition, Events, condition, own_fault

from .test_plan import node

FAR = node("far", "10.244.64.0/24", addresses=["192.168.1.9"])
LATER = node("later", "10.244.67.0/24", addresses=["192.168.2.9"], created="2026-02-01T00:00:00Z")
PODS = (ip_network("10.244.0.0/16"),)
HERE = Here(("nobody",), PODS)
OTHERS = peers([FAR], Here(("vm",), PODS))
FIRST = peers([node("vm", "10.244.0.0/24", addresses=["192.168.1.1"], machine="")], Here(("far",), PODS))
NO_ROUTE = "Could not create route for node {}: there is no way"


class Recorder:
    def __init__(self):
        self.told = []

    def record(self, subject, type, reason, message):
        self.told.append((subject["metadata"]["name"], type, reason, message))


def test_the_first_machine_says_it_of_the_other_once_for_each_reason():
    recorder = Recorder()
    events = Events(recorder)
    for problems in ({}, {"far": "there is no way"}, {"far": "there is no way"}, {}, {"far": "there is no way"}):
        events.tell(OTHERS, problems)
    said = ("far", "Warning", "FailedToCreateRoute", NO_ROUTE.format("far"))
    assert recorder.told == [said, said]


class Clock:
    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC)

    async def sleep(self, seconds):
        await asyncio.sleep(0)


class Api:
    """Client and informers at once: of one Node."""

    def __init__(self):
        self.node = {**FAR, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        self.written = []
        self._handler = None

    def of(self, resource):
        return self

    def get(self, name):
        return self.node

    def subscribe(self, handler):
        self._handler = handler
        return lambda: None

    async def patch(self, resource, name, patch, **more):
        (one,) = patch["status"]["conditions"]
        self.written.append(one["status"])
        others = [each for each in self.node["status"]["conditions"] if each["type"] != one["type"]]
        self.change([*others, one])

    def change(self, conditions):
        old, self.node = self.node, {**self.node, "status": {"conditions": conditions}}
        self._handler(old, self.node)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_machine_says_of_itself_whether_it_reaches_the_others_and_again_if_that_is_lost():
    api = Api()
    recorder = Recorder()
    told = Condition(api, api, Clock(), "far", Events(recorder))
    running = asyncio.create_task(told.run())
    await settle()
    assert api.written == [], "nobody has looked yet"
    told.tell(OTHERS, {})
    await settle()
    told.tell(OTHERS, {})
    await settle()
    assert api.written == ["False"]
    told.tell(FIRST, {"vm": "there is no way"})
    await settle()
    assert api.written == ["False", "True"]
    api.change([{"type": "Ready", "status": "True"}])  # the agent's report, on an older view
    await settle()
    assert api.written == ["False", "True", "True"]
    assert recorder.told == []
    running.cancel()


async def test_a_machine_that_was_there_before_goes_on_and_tells_of_the_newcomer():
    api, recorder = Api(), Recorder()
    told = Condition(api, api, Clock(), "far", Events(recorder))
    running = asyncio.create_task(told.run())
    told.tell(peers([LATER], HERE), {"later": "there is no way"})
    await settle()
    assert api.written == ["False"]
    assert recorder.told == [("later", "Warning", "FailedToCreateRoute", NO_ROUTE.format("later"))]
    running.cancel()


def test_of_two_machines_exactly_one_is_at_fault():
    one, other = node("a", "10.244.65.0/24"), node("b", "10.244.66.0/24")
    for former, latter in ((one, other), (FAR, LATER)):
        names = former["metadata"]["name"], latter["metadata"]["name"]
        assert own_fault(peers([former], HERE), latter) == {names[0]}
        assert own_fault(peers([latter], HERE), former) == set()
    young_first = node("vm", "10.244.0.0/24", machine="", created="2027-01-01T00:00:00Z")
    assert own_fault(peers([young_first], Here(("far",), PODS)), FAR) == {"vm"}


def test_the_reasons_are_upstreams():
    assert (condition("")["status"], condition("")["reason"]) == ("False", "RouteCreated")
    assert (condition("x")["status"], condition("x")["reason"]) == ("True", "NoRouteCreated")
