"""Control groups as files: what is written where, on either layout, without a kernel that has both."""

from __future__ import annotations

import pytest

from holdfast.node.runtime import ContainerResources
from holdfast.node.runtime.oci import cgroups
from holdfast.node.runtime.oci.cgroups import Groups, Layout, find_groups, weight

FULL = ContainerResources(memory_limit_bytes=96 << 20, cpu_quota_us=50_000, cpu_shares=1024)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for name in ("pods/a", "memory/pods/a", "cpu/pods/a"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_n141_n148_on_cgroup2_limits_are_changed_and_taken_away(root):
    groups = Groups("pods", Layout.V2)
    groups.limit("/pods/a", FULL)
    group = root / "pods" / "a"
    assert [(group / name).read_text() for name in ("memory.max", "cpu.max", "cpu.weight")] == [
        str(96 << 20),
        "50000 100000",
        "39",
    ]
    groups.limit("/pods/a", ContainerResources())
    assert [(group / name).read_text() for name in ("memory.max", "cpu.max")] == ["max", "max 100000"]


def test_n141_n148_on_cgroup1_limits_are_changed_and_taken_away(root):
    memory, cpu = root / "memory/pods/a", root / "cpu/pods/a"
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (memory / name).write_text(str(64 << 20))
    groups = Groups("pods", Layout.V1)
    groups.limit("/pods/a", FULL)
    assert (memory / "memory.limit_in_bytes").read_text() == str(96 << 20)
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == str(96 << 20)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert (cpu / "cpu.shares").read_text() == "1024"
    groups.limit("/pods/a", ContainerResources())
    assert (memory / "memory.limit_in_bytes").read_text() == "-1"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "-1"
    assert (cpu / "cpu.shares").read_text() == "2"


def test_n141_without_swap_accounting_only_memory_is_limited(root):
    (root / "memory/pods/a/memory.limit_in_bytes").write_text("0")
    Groups("pods", Layout.V1).limit("/pods/a", FULL)
    assert not (root / "memory/pods/a/memory.memsw.limit_in_bytes").exists()


def test_n148_where_there_are_no_groups_nothing_is_limited(root):
    Groups("pods", Layout.NONE).limit("/pods/a", FULL)
    Groups("pods", Layout.V2).limit("", FULL)
    assert not list((root / "pods/a").iterdir())


def test_n142_a_pod_has_a_level_of_its_own(root):
    Groups("pods", Layout.V1).limit_pod("b", FULL)
    assert (root / "memory/pods/b").is_dir()
    (root / "memory/pods/b/memory.limit_in_bytes").write_text("0")  # a kernel makes it with its directory
    Groups("pods", Layout.V1).limit_pod("b", FULL)
    assert (root / "memory/pods/b/memory.limit_in_bytes").read_text() == str(96 << 20)
    assert (root / "cpu/pods/b/cpu.cfs_quota_us").read_text() == "50000"
    Groups("pods", Layout.V2).limit_pod("b", FULL)
    assert (root / "pods/b/memory.max").read_text() == str(96 << 20)
    assert [(level / "cgroup.subtree_control").read_text() for level in (root, root / "pods")] == ["+cpu +memory"] * 2
    Groups("pods", Layout.NONE).limit_pod("c", FULL)
    assert not (root / "pods/c").exists()


def test_n142_a_pod_is_not_limited_where_controllers_are_not_passed_on(root):
    (root / "cgroup.subtree_control").mkdir()
    Groups("pods", Layout.V2).limit_pod("b", FULL)
    assert not list((root / "pods/b").iterdir())


@pytest.mark.parametrize(("shares", "expected"), [(2, 1), (1024, 39), (262_144, 10_000)])
def test_n141_shares_become_a_weight(shares, expected):
    assert weight(shares) == expected


@pytest.mark.parametrize(
    ("layout", "own"),
    [(Layout.V2, "pods/a"), (Layout.V1, "memory/pods/a"), (Layout.NONE, None)],
)
def test_a_move_is_prepared_by_one_that_changes_nothing(root, tmp_path, monkeypatch, layout, own):
    lines = ["9:name=nowhere:/pods/a", "4:memory:/pods/a", "0::/pods/a"]
    (tmp_path / "own").write_text("\n".join(lines))
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    Groups("pods", layout).prepare_move()
    written = {str(path.parent.relative_to(root)): path.read_text() for path in root.rglob("cgroup.procs")}
    assert written == ({own: "0"} if own else {})


def test_a_move_that_cannot_be_prepared_is_none(root, tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "none")
    Groups("pods", Layout.V1).prepare_move()


def test_r35_below_a_group_of_the_users_only_that_one_hands_on(root):
    groups = Groups("pods", Layout.V2, "/user/own")
    (root / "user/own").mkdir(parents=True)
    groups.limit_pod("a", FULL)
    assert groups.path("a", "c") == "/user/own/pods/a/c"
    assert (root / "user/own/pods/a/memory.max").read_text() == str(96 << 20)
    handing = [str(path.parent.relative_to(root)) for path in root.rglob("cgroup.subtree_control")]
    assert sorted(handing) == ["user/own", "user/own/pods"]


@pytest.mark.parametrize(
    ("controllers", "written"), [({"memory"}, {"memory.max"}), ({"cpu"}, {"cpu.max", "cpu.weight"}), (set(), set())]
)
def test_n141_only_what_is_handed_on_is_limited(root, controllers, written):
    Groups("pods", Layout.V2, controllers=frozenset(controllers)).limit("/pods/a", FULL)
    assert {path.name for path in (root / "pods/a").iterdir()} == written


def test_r30_without_a_group_of_the_users_there_are_none(root):
    assert find_groups("pods", "").layout is Layout.NONE
    assert find_groups("pods", "/gone").layout is Layout.NONE
