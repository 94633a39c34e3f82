"""What every backend promises: `holdfast.store.Store`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from holdfast.store import ABSENT, Change, Compacted, Entry, FutureRevision, RevisionMismatch, Store, StoreFailed


def value(text: str) -> Callable[[int], bytes]:
    """Bytes that carry their own revision."""
    return lambda revision: f"{text}@{revision}".encode()


async def put(store: Store, *keys: str) -> None:
    for key in keys:
        await store.write(key, value(key))


async def test_a_new_store_is_empty_at_revision_zero(store):
    assert (store.revision, store.oldest_revision, store.get("/a")) == (0, 0, None)
    assert store.range("/").entries == ()


async def test_each_write_takes_the_next_revision_and_its_bytes_know_it(store):
    first = await store.write("/a", value("x"))
    second = await store.write("/b", value("y"))
    assert (first, second) == (Entry("/a", b"x@1", 1), Entry("/b", b"y@2", 2))
    assert store.get("/a") is first
    assert store.revision == 2


@pytest.mark.parametrize("expected", [ABSENT, 7])
async def test_a_write_that_expects_another_revision_takes_none(store, expected):
    entry = await store.write("/a", value("x"))
    with pytest.raises(RevisionMismatch) as mismatch:
        await store.write("/a", value("y"), expected=expected)
    assert mismatch.value.latest is entry
    assert store.revision == 1


async def test_a_write_may_expect_that_there_is_nothing(store):
    assert (await store.write("/a", value("x"), expected=ABSENT)).revision == 1
    with pytest.raises(RevisionMismatch):
        await store.write("/b", value("x"), expected=1)


async def test_deleting_removes_the_key_and_keeps_its_last_state_for_watchers(store):
    entry = await store.write("/a", value("x"))
    change = await store.delete("/a", value("gone"), expected=1)
    assert change == Change("/a", 2, b"gone@2", True, entry)
    assert store.get("/a") is None
    assert store.latest("/a") is None
    assert (await store.write("/a", value("again"), expected=ABSENT)).revision == 3


async def test_what_is_not_there_cannot_be_deleted(store):
    with pytest.raises(RevisionMismatch) as mismatch:
        await store.delete("/a", value("x"))
    assert mismatch.value.latest is None
    entry = await store.write("/a", value("x"))
    with pytest.raises(RevisionMismatch) as mismatch:
        await store.delete("/a", value("x"), expected=9)
    assert mismatch.value.latest is entry


async def test_an_encoder_that_raises_takes_no_revision(store):
    def broken(revision: int) -> bytes:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await store.write("/a", broken)
    assert (await store.write("/a", value("x"))).revision == 1


async def test_one_of_many_concurrent_writers_wins_and_the_others_learn_the_winner(store):
    results = await asyncio.gather(
        *(store.write("/a", value(str(n)), expected=ABSENT) for n in range(5)), return_exceptions=True
    )
    assert results[0] == Entry("/a", b"0@1", 1)
    assert [r.latest for r in results[1:]] == [results[0]] * 4


async def test_writes_get_their_revisions_in_the_order_of_the_calls(store):
    entries = await asyncio.gather(*(store.write(f"/{n}", value("x")) for n in range(20)))
    assert [entry.revision for entry in entries] == list(range(1, 21))


async def test_a_range_is_in_byte_order_and_ends_with_its_prefix(store):
    await put(store, "/b/2", "/a/1", "/b/10", "/b0", "/c/1", "/b/é", "/b/\U0001f40c")
    keys = [entry.key for entry in store.range("/b/").entries]
    assert keys == sorted(["/b/10", "/b/2", "/b/é", "/b/\U0001f40c"], key=str.encode)


async def test_a_range_comes_in_pages(store):
    await put(store, *(f"/p/{n}" for n in range(5)), "/q/1")
    first = store.range("/p/", limit=2)
    assert ([e.key for e in first.entries], first.next_key, first.remaining) == (["/p/0", "/p/1"], "/p/2", 3)
    rest = store.range("/p/", start=first.next_key, limit=3)
    assert ([e.key for e in rest.entries], rest.next_key, rest.remaining) == (["/p/2", "/p/3", "/p/4"], "", 0)
    assert store.range("/p/", start="/q").entries == ()
    assert store.range("/r").entries == ()


async def test_a_range_at_an_earlier_revision_shows_what_was(store):
    await put(store, "/p/1", "/p/2", "/q/1", "/p/3")
    await store.write("/p/2", value("new"))
    await store.delete("/p/1", value("gone"))
    await store.write("/p/1", value("reborn"))
    await put(store, "/p/0")
    page = store.range("/p/", at=4, limit=2)
    assert [e.value for e in page.entries] == [b"/p/1@1", b"/p/2@2"]
    assert (page.revision, page.next_key, page.remaining) == (4, "/p/3", 1)
    assert [e.key for e in store.range("/p/", at=6).entries] == ["/p/2", "/p/3"]
    assert store.range("/p/", at=1).entries == (Entry("/p/1", b"/p/1@1", 1),)


async def test_a_range_in_the_future_is_refused(store):
    with pytest.raises(FutureRevision):
        store.range("/", at=1)


async def test_listeners_hear_every_change_once_and_in_order_before_its_writer_goes_on(store):
    heard: list[Change] = []
    end = store.listen(heard.extend)
    for n in range(3):
        entry = await store.write("/a", value(str(n)))
        assert heard[-1].revision == entry.revision
        assert store.get("/a") is entry
    assert [(c.value, c.previous and c.previous.value) for c in heard] == [
        (b"0@1", None),
        (b"1@2", b"0@1"),
        (b"2@3", b"1@2"),
    ]
    end()
    await put(store, "/b")
    assert len(heard) == 3


async def test_a_watch_replays_and_then_waits(store):
    await put(store, "/a/1", "/b/1", "/a/2")
    seen: list[int] = []

    async def watch() -> None:
        async for change in store.watch("/a/", after=1):
            seen.append(change.revision)
            if change.is_delete:
                return

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    assert seen == [3]
    await put(store, "/a/3", "/c/1")
    await store.delete("/a/1", value("gone"))
    await asyncio.wait_for(watching, 60)
    assert seen == [3, 4, 6]


async def test_watchers_do_not_disturb_each_other(store):
    watches = [store.watch("/", after=0) for _ in range(3)]
    waiting = [asyncio.create_task(anext(watch)) for watch in watches]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    await put(store, "/a")
    assert [(await w).revision for w in waiting[1:]] == [1, 1]


async def test_compaction_forgets_history_and_keeps_what_is_current(store):
    await put(store, "/a", "/b", "/a", "/c")
    await store.delete("/b", value("gone"))
    await store.compact(5)
    assert store.oldest_revision == 5
    assert [e.revision for e in store.range("/").entries] == [3, 4]
    with pytest.raises(Compacted) as compacted:
        await anext(store.watch("/", after=4))
    assert compacted.value.oldest == 5
    with pytest.raises(Compacted):
        store.range("/", at=4)
    assert [e.key for e in store.range("/", at=5).entries] == ["/a", "/c"]
    await put(store, "/d")
    assert (await anext(store.watch("/", after=5))).revision == 6


async def test_history_leaves_by_age_but_never_below_a_number_of_changes(store, clock):
    for n in range(800):
        await store.write("/a", value(str(n)))
    clock.seconds = 99
    await put(store, "/a")
    assert store.oldest_revision == 0
    clock.seconds = 150
    await put(store, "/a")
    assert 0 < store.oldest_revision <= store.revision - 300
    clock.seconds = 1000
    await put(store, "/a")
    assert store.revision - 300 - 256 <= store.oldest_revision <= store.revision - 300


async def test_a_watch_that_falls_out_of_the_history_is_told(store):
    watch = store.watch("/", after=0)
    await put(store, "/a", "/b", "/c")
    assert (await anext(watch)).revision == 1
    await store.compact(3)
    # What it was already given goes on, in order; then the gap shows.
    seen = []
    await put(store, "/d")
    with pytest.raises(Compacted):
        await anext(store.watch("/", after=1))
    async for change in watch:
        seen.append(change.revision)
        if change.revision == 4:
            break
    assert seen == [2, 3, 4]


async def test_a_closed_store_ends_its_watches_and_accepts_nothing(store):
    async def watch() -> list[Change]:
        return [change async for change in store.watch("/", after=0)]

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await put(store, "/a")
    await store.close()
    assert [c.key for c in await asyncio.wait_for(watching, 60)] == ["/a"]
    with pytest.raises(StoreFailed):
        await store.write("/b", value("x"))


async def test_a_cancelled_writer_still_has_written(store):
    async def write() -> None:
        await store.write("/a", value("x"))

    writing = asyncio.create_task(write())
    await asyncio.sleep(0)
    writing.cancel()
    await put(store, "/b")
    assert store.get("/a") == Entry("/a", b"x@1", 1)
