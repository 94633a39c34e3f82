"""Control groups that are an ordinary user's: which one is taken, in trees of plain files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.node import capabilities, delegation

OWN = "/user.slice/user@7.service/app.slice/shell.scope"
CONTROLLERS = "cpuset cpu memory pids"
_CGROUP2_MAGIC, _TMPFS_MAGIC = 0x63677270, 0x01021994


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All groups down to the process' own, as the kernel shows them to who may write everywhere."""
    root = tmp_path / "groups"
    for group in reversed([*delegation.upwards(OWN)]):
        directory = root / group.lstrip("/")
        directory.mkdir()
        (directory / "cgroup.controllers").write_text(CONTROLLERS)
    (tmp_path / "own").write_text(f"1:name=other:/\n0::{OWN}\n")
    monkeypatch.setattr(delegation, "ROOT", root)
    monkeypatch.setattr(delegation, "OWN", tmp_path / "own")
    monkeypatch.setattr(delegation.linux, "filesystem_magic", lambda path: _CGROUP2_MAGIC)
    monkeypatch.setattr(delegation, "LINGERING", tmp_path / "lingering")
    return root


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has groups, by their number going up from the process' own, refuse what is not the user's to do."""
    hand_on = delegation.hand_on

    def refuse(refusals: dict[int, int]) -> None:
        groups = {delegation.directory(group): number for number, group in enumerate(delegation.upwards(OWN))}

        def refusing(group: Path) -> None:
            if (number := groups[group]) in refusals:
                raise OSError(refusals[number], os.strerror(refusals[number]))
            hand_on(group)

        monkeypatch.setattr(delegation, "hand_on", refusing)

    return refuse


def moved_to(tree: Path) -> str:
    """Where the process has written itself last."""
    files = [path for path in tree.rglob("cgroup.procs") if path.read_text() == "0"]
    return str(max(files, key=lambda path: path.stat().st_mtime_ns).parent.relative_to(tree))


def test_r35_a_group_of_its_own_is_taken_from_a_leaf(tree: Path) -> None:
    assert delegation.enter("leaf") == OWN
    assert moved_to(tree) == f"{OWN[1:]}/leaf"
    assert delegation.handed_on(tree / OWN[1:]) == {"+pids"}  # a file keeps what was written last


def test_r35_where_others_are_in_it_the_next_one_above_is_taken(tree: Path, refuse: Callable[..., None]) -> None:
    refuse({0: errno.EBUSY})
    assert delegation.enter("leaf") == "/user.slice/user@7.service/app.slice"
    assert moved_to(tree) == "user.slice/user@7.service/app.slice/leaf"


@pytest.mark.parametrize(
    ("first", "words"),
    [(errno.EACCES, "Permission denied"), (errno.EBUSY, f"other processes are in {OWN}")],
)
def test_where_none_is_the_users_it_is_told_why_and_nothing_has_moved(
    tree: Path, refuse: Callable[..., None], first: int, words: str
) -> None:
    refuse({0: first, **dict.fromkeys(range(1, 5), errno.EACCES)})
    with pytest.raises(OSError, match=words):
        delegation.enter("leaf")
    assert moved_to(tree) == OWN[1:]


@pytest.mark.parametrize(("controllers", "missing"), [("cpu pids", ["memory"]), ("memory", ["CPU"])])
def test_what_there_is_is_handed_on(tree: Path, controllers: str, missing: list[str]) -> None:
    (tree / OWN[1:] / "cgroup.controllers").write_text(controllers)
    assert delegation.enter("leaf") == OWN
    assert delegation.missing(frozenset(controllers.split())) == missing


def test_a_group_that_can_limit_nothing_is_passed_over(tree: Path) -> None:
    (tree / OWN[1:] / "cgroup.controllers").write_text("pids cpuset")
    assert delegation.enter("leaf") == "/user.slice/user@7.service/app.slice"


def test_r30_there_is_none_beside_hierarchies_of_version_1(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegation.linux, "filesystem_magic", lambda path: _TMPFS_MAGIC)
    assert delegation.own_group() == ""
    with pytest.raises(OSError, match="no control groups of version 2 alone"):
        delegation.enter("leaf")


def test_a_trial_is_undone(tree: Path) -> None:
    own = tree / OWN[1:]
    (own / "cgroup.subtree_control").write_text("pids\n")
    before = delegation.state()
    (own / "leaf").mkdir()
    (own / "cgroup.subtree_control").write_text("cpu pids\n")
    assert delegation.undo("leaf", before) == (OWN, {"cpu", "pids"})
    assert not (own / "leaf").exists()
    assert (own / "cgroup.subtree_control").read_text() == "-cpu"


# The user's systemd


@pytest.fixture
def manager(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A systemd-run that does as the lines of a shell say."""

    def install(script: str) -> None:
        program = tmp_path / "bin" / "systemd-run"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


def linger() -> None:
    delegation.LINGERING.mkdir()
    (delegation.LINGERING / delegation.user_name()).touch()


SHIFT = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'


def test_the_users_systemd_is_asked_where_it_stays(manager: Callable[[str], None]) -> None:
    manager(f'test -n "$XDG_RUNTIME_DIR" || exit 1; {SHIFT}')
    assert delegation.handed_by_manager() == frozenset()
    linger()
    assert delegation.handed_by_manager() == {"cpu", "memory", "pids"}


def test_who_is_in_one_of_its_groups_already_loses_nothing(tree: Path, manager: Callable[[str], None]) -> None:
    manager(SHIFT)
    own = f"user@{os.getuid()}.service"
    (tree / own).mkdir()
    (tree / own / "cgroup.controllers").write_text("memory pids\n")
    delegation.OWN.write_text(f"0::/{own}\n")
    assert delegation.handed_by_manager() == {"memory", "pids"}
    found = capabilities._delegated_groups()
    assert (found.ok, found.detail) == (False, "v2, those of the user's systemd: not of CPU")
    assert found.cure.startswith("Delegate=cpu memory pids")


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 600"])
def test_a_systemd_that_refuses_or_does_not_answer_makes_none(
    manager: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(delegation, "TRIED_FOR_S", 0.3)
    manager(script)
    linger()
    assert delegation.handed_by_manager() == frozenset()


def test_doctor_says_what_would_make_limits_hold(manager: Callable[[str], None], refuse: Callable[..., None]) -> None:
    refuse(dict.fromkeys(range(5), errno.EACCES))
    manager(SHIFT)
    found = capabilities._delegated_groups()
    assert (found.ok, found.detail) == (False, "Permission denied")
    assert found.cure.startswith("loginctl enable-linger, or run as root")
    linger()
    found = capabilities._delegated_groups()
    assert (found.ok, found.detail) == (True, "v2, those of the user's systemd: cpu, memory, pids")
