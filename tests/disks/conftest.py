"""Volumes on this machine's own disk and loop devices; without these the tests say why they are skipped."""

import tempfile
import time
from pathlib import Path

import pytest

from holdfast.disks import Disk, devices, loops
from holdfast.disks.capability import find_out
from holdfast.world import mount_table


@pytest.fixture(scope="session")
def sizing():
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as directory:
        return find_out(Path(directory))


@pytest.fixture
def disk(sizing, tmp_path):
    """A place for a volume; whatever the test leaves mounted or attached fails it."""
    if sizing.obstacle:
        pytest.skip(f"volumes with a size: {sizing.obstacle}")
    made = Disk(tmp_path / "pvc-1")
    yield made
    left = mount_table.below(tmp_path)
    for point in left:
        devices.release(Path(point))
    assert not left
    deadline = time.monotonic() + 90  # the kernel lets go of what a killed process had after its death
    while made.exists and loops.find(made.image):
        assert time.monotonic() < deadline, "still attached"
        time.sleep(0.05)
