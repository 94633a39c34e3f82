"""The cluster's state, lost while its volumes are not."""

import contextlib
import sqlite3

import pytest

from holdfast.cluster.home import Damaged, Home
from holdfast.cluster.serving import check_state, in_words
from holdfast.store import StoreFailed
from holdfast.store.sqlite import SqliteStore
from holdfast.world import SystemClock


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "h")
    home.make()
    return home


@pytest.mark.parametrize("entry", [".pool", "pvc-eb508183-c6b0-4a80-8c46-44321c8e24cc"])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "empty"])
def test_volumes_whose_cluster_is_forgotten_are_not_left_to_an_empty_one(home, entry, is_there):
    (home.volumes / entry).mkdir()
    if is_there:
        home.database.touch()
    with pytest.raises(Damaged, match=r"state.db is missing or empty, and there are volumes .*: put a copy"):
        check_state(home)


def test_a_new_cluster_has_neither(home):
    (home.volumes / ".making").mkdir()
    check_state(home)


def test_a_state_that_another_user_has_left_is_said_to_be_one(home, monkeypatch):
    home.database.write_text("something")
    monkeypatch.setattr("os.access", lambda *given: False)
    with pytest.raises(PermissionError) as said:
        check_state(home)
    assert said.value.filename == str(home.database)


def test_what_is_there_is_for_the_store_to_judge(home):
    (home.volumes / ".pool").mkdir()
    home.database.write_text("something")
    check_state(home)


async def refusal(path):
    with pytest.raises(StoreFailed) as refused:
        await SqliteStore(path, SystemClock()).open()
    return in_words(refused.value)


async def test_a_database_that_is_none_is_named_with_what_to_do(home):
    home.database.write_bytes(b"no database " * 1000)
    assert "file is not a database: put a copy of the data directory back" in await refusal(home.database)


async def test_one_that_was_cut_off_too(home):
    store = SqliteStore(home.database, SystemClock())
    await store.open()
    for number in range(200):
        await store.write(f"/key/{number}", lambda revision: b"x" * 1000)
    await store.close()
    with home.database.open("r+b") as file:
        file.truncate(20_000)
    assert "malformed: put a copy of the data directory back" in await refusal(home.database)


async def test_what_is_the_disks_fault_is_not_called_damage(home):
    home.database.mkdir()
    assert await refusal(home.database) == ""


async def test_one_of_a_later_version_is_not_to_be_thrown_away(home):
    with contextlib.closing(sqlite3.connect(home.database)) as file:
        file.execute("PRAGMA user_version=1000")
    assert (await refusal(home.database)).endswith("made by a later version of holdfast (schema 1000)")
