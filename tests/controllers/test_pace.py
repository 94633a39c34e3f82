"""Status writes are coalesced: of counts on their way one in a while, of everything else each at once."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.client.informer import Informers, key_of
from holdfast.controllers import pace as pacing
from holdfast.controllers.actions import Fail, Plan, Update
from holdfast.controllers.pace import STATUS_EVERY_S, Pace
from holdfast.controllers.runner import Runner
from holdfast.world import real_world


class Clock:
    now_s = 100.0

    def monotonic_s(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_the_first_write_is_due_at_once_and_the_next_a_moment_later(clock):
    pace = Pace(clock)
    assert pace.wait_s("a") == 0
    pace.note("a")
    assert pace.wait_s("a") == pytest.approx(STATUS_EVERY_S)
    assert pace.wait_s("b") == 0
    clock.now_s += STATUS_EVERY_S / 2
    assert pace.wait_s("a") == pytest.approx(STATUS_EVERY_S / 2)
    clock.now_s += STATUS_EVERY_S / 2
    assert pace.wait_s("a") == 0


def test_what_no_longer_matters_is_forgotten(clock):
    pace = Pace(clock)
    for number in range(1000):
        clock.now_s += STATUS_EVERY_S / 10
        pace.note(f"key {number}")
        pace.note("busy")
    assert len(pace._written_at_s) < 20
    assert pace.wait_s("busy") > 0


class Counting:
    """Writes how many maps there are onto the map `status`; `waits` says whether that may wait."""

    name = "test-controller"
    concurrency = 3

    def __init__(self, waits, actions=()):
        self._waits = waits
        self._actions = actions

    def start(self, informers, queue):
        self.maps = informers.of(CONFIG_MAPS)
        self.maps.subscribe(lambda old, new: queue.add("default/status"))

    def observe(self, key):
        return self.maps.get(key)

    def plan(self, status):
        count = str(len(self.maps) - 1)
        if (status.get("data") or {}).get("count") == count:
            return Plan("counted")
        write = Update(CONFIG_MAPS, {**status, "data": {"count": count}})
        return Plan("count", self._actions, status=write, status_may_wait=self._waits(int(count)))


@asynccontextmanager
async def counting(controller):
    from holdfast.apiserver.server import ApiServer
    from holdfast.store.memory import MemoryStore

    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world)
    await server.open()
    client = server.client("test")
    informers = Informers(client, world)
    tasks = [asyncio.ensure_future(informers.run())]
    tasks.append(asyncio.ensure_future(Runner(controller, client, informers, world).run()))
    await client.create(CONFIG_MAPS, {"metadata": {"name": "status", "namespace": "default"}, "data": {"count": "0"}})
    written = []

    def note(old, new):
        if new is not None and key_of(new) == "default/status":
            written.append(int(new["data"]["count"]))

    informers.of(CONFIG_MAPS).subscribe(note)
    try:
        yield client, written
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await server.close()
        await store.close()


async def create(client, count):
    for number in range(count):
        await client.create(CONFIG_MAPS, {"metadata": {"name": f"map-{number}", "namespace": "default"}})
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_of_a_burst_the_first_count_is_written_and_the_last():
    async with counting(Counting(lambda count: True)) as (client, written):
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await create(client, 50)
        await until(lambda: written[-1] == 50)
        assert len(written) <= 3 + (loop.time() - begin) / STATUS_EVERY_S, written


async def test_what_may_not_wait_is_written_at_once(monkeypatch):
    monkeypatch.setattr(pacing, "STATUS_EVERY_S", 3600)
    async with counting(Counting(lambda count: count != 50)) as (client, written):
        await create(client, 50)
        await until(lambda: written[-1] == 50)
    assert len(written) <= 3, written


async def test_s12_a_step_that_fails_has_its_status_written_in_the_end():
    async with counting(Counting(lambda count: True, [Fail("no")])) as (client, written):
        await create(client, 5)
        await until(lambda: written[-1] == 5)
