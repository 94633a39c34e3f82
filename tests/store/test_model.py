"""Any history of calls, against a model that is a dict and a list."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.store import Change, Compacted, Entry, RevisionMismatch
from holdfast.store.memory import MemoryStore
from holdfast.store.sqlite import SqliteStore
from holdfast.world import SystemClock

KEYS = st.sampled_from(["/a/1", "/a/2", "/a/10", "/b/1", "/b"])
CALLS = st.one_of(
    st.tuples(st.just("write"), KEYS, st.sampled_from(["any", "right", "wrong", "absent"])),
    st.tuples(st.just("delete"), KEYS, st.sampled_from(["any", "right", "wrong"])),
    st.tuples(st.just("range"), st.sampled_from(["", "/a/", "/b"]), st.integers(0, 30), st.integers(0, 3)),
    st.tuples(st.just("watch"), st.sampled_from(["", "/a/"]), st.integers(0, 30)),
    st.tuples(st.just("compact"), st.integers(0, 30)),
    st.tuples(st.just("reopen")),
)


@dataclass
class Model:
    entries: dict[str, Entry] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    oldest: int = 0

    @property
    def revision(self) -> int:
        return len(self.changes)

    def at(self, revision: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for change in self.changes[:revision]:
            entries.pop(change.key, None)
            if not change.is_delete:
                entries[change.key] = Entry(change.key, change.value, change.revision)
        return entries


def encode(revision: int) -> bytes:
    return b"%d" % revision


async def run(calls: list[tuple], path: Path | None) -> None:
    clock = SystemClock()
    model = Model()
    store = SqliteStore(path, clock) if path else MemoryStore(clock)
    await store.open()
    for call in calls:
        match call:
            case ("write", key, expectation):
                await write(store, model, key, expectation)
            case ("delete", key, expectation):
                await delete(store, model, key, expectation)
            case ("range", prefix, at, limit):
                compare_range(store, model, prefix, min(at, model.revision), limit)
            case ("watch", prefix, after):
                await compare_watch(store, model, prefix, min(after, model.revision))
            case ("compact", before):
                await store.compact(before)
                model.oldest = max(model.oldest, min(before, model.revision))
            case _ if path:
                await store.close()
                store = SqliteStore(path, clock)
                await store.open()
                # Compaction may not have reached the disk; then more history is back.
                assert store.oldest_revision <= model.oldest
                model.oldest = store.oldest_revision
        assert store.revision == model.revision
        assert {e.key: e for e in store.range("").entries} == model.entries
        assert store.oldest_revision == model.oldest
    await store.close()


def expected_revision(model: Model, key: str, expectation: str) -> int | None:
    current = model.entries.get(key)
    right = current.revision if current else 0
    return {"any": None, "right": right, "wrong": right + 1, "absent": 0}[expectation]


async def write(store, model: Model, key: str, expectation: str) -> None:
    current, expected = model.entries.get(key), expected_revision(model, key, expectation)
    if expected is not None and expected != (current.revision if current else 0):
        with pytest.raises(RevisionMismatch):
            await store.write(key, encode, expected=expected)
        return
    entry = await store.write(key, encode, expected=expected)
    assert entry == Entry(key, encode(model.revision + 1), model.revision + 1)
    model.changes.append(Change(key, entry.revision, entry.value, False, current))
    model.entries[key] = entry


async def delete(store, model: Model, key: str, expectation: str) -> None:
    current, expected = model.entries.get(key), expected_revision(model, key, expectation)
    if current is None or (expected is not None and expected != current.revision):
        with pytest.raises(RevisionMismatch):
            await store.delete(key, encode, expected=expected)
        return
    change = await store.delete(key, encode, expected=expected)
    assert change == Change(key, model.revision + 1, encode(model.revision + 1), True, current)
    model.changes.append(change)
    del model.entries[key]


def compare_range(store, model: Model, prefix: str, at: int, limit: int) -> None:
    if 0 < at < model.oldest:
        with pytest.raises(Compacted):
            store.range(prefix, at=at)
        return
    wanted = [e for k, e in sorted(model.at(at or model.revision).items()) if k.startswith(prefix)]
    got: list[Entry] = []
    start = ""
    while True:
        page = store.range(prefix, at=at, limit=limit, start=start)
        got.extend(page.entries)
        assert page.revision == (at or model.revision)
        assert page.remaining == len(wanted) - len(got)
        if not page.next_key:
            break
        assert len(page.entries) == limit
        start = page.next_key
    assert got == wanted


async def compare_watch(store, model: Model, prefix: str, after: int) -> None:
    watch = store.watch(prefix, after)
    if after < model.oldest:
        with pytest.raises(Compacted):
            await anext(watch)
        return
    for wanted in model.changes[after:]:
        if wanted.key.startswith(prefix):
            assert await anext(watch) == wanted
    await watch.aclose()


@given(st.lists(CALLS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_memory_store_is_a_dict_and_a_list(calls):
    asyncio.run(run(calls, None))


@given(st.lists(CALLS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_the_sqlite_store_is_a_dict_and_a_list_across_restarts(calls):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(calls, Path(folder) / "state.db"))
