"""The control groups of a cluster without root: noted, found again, taken away; in trees of plain files."""

from __future__ import annotations

import errno
import os

import pytest

from holdfast.cluster.home import Home
from holdfast.cluster.own_groups import OwnGroups, groups_name
from holdfast.node import delegation


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "h")
    made.make()
    return made


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A tree in which `/a/shell` is the process' own group; `take` moves it."""
    root, own = tmp_path / "groups", tmp_path / "own"
    (root / "a/shell").mkdir(parents=True)
    (root / "b").mkdir()
    own.write_text("0::/a/shell\n")
    monkeypatch.setattr(delegation, "ROOT", root)
    monkeypatch.setattr(delegation, "OWN", own)
    monkeypatch.setattr(delegation.linux, "filesystem_magic", lambda path: 0x63677270)
    users = {"/a", "/b"}

    def take(group, leaf):
        if group not in users:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        delegation.directory(group).joinpath(leaf).mkdir(exist_ok=True)
        own.write_text(f"0::{group}/{leaf}\n")

    monkeypatch.setattr(delegation, "take", take)
    return users


def leaf(home):
    return f"{groups_name(home)}-agents"


def test_r35_the_group_is_noted_for_who_is_inside(home, groups):
    assert OwnGroups(home).group == ""
    OwnGroups(home).enter()
    assert OwnGroups(home).group == "/a"
    delegation.OWN.write_text("0::/a/shell\n")
    assert OwnGroups(home).group == ""


def test_r46_the_next_daemon_goes_where_the_last_one_was(home, groups):
    OwnGroups(home).enter()
    delegation.directory("/b/shell").mkdir()
    delegation.OWN.write_text("0::/b/shell\n")
    OwnGroups(home).enter()
    assert delegation.own_group() == f"/a/{leaf(home)}"


def test_a_group_that_is_gone_or_empty_is_left_for_another(home, groups):
    OwnGroups(home).enter()
    groups.discard("/a")
    delegation.OWN.write_text("0::/b\n")
    OwnGroups(home).enter()
    assert OwnGroups(home).group == "/b"
    assert not (delegation.ROOT / "a" / leaf(home)).exists()


def test_pods_that_run_in_a_group_out_of_reach_are_not_forgotten(home, groups):
    OwnGroups(home).enter()
    (delegation.ROOT / "a" / f"{groups_name(home)}-0" / "busy").mkdir(parents=True)
    (delegation.ROOT / "a" / f"{groups_name(home)}-0" / "busy" / "in-use").touch()  # what keeps the kernel from it
    groups.discard("/a")
    delegation.OWN.write_text("0::/b\n")
    OwnGroups(home).enter()
    assert OwnGroups(home).group == ""
    assert (home.run / "control-group").read_text() == "/a"


def test_nothing_is_left_after_the_end(home, groups):
    OwnGroups(home).enter()
    (delegation.ROOT / "a" / f"{groups_name(home)}-1" / "pod").mkdir(parents=True)
    (delegation.ROOT / "a" / "holdfast-another-0").mkdir()
    assert OwnGroups(home).remove()
    assert sorted(os.listdir(delegation.ROOT / "a")) == ["holdfast-another-0", "shell"]
    assert not (home.run / "control-group").exists()
    assert OwnGroups(home).remove()
