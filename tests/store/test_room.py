"""A full disk is waited out: nothing is lost, nothing more is accepted, and a little can be written all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from holdfast.store import NoRoom, room


def encode(revision: int) -> bytes:
    return b"%d" % revision * 2000


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(room, "RETRY_S", 0.01)


async def until_written(store, revision: int) -> None:
    async with asyncio.timeout(60):
        async for change in store.watch("/", after=store.revision):
            if change.revision >= revision:
                return


async def until_full(store) -> int:
    """How many writes were accepted."""
    store._file.execute("PRAGMA max_page_count=20")
    told = await write_until_refused(store, encode)
    assert "no space left on the disk of" in told
    assert told.endswith("this was begun and may still be done then")
    return store.revision


async def write_until_refused(store, encode) -> str:
    """What the last writer is told."""
    for number in range(3000):
        done = (await asyncio.gather(store.write(f"/{number}", encode), return_exceptions=True))[0]
        if isinstance(done, NoRoom):
            return str(done)
    raise AssertionError("never full")


async def test_what_was_acknowledged_stays_and_what_was_begun_is_done_when_there_is_room(open_file):
    failures: list[Exception] = []
    store = await open_file(failed=failures.append)
    accepted = await until_full(store)
    assert store.revision == accepted
    for _ in range(3):
        with pytest.raises(NoRoom, match=r"nothing can be written until something is deleted there$"):
            await store.write("/more", encode)
        await asyncio.sleep(0.02)
    assert (store.revision, store.get(f"/{accepted}"), failures) == (accepted, None, [])
    store._file.execute("PRAGMA max_page_count=1000000")
    await until_written(store, accepted + 1)
    assert store.get(f"/{accepted}") is not None
    assert (await store.write("/more", encode)).revision == accepted + 2
    await store.close()
    store = await open_file()
    assert store.revision == accepted + 2


async def test_several_that_were_begun_are_done_in_their_order(open_file):
    store = await open_file()
    accepted = await until_full(store)
    store._file.execute("PRAGMA max_page_count=1000000")
    await until_written(store, accepted + 1)
    store._file.execute(f"PRAGMA max_page_count={store._file.execute('PRAGMA page_count').fetchone()[0]}")
    begun = await asyncio.gather(*(store.write("/same", encode) for _ in range(5)), return_exceptions=True)
    assert {type(error) for error in begun} == {NoRoom}
    store._file.execute("PRAGMA max_page_count=1000000")
    await until_written(store, accepted + 6)
    assert store.get("/same").value == encode(accepted + 6)


async def test_it_can_be_closed_while_there_is_no_room_and_nobody_waits_for_compaction(open_file):
    store = await open_file()
    accepted = await until_full(store)
    await asyncio.wait_for(store.compact(accepted), 5)
    await asyncio.wait_for(store.close(), 5)
    store = await open_file()
    assert store.revision == accepted


@pytest.fixture
def small_disk(tmp_path):
    """Real, of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def fill(path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


async def test_who_fills_the_disk_leaves_room_for_the_writes_that_make_room(small_disk, open_file):
    store = await open_file("disk/state.db")
    await store.write("/a", encode)
    fill(small_disk / "filler")
    for number in range(50):
        await store.write(f"/{number}", lambda revision: b"x" * 1000)
    await write_until_refused(store, encode)
    accepted = store.revision
    (small_disk / "filler").unlink()
    await until_written(store, accepted + 1)
    await store.write("/c", encode)
    await store.close()
    store = await open_file("disk/state.db")
    assert store.revision == accepted + 2
    await store.close()


async def test_a_store_that_was_closed_is_opened_and_written_to_on_a_full_disk(small_disk, open_file):
    """Its log is made anew then."""
    store = await open_file("disk/state.db")
    await store.write("/a", encode)
    await store.close()
    fill(small_disk / "filler")
    for number in range(3):
        store = await open_file("disk/state.db")
        await store.write(f"/{number}", encode)
        await store.close()
    assert store.revision == 4


async def test_what_is_kept_beside_a_closed_store_is_gone_while_it_is_open(tmp_path, open_file):
    store = await open_file()
    await store.close()
    kept = tmp_path / "state.db-room"
    assert (kept.stat().st_size, kept.stat().st_mode & 0o777) == (0, 0o600)
    await open_file()
    assert not kept.exists()
