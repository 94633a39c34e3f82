"""What only the file can break: crashes, restarts, sharing, the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.store import Compacted, RevisionMismatch, StoreFailed
from holdfast.store.state import Window


def encode(revision: int) -> bytes:
    return b"%d" % revision


async def test_reads_see_only_what_is_committed_and_expectations_what_is_assigned(open_file):
    store = await open_file()
    writing = asyncio.create_task(store.write("/a", encode))
    await asyncio.sleep(0)
    assert store.get("/a") is None
    assert store.latest("/a").revision == 1
    assert store.range("/").entries == ()
    with pytest.raises(RevisionMismatch):
        await store.write("/a", encode, expected=0)
    deleting = asyncio.create_task(store.delete("/a", encode, expected=1))
    await asyncio.sleep(0)
    assert store.latest("/a") is None
    await asyncio.gather(writing, deleting)
    assert (store.get("/a"), store.revision) == (None, 2)


async def test_everything_is_back_after_a_restart_history_included(open_file):
    store = await open_file()
    for key in ("/a", "/b", "/a"):
        await store.write(key, encode)
    await store.delete("/b", encode)
    await store.close()
    store = await open_file()
    assert (store.revision, store.oldest_revision) == (4, 0)
    assert [(e.key, e.value, e.revision) for e in store.range("/").entries] == [("/a", b"3", 3)]
    watch = store.watch("/", after=1)
    changes = [await anext(watch) for _ in range(3)]
    assert [(c.revision, c.is_delete, c.previous and c.previous.revision) for c in changes] == [
        (2, False, None),
        (3, False, 1),
        (4, True, 2),
    ]
    assert (await store.write("/c", encode)).revision == 5


async def test_the_counter_survives_that_the_last_write_was_a_deletion_and_is_compacted(open_file):
    store = await open_file()
    await store.write("/a", encode)
    await store.delete("/a", encode)
    await store.compact(2)
    await store.close()
    store = await open_file()
    assert (store.revision, store.oldest_revision) == (2, 2)
    assert (await store.write("/a", encode)).revision == 3
    await store.compact(3)
    assert rows(store) == [(3,)] or rows(store) == [(2,), (3,)]


def rows(store) -> list[tuple[int]]:
    file = sqlite3.connect(store._path)
    try:
        return file.execute("SELECT revision FROM revision ORDER BY 1").fetchall()
    finally:
        file.close()


async def test_compaction_takes_superseded_rows_from_the_file_in_slices_and_the_claim_to_history_with_them(open_file):
    store = await open_file()
    await asyncio.gather(*(store.write(f"/{n % 10}", encode) for n in range(1000)))
    await store.compact(1000)
    assert len(rows(store)) == 10
    assert store.counters.compacted_rows == 990
    await store.close()
    store = await open_file()
    assert store.oldest_revision == 1000
    assert len(store.range("/").entries) == 10
    with pytest.raises(Compacted):
        await anext(store.watch("/", after=999))


async def test_the_file_does_not_grow_with_time(open_file, clock):
    store = await open_file(window=Window(seconds=10, least_changes=100))
    value = b"x" * 1000
    sizes = []
    for _ in range(4):
        for _ in range(60):
            await asyncio.gather(*(store.write(f"/{n}", lambda revision: value) for n in range(100)))
            clock.seconds += 1
        await store._when_quiet()
        sizes.append(store._path.stat().st_size)
    assert len(rows(store)) < 4000
    assert sizes[3] <= sizes[1] * 1.5


async def test_writers_that_never_pause_do_not_keep_the_file_from_being_compacted(open_file, clock, monkeypatch):
    monkeypatch.setattr("holdfast.store.sqlite.OVERDUE_ROWS", 500)
    store = await open_file(window=Window(seconds=1, least_changes=100))
    until = 6000

    async def writer(name: int) -> None:
        while store.revision < until:
            await store.write(f"/{name}", encode)
            clock.seconds += 0.1

    writers = [asyncio.create_task(writer(name)) for name in range(20)]
    most = 0
    while not all(task.done() for task in writers):
        await asyncio.wait(writers, timeout=0.02)
        most = max(most, len(store._garbage))
    assert store.counters.compacted_rows > 3000
    assert most < 3000


async def test_writes_that_come_together_share_one_commit(open_file):
    store = await open_file()
    await asyncio.gather(*(store.write(f"/{n}", encode) for n in range(50)))
    assert (store.counters.writes, store.counters.commits) == (50, 1)


async def test_writes_that_come_during_a_commit_share_the_next(open_file):
    store = await open_file()
    first = asyncio.create_task(store.write("/first", encode))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store._is_busy
    await asyncio.gather(first, *(store.write(f"/{n}", encode) for n in range(50)))
    assert (store.counters.writes, store.counters.commits) == (51, 2)


async def test_a_batch_is_told_to_listeners_in_one_call(open_file):
    store = await open_file()
    calls: list[int] = []
    store.listen(lambda changes: calls.append(len(changes)))
    await asyncio.gather(*(store.write(f"/{n}", encode) for n in range(50)))
    assert calls == [50]


async def test_the_file_and_its_log_are_for_the_owner_alone(open_file):
    previous = os.umask(0)
    try:
        store = await open_file("folder/state.db")
        await store.write("/a", encode)
        for path in store._path.parent.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(store._path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(previous)


async def test_two_stores_never_share_a_file(open_file):
    store = await open_file()
    with pytest.raises(StoreFailed, match="in use by another process"):
        await open_file()
    await store.close()
    await open_file()


async def test_a_file_that_is_no_database_is_refused(open_file, tmp_path):
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreFailed, match="not a database"):
        await open_file()


async def test_a_file_of_a_later_version_is_refused(open_file, tmp_path):
    file = sqlite3.connect(tmp_path / "state.db")
    file.execute("PRAGMA user_version=99")
    file.close()
    with pytest.raises(StoreFailed, match="later version"):
        await open_file()


async def test_a_file_with_a_hole_in_its_history_is_refused(open_file):
    store = await open_file()
    for _ in range(3):
        await store.write("/a", encode)
    await store.close()
    file = sqlite3.connect(store._path)
    with file:
        file.execute("DELETE FROM revision WHERE revision = 2")
    file.close()
    with pytest.raises(StoreFailed, match="revision 2 is missing"):
        await open_file()


async def test_a_failed_commit_fails_every_writer_and_all_that_come_later(open_file):
    failures: list[Exception] = []
    store = await open_file(failed=failures.append)
    await store.write("/a", encode)

    def broken(rows: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    store._insert = broken
    results = await asyncio.gather(*(store.write(f"/{n}", encode) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreFailed] * 3
    with pytest.raises(StoreFailed, match="disk I/O error"):
        await store.write("/b", encode)
    assert len(failures) == 1
    closing = asyncio.create_task(store.close())
    await asyncio.wait_for(closing, 60)
    assert (store.revision, store.get("/0")) == (1, None)


WRITER = """
import asyncio, sys
from pathlib import Path
from holdfast.store.sqlite import SqliteStore
from holdfast.world import SystemClock

async def main():
    store = SqliteStore(Path(sys.argv[1]), SystemClock())
    await store.open()
    async def writer(name):
        while True:
            entry = await store.write(f"/{name}/{store.revision % 7}", lambda r: b"%d" % r)
            print(entry.revision, entry.key, flush=True)
    await asyncio.gather(*(writer(n) for n in range(4)))

asyncio.run(main())
"""


def write_until_killed(path: Path, acknowledged: dict[int, str]) -> None:
    """Runs a writer, notes what it was told is written, kills it in the middle."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(150)]
    process.kill()
    lines += [line for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    process.wait()
    for line in lines:
        revision, key = line.split()
        assert int(revision) not in acknowledged
        acknowledged[int(revision)] = key


async def test_no_acknowledged_write_is_lost_to_kill_9_and_the_counter_never_runs_backwards(open_file, tmp_path):
    acknowledged: dict[int, str] = {}
    for _ in range(3):
        before = max(acknowledged, default=0)
        await asyncio.to_thread(write_until_killed, tmp_path / "state.db", acknowledged)
        store = await open_file()
        assert store.revision >= max(acknowledged) >= before + 150
        watch = store.watch("/", after=0)
        for revision in range(1, store.revision + 1):
            change = await anext(watch)
            assert (change.revision, change.value) == (revision, b"%d" % revision)
            assert acknowledged.get(revision, change.key) == change.key
        await store.close()
