"""Events in the newer form: one and then a series of it (N210)."""

import asyncio
import random

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.client.event_series import SeriesRecorder
from holdfast.world import World

from .test_events import Clock, events, written

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-0", "namespace": "default", "uid": "u", "resourceVersion": "7"},
}


class Still(Clock):
    """It goes on when a test says so."""

    def __init__(self):
        super().__init__()
        self._sleepers = []

    async def sleep(self, seconds):
        slept = asyncio.Event()
        self._sleepers.append((self.passed_s + seconds, slept))
        await slept.wait()

    def go_on(self, seconds):
        self.passed_s += seconds
        for end_s, slept in self._sleepers:
            if end_s <= self.passed_s:
                slept.set()


@pytest.fixture
def clock():
    return Still()


@pytest.fixture
def recorder(flaky, clock):
    return SeriesRecorder(flaky, "default-scheduler", World(clock, random.Random(1)), "m1")


def refuse(recorder, pod=POD, message="no node"):
    recorder.record(pod, "Warning", "FailedScheduling", message, action="Scheduling")


async def test_n210_an_event_says_when_it_was_by_whom_and_of_what(recorder, local):
    async with written(recorder):
        recorder.record(POD, "Normal", "Scheduled", "Successfully assigned default/web-0 to n1", action="Binding")
    (event,) = await events(local)
    assert event["involvedObject"]["name"] == "web-0"
    told = {name: value for name, value in event.items() if name not in ("metadata", "involvedObject")}
    assert told == {
        "reason": "Scheduled",
        "message": "Successfully assigned default/web-0 to n1",
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "type": "Normal",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "action": "Binding",
        "reportingComponent": "default-scheduler",
        "reportingInstance": "default-scheduler-m1",
    } | {name: event[name] for name in ("apiVersion", "kind") if name in event}


async def test_n210_the_second_of_a_kind_makes_a_series_that_is_told_again_after_half_an_hour(recorder, local, clock):
    async def told():
        await recorder.flush()
        (event,) = await events(local)
        return event.get("series")

    async with written(recorder):
        refuse(recorder)
        assert await told() is None
        clock.go_on(60)
        refuse(recorder)
        second = {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}
        assert await told() == second
        for _ in range(6):
            clock.go_on(300)
            refuse(recorder)
            if clock.passed_s < 1860:
                assert await told() == second
        assert await told() == {"count": 8, "lastObservedTime": "2026-01-01T00:31:00.000000Z"}


async def test_n210_another_version_of_the_object_or_six_minutes_of_silence_begin_anew(recorder, local, clock):
    async with written(recorder):
        refuse(recorder)
        refuse(recorder, {**POD, "metadata": {**POD["metadata"], "resourceVersion": "8"}})
        await recorder.flush()
        clock.go_on(361)
        refuse(recorder)
    assert ["series" in event for event in await events(local)] == [False, False, False]


async def test_n210_a_series_that_is_over_tells_how_many_there_were(recorder, local, clock):
    async with written(recorder):
        for _ in range(5):
            refuse(recorder)
        await recorder.flush()
        (event,) = await events(local)
        assert event["series"]["count"] == 2
        clock.go_on(361)
        for _ in range(500):
            await asyncio.sleep(0.01)
            (event,) = await events(local)
            if event["series"]["count"] > 2:
                break
    assert event["series"] == {"count": 5, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}


async def test_a_series_whose_event_is_gone_is_written_anew(recorder, local):
    async with written(recorder):
        refuse(recorder)
        await recorder.flush()
        (event,) = await events(local)
        await local.delete(EVENTS, event["metadata"]["name"], "default")
        refuse(recorder)
    (event,) = await events(local)
    assert event["series"]["count"] == 2


async def test_a_message_that_is_too_long_is_cut(recorder, local):
    async with written(recorder):
        refuse(recorder, message="x" * 2000)
    (event,) = await events(local)
    assert event["message"] == "x" * 1020 + " ..."
