"""User namespaces: which ids are handed out, and what a process is in one."""

import os

import pytest

from holdfast.node.capabilities import attempt
from holdfast.world import user_namespace

SUBUID = """\
# comments and damaged lines count for nothing
ann:100000:65536
1001:300000:10
ann:broken
bob:200000:65536
ann:400000:5
"""


def test_ranges_are_found_by_name_and_by_number():
    assert user_namespace.subordinate(SUBUID, {"ann", "1001"}) == [(100000, 65536), (300000, 10), (400000, 5)]
    assert user_namespace.subordinate(SUBUID, {"eve"}) == []


def test_r71_the_user_is_root_inside_and_the_ranges_follow_without_a_gap():
    assert user_namespace.extents_of(1000, [(100000, 65536), (400000, 5)]) == [
        (0, 1000, 1),
        (1, 100000, 65536),
        (65537, 400000, 5),
    ]


def test_root_hands_on_all_that_it_knows_itself():
    assert user_namespace.everyone("0 1000 1\n1 100000 65536\n") == [(0, 0, 1), (1, 1, 65536)]
    assert user_namespace.everyone("0 0 4294967295\n") == [(0, 0, 4294967294)]


def test_how_many_ids_there_are_is_read_from_the_map(tmp_path):
    file = tmp_path / "uid_map"
    file.write_text("         0       1000          1\n         1     100000      65536\n")
    assert user_namespace.ids(file) == 65537
    assert user_namespace.ids(tmp_path / "a kernel without user namespaces") == user_namespace.EVERYBODY


def test_a_kernel_without_user_namespaces_has_nobody_inside(tmp_path):
    assert not user_namespace.is_inside(str(tmp_path / "user"))


def test_a_process_that_entered_is_root_inside():
    def check():
        user_namespace.enter()
        assert (os.getuid(), os.getgid()) == (0, 0)
        assert user_namespace.is_inside()

    failure = attempt(check)
    if failure and "Assertion" not in failure:
        pytest.skip(f"no user namespaces here: {failure}")
    assert failure == ""
