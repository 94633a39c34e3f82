"""What this machine has left, what a directory takes."""

from __future__ import annotations

import os

from holdfast.node.disk import tree_bytes
from holdfast.node.eviction.measuring import read_machine
from holdfast.node.volumes.usage import measure


def test_n146_this_machine_can_be_read_and_is_not_short_of_anything_impossible(tmp_path):
    readings = read_machine(tmp_path, tmp_path)
    assert {"memory.available", "nodefs.available", "imagefs.available", "pid.available"} <= readings.keys()
    for reading in readings.values():
        assert 0 < reading.available <= reading.capacity


def test_n146_a_disk_that_is_not_there_is_not_short(tmp_path):
    assert "imagefs.available" not in read_machine(tmp_path, tmp_path / "absent")


def test_n145_everything_below_counts_and_links_count_once(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    before = tree_bytes(tmp_path)
    assert 100_000 <= before < 130_000
    os.link(tmp_path / "deep" / "file", tmp_path / "again")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert before <= tree_bytes(tmp_path) < before + 8192
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    assert tree_bytes(tmp_path) < before + 16384
    assert tree_bytes(tmp_path / "absent") == 0


def test_v87_an_empty_dir_uses_what_is_in_it_and_a_claim_what_its_file_system_uses(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    empty_dir, claim = measure("cache", tmp_path), measure("data", tmp_path, claim="data-web-0")
    assert 100_000 <= empty_dir.used_bytes < 130_000
    assert claim.used_bytes >= empty_dir.used_bytes
    assert 0 < claim.available_bytes <= claim.capacity_bytes
    assert measure("gone", tmp_path / "absent") is None
