"""What a machine can do for volumes with a size is found by doing (R70)."""

import os

from holdfast.disks import programs
from holdfast.disks.capability import find_out


def test_finding_out_leaves_nothing_behind(tmp_path):
    def seen():
        with open("/proc/self/mountinfo") as mounts:
            return [line for line in mounts if str(tmp_path) in line]

    before = seen()
    find_out(tmp_path)
    assert seen() == before
    assert os.listdir(tmp_path) == []


def test_missing_programs_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "NEEDED", ("mkfs.ext4", "no-such-program"))
    assert find_out(tmp_path).obstacle == "not installed: no-such-program"


def test_a_place_that_cannot_be_written_to_is_an_obstacle(tmp_path):
    assert find_out(tmp_path / "absent").obstacle
