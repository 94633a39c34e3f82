"""Order, back-off and waking of pods without a node: N226, N227."""

import asyncio

import pytest

from holdfast.scheduler import queue as module
from holdfast.scheduler.queue import SchedulingQueue


@pytest.fixture
async def queue():
    made = SchedulingQueue()
    yield made
    made.close()


async def taken(queue, within_s=0.05):
    try:
        return await asyncio.wait_for(queue.get(), within_s)
    except TimeoutError:
        return None


async def test_n227_higher_priority_goes_first_then_the_older(queue):
    for key, priority in (("a", 0), ("b", 0), ("c", 5)):
        queue.add(key, priority)
    queue.add("a", 0)
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]
    assert await taken(queue) is None


async def test_n226_a_parked_pod_waits_for_a_change_and_for_its_back_off(queue, monkeypatch):
    monkeypatch.setattr(module, "FIRST_BACKOFF_S", 1.5)
    queue.add("a")
    queue.park(await queue.get())
    assert await taken(queue) is None
    queue.wake_all()
    assert await taken(queue) is None
    assert await taken(queue, 60) == "a"


async def test_n226_without_a_change_a_parked_pod_is_tried_again_some_day(queue, monkeypatch):
    monkeypatch.setattr(module, "FORCED_RETRY_S", 0.05)
    queue.add("a")
    queue.park(await queue.get())
    assert await taken(queue, 60) == "a"


async def test_n226_what_a_pod_waits_for_by_name_wakes_it_at_once(queue):
    queue.add("a")
    queue.park(await queue.get())
    queue.wake("a")
    assert await taken(queue, 60) == "a"


async def test_a_change_during_the_attempt_is_not_lost(queue):
    queue.add("a")
    key = await queue.get()
    queue.wake(key)
    queue.park(key)
    assert await taken(queue, 60) == "a"


async def test_a_forgotten_pod_does_not_come_back(queue):
    queue.add("a")
    queue.forget("a")
    queue.wake("a")
    assert await taken(queue) is None
    assert len(queue) == 0
