"""Keys: each once, never two workers on one, failures ever later."""

import asyncio
import random

import pytest

from holdfast.client.queue import WorkQueue
from holdfast.world import World


class Loop:
    """A clock on the event loop's time."""

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


@pytest.fixture
async def queue():
    return WorkQueue(World(Loop(), random.Random(1)))


class Later:
    """Stands in for the loop's timers: notes the delays instead of waiting."""

    def __init__(self, monkeypatch):
        self.delays = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self, raising=False)

    def __call__(self, delay, call, *arguments):
        self.delays.append(delay)
        return asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 3600, call, *arguments)


async def test_s156_waiting_keys_are_collapsed(queue):
    for key in ("a", "b", "a"):
        queue.add(key)
    assert (await queue.get(), await queue.get(), len(queue)) == ("a", "b", 0)


async def test_a_key_that_is_worked_on_is_handed_out_again_only_after_it_is_done(queue):
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "b"
    queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    queue.done("b")
    assert queue.is_idle


async def test_whoever_waits_gets_the_next_key(queue):
    getters = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in "abc":
        queue.add(key)
    assert sorted([await getter for getter in getters]) == ["a", "b", "c"]


async def test_of_several_times_the_earliest_counts(queue):
    queue.add_after("a", 30)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    queue.done("a")
    assert queue.is_idle


async def test_s157_failures_come_back_after_5_ms_doubling_to_1000_s(queue, monkeypatch):
    later = Later(monkeypatch)
    for _ in range(25):
        queue.retry("a")
        queue._timers.clear()
    assert later.delays[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
    assert later.delays[-1] == 1000
    queue.forget("a")
    queue.retry("a")
    assert later.delays[-1] == pytest.approx(0.005)


async def test_s157_overall_retries_are_10_per_second_after_a_burst_of_100(queue, monkeypatch):
    later = Later(monkeypatch)
    for number in range(150):
        queue.retry(f"key {number}")
    assert later.delays[99] == pytest.approx(0.005)
    assert later.delays[149] == pytest.approx(5, abs=0.1)


async def test_a_closed_queue_takes_nothing_and_starts_nothing(queue):
    queue.add("a")
    queue.add_after("b", 0.001)
    queue.close()
    queue.add("c")
    queue.add_after("d", 0.001)
    await asyncio.sleep(0.01)
    assert (len(queue), queue.is_idle) == (0, True)


async def test_many_keys_leave_room_for_others_on_the_loop(queue):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for number in range(200):
        queue.add(str(number))
    for _ in range(200):
        queue.done(await queue.get())
    assert turns >= 10
    task.cancel()
