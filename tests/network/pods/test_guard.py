"""Whoever looks after the pods' network: is woken, tries again what failed, and ends when told to."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from holdfast.network.pods import guard as module
from holdfast.network.pods.guard import guard
from holdfast.world import real_world


class Notices:
    def __init__(self):
        self.lost = False
        self._count = 0
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    def tell(self):
        self._count += 1
        os.write(self._writing, b"!")

    def fileno(self):
        return self._reading

    def drain(self):
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 100)
        count, self._count = self._count, 0
        return count

    def close(self):
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def notices(monkeypatch):
    made = Notices()
    given = iter([made])
    monkeypatch.setattr(module, "told_by_kernel", lambda make: next(given, None))
    monkeypatch.setattr(module, "COLLECT_S", 0.0)
    return made


async def ends(task):
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=60)
    return bool(done) and task.cancelled()


@pytest.mark.parametrize("turns", range(8))
async def test_it_ends_although_there_is_something_to_look_at_in_the_same_moment(notices, turns):
    async def repair(rules):
        await asyncio.sleep(0)

    task = asyncio.create_task(guard("t", real_world().clock, repair))
    await asyncio.sleep(0.01)
    notices.tell()
    for _ in range(turns):
        await asyncio.sleep(0)
    assert await ends(task)


async def test_what_failed_is_tried_again_and_what_is_under_way_is_finished(notices, monkeypatch):
    monkeypatch.setattr(module, "RETRY_AFTER_S", 0.01)
    tries, begun, finished = [], asyncio.Event(), []

    async def repair(rules):
        tries.append(rules)
        if len(tries) < 3:
            raise OSError("no")
        begun.set()
        await asyncio.sleep(0.05)
        finished.append(True)

    task = asyncio.create_task(guard("t", real_world().clock, repair))
    await asyncio.sleep(0.01)
    notices.tell()
    async with asyncio.timeout(60):
        await begun.wait()
    assert await ends(task)
    assert finished
    assert tries == [False, True, True], "by then it looks at everything"


async def test_others_may_have_a_reason_to_look_too(notices):
    looked, told = asyncio.Event(), asyncio.Event()

    async def repair(rules):
        looked.set()

    task = asyncio.create_task(guard("t", real_world().clock, repair, told))
    await asyncio.sleep(0.01)
    assert not looked.is_set()
    told.set()
    async with asyncio.timeout(60):
        await looked.wait()
    assert await ends(task)
