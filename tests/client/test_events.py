"""Events are written in the background, counted up, folded, and never in anyone's way."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.client import Unreachable
from holdfast.client.events import QUEUE_LENGTH, EventRecorder
from holdfast.world import World

SUBJECT = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7"},
}


class Clock:
    def __init__(self):
        self.passed_s = 0.0

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def monotonic_s(self):
        return self.passed_s

    async def sleep(self, seconds):
        self.passed_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder(flaky, clock):
    return EventRecorder(flaky, "statefulset-controller", World(clock, random.Random(1)), "n1")


@asynccontextmanager
async def written(recorder):
    task = asyncio.ensure_future(recorder.run())
    yield
    await asyncio.wait_for(recorder.flush(), 5)
    task.cancel()
    await asyncio.wait((task,))


async def events(client):
    return (await client.list(EVENTS)).items


async def test_n210_n213_a260_an_event_says_what_happened_to_whom(recorder, local):
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "SuccessfulCreate", "made it")
    (event,) = await events(local)
    assert event["metadata"]["name"].startswith("web.")
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "web",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "SuccessfulCreate", "made it")
    assert event["source"] == {"component": "statefulset-controller", "host": "n1"}
    assert (event["count"], event["firstTimestamp"]) == (1, "2026-01-01T00:00:00Z")


async def test_n210_events_of_cluster_wide_objects_live_in_default(recorder, local):
    async with written(recorder):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "n"}}
        recorder.record(node, "Normal", "NodeReady", "ready")
    (event,) = await events(local)
    assert event["metadata"]["namespace"] == "default"


async def test_n211_identical_events_are_counted_up(recorder, local, clock):
    async with written(recorder):
        for _ in range(3):
            recorder.record(SUBJECT, "Warning", "FailedCreate", "no")
            clock.passed_s += 5
    (event,) = await events(local)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:10Z",
    )


async def test_n211_similar_events_are_folded_after_ten(recorder, local):
    async with written(recorder):
        for number in range(13):
            recorder.record(SUBJECT, "Normal", "SuccessfulCreate", f"pod {number}")
    found = await events(local)
    assert len(found) == 11
    (combined,) = [event for event in found if event["message"].startswith("(combined")]
    assert (combined["message"], combined["count"]) == ("(combined from similar events): pod 12", 3)


async def test_n211_one_object_gets_25_at_once_and_then_one_in_five_minutes(recorder, local, clock):
    async with written(recorder):
        for _ in range(40):
            recorder.record(SUBJECT, "Normal", "Same", "same")
    assert [event["count"] for event in await events(local)] == [25]
    clock.passed_s += 300
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "Same", "same")
        recorder.record(SUBJECT, "Normal", "Same", "same")
    assert [event["count"] for event in await events(local)] == [26]


async def test_an_event_that_was_deleted_starts_anew(recorder, local):
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "Same", "same")
    (event,) = await events(local)
    await local.delete(EVENTS, event["metadata"]["name"], "default")
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "Same", "same")
    assert [event["count"] for event in await events(local)] == [1]


async def test_n214_while_the_server_is_away_events_wait(recorder, local, flaky):
    flaky.go_down()
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "Same", "same")
        await asyncio.sleep(0)
        assert await events(local) == []
        flaky.come_up()
    assert len(await events(local)) == 1


async def test_n214_an_event_whose_answer_got_lost_is_not_written_twice(recorder, local, flaky):
    create, lost = local.create, []

    async def lose_the_first_answer(*arguments, **options):
        made = await create(*arguments, **options)
        if not lost:
            lost.append(made)
            raise Unreachable("lost")
        return made

    flaky.create = lose_the_first_answer
    async with written(recorder):
        recorder.record(SUBJECT, "Normal", "Same", "same")
        recorder.record(SUBJECT, "Normal", "Same", "same")
    assert [event["count"] for event in await events(local)] == [2]


async def test_n214_a_refused_event_is_dropped_and_the_next_one_written(recorder, local):
    nowhere = {**SUBJECT, "metadata": {**SUBJECT["metadata"], "namespace": "no-such-namespace"}}
    async with written(recorder):
        recorder.record(nowhere, "Normal", "Lost", "lost")
        recorder.record(SUBJECT, "Normal", "Kept", "kept")
    assert [event["reason"] for event in await events(local)] == ["Kept"]


async def test_n214_recording_never_blocks_or_raises(recorder, caplog):
    for number in range(QUEUE_LENGTH + 5):
        recorder.record(SUBJECT, "Normal", "Many", str(number))
    assert "event dropped" in caplog.text


async def test_an_event_waits_until_it_is_so_old_and_what_comes_meanwhile_waits_no_longer(
    flaky, local, clock, monkeypatch
):
    recorder = EventRecorder(flaky, "kubelet", World(clock, random.Random(1)), after_s=0.05)
    recorder.record(SUBJECT, "Normal", "Created", "one")
    clock.passed_s += 0.02
    recorder.record(SUBJECT, "Normal", "Started", "two")
    written_at, create = [], local.create

    async def noted(*arguments, **options):
        written_at.append(round(clock.passed_s, 3))
        return await create(*arguments, **options)

    monkeypatch.setattr(local, "create", noted)
    async with written(recorder):
        pass
    assert [event["reason"] for event in await events(local)] == ["Created", "Started"]
    assert written_at == [0.05, 0.07]
