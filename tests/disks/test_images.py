"""Volumes with a size on real loop devices: R126, R128, R130, V143, V144."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from holdfast.disks import Disk, images, loops, mounting
from holdfast.disks.locking import locked
from holdfast.world import mount_table

from .letting_go import gone

MI = 1 << 20


@pytest.fixture
def volume(disk):
    images.make(disk, 16 * MI)
    return disk


def fill(directory):
    """Writes until the volume is full; the error's number and what was written."""
    written = 0
    with (directory / "filler").open("wb", buffering=0) as file:
        try:
            while written < 64 * MI:
                written += file.write(bytes(MI))
        except OSError as error:
            return error.errno, written
    return 0, written


def size(directory):
    """Of the file system there, as df shows it."""
    status = os.statvfs(directory)
    return status.f_blocks * status.f_frsize


def test_a_volume_is_as_large_as_asked_and_empty_and_writable_for_everyone(volume, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    try:
        assert 13 * MI < size(tmp_path / "m") <= 16 * MI
        assert os.listdir(tmp_path / "m") == []
        assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o777
        code, written = fill(tmp_path / "m")
        assert code == errno.ENOSPC
        assert 12 * MI < written < 16 * MI
    finally:
        mounting.unmount(tmp_path / "m")


@pytest.mark.parametrize("wanted", [1, 1000, MI, 3 * MI + 1])
def test_a_volume_is_never_smaller_than_asked(disk, tmp_path, wanted):
    images.make(disk, wanted)
    assert disk.image.stat().st_size >= wanted
    mounting.mount(disk, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("x")
    mounting.unmount(tmp_path / "m")


def test_an_image_takes_no_room_before_it_is_written_to(disk):
    images.make(disk, 1024 * MI)
    assert disk.image.stat().st_blocks * 512 < 4 * MI


def test_making_a_volume_again_keeps_what_is_in_it(volume, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("data")
    mounting.unmount(tmp_path / "m")
    images.make(volume, 16 * MI)
    mounting.mount(volume, tmp_path / "m")
    assert (tmp_path / "m" / "file").read_text() == "data"
    mounting.unmount(tmp_path / "m")


def test_mounting_twice_changes_nothing_and_a_second_place_shows_the_same_data(volume, tmp_path):
    for place in ("a", "a", "b"):
        mounting.mount(volume, tmp_path / place)
    (tmp_path / "a" / "file").write_text("data")
    assert (tmp_path / "b" / "file").read_text() == "data"
    device = loops.find(volume.image)
    mounting.unmount(tmp_path / "a")
    assert loops.find(volume.image) == device  # V144: the other mount goes on
    assert (tmp_path / "b" / "file").read_text() == "data"
    with pytest.raises(OSError, match="still mounted from"):
        images.require_detached(volume)
    mounting.unmount(tmp_path / "b")
    assert gone(volume)
    images.require_detached(volume)


def test_mounts_from_many_threads_share_one_device(volume, tmp_path):
    """Two devices on one image would be the end of the data."""
    places = [tmp_path / f"m{number}" for number in range(8)]
    threads = [threading.Thread(target=mounting.mount, args=(volume, place)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    try:
        assert len({os.stat(place).st_dev for place in places}) == 1
        assert os.stat(places[0]).st_dev != os.stat(tmp_path).st_dev
    finally:
        for place in places:
            mounting.unmount(place)


def test_v143_what_else_is_mounted_there_is_told_from_the_volume(volume, tmp_path):
    other = Disk(tmp_path / "pvc-2")
    images.make(other, MI)
    mounting.mount(other, tmp_path / "m")
    try:
        with pytest.raises(OSError, match="something else is mounted here"):
            mounting.mount(volume, tmp_path / "m")
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_volume_grows_while_nobody_has_it(volume, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("data")
    mounting.unmount(tmp_path / "m")
    assert gone(volume)
    assert images.grow(volume, 48 * MI) is True
    mounting.mount(volume, tmp_path / "m")
    assert 43 * MI < size(tmp_path / "m") <= 48 * MI
    assert os.listdir(tmp_path / "m") == ["file"]
    mounting.unmount(tmp_path / "m")


def test_a_volume_never_shrinks(volume):
    assert images.grow(volume, MI) is True
    assert volume.image.stat().st_size == 16 * MI


def test_what_is_left_to_grow_grows_with_the_next_mount_that_is_the_only_one(volume, tmp_path):
    for place in ("a", "b"):
        mounting.mount(volume, tmp_path / place)
    assert images.grow(volume, 48 * MI) is False
    mounting.unmount(tmp_path / "a")
    mounting.mount(volume, tmp_path / "a")
    assert size(tmp_path / "a") <= 16 * MI
    for place in ("a", "b"):
        mounting.unmount(tmp_path / place)
    assert gone(volume)
    mounting.mount(volume, tmp_path / "a")
    assert size(tmp_path / "a") > 43 * MI
    mounting.unmount(tmp_path / "a")


def test_a_mounted_volume_grows_where_this_process_may_have_it_grow(volume, tmp_path, sizing):
    mounting.mount(volume, tmp_path / "m")
    try:
        images.grow(volume, 48 * MI)
        assert mounting.grow(volume, tmp_path / "m") is sizing.grows_mounted
        if not sizing.grows_mounted:
            pytest.skip("online growth of ext4 needs CAP_SYS_RESOURCE, which this process lacks")
        assert size(tmp_path / "m") > 43 * MI
        assert mounting.grow(volume, tmp_path / "m") is True
    finally:
        mounting.unmount(tmp_path / "m")


def test_whether_anybody_could_write_to_it_is_known(volume, tmp_path):
    assert not images.was_mounted(volume)
    mounting.mount(volume, tmp_path / "m")
    mounting.unmount(tmp_path / "m")
    assert images.was_mounted(volume)


def test_mount_options_are_honoured(volume, tmp_path):
    mounting.mount(volume, tmp_path / "m", ["ro", "data=ordered"])
    try:
        with pytest.raises(OSError, match="Read-only file system"):
            (tmp_path / "m" / "file").write_text("x")
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_mount_that_fails_leaves_no_device(volume, tmp_path):
    with pytest.raises(OSError, match="Invalid argument"):
        mounting.mount(volume, tmp_path / "m", ["no-such-option"])
    assert gone(volume)
    assert mount_table.below(tmp_path) == []


def test_the_lock_is_held_as_long_as_a_program_that_has_it(disk):
    disk.path.mkdir()
    with locked(disk.path) as lock:
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[lock]
        )
    try:
        with pytest.raises(OSError, match="something else is being done"), locked(disk.path, patience_s=0.05):
            pass
    finally:
        child.communicate(b"", timeout=90)
    with locked(disk.path, patience_s=0.05):
        pass


PATIENT = """
import os, sys
from pathlib import Path
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.disks import Disk, copying, images, loops, mounting, programs
disk, place, step, what = Disk(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def die(*arguments, **more):
    os.kill(os.getpid(), 9)
count = 0
def counting(module, name):
    whole = getattr(module, name)
    def step_by_step(*arguments, **more):
        global count
        count += 1
        if count == step:
            die()
        result = whole(*arguments, **more)
        count += 1
        if count == step:
            die()
        return result
    setattr(module, name, step_by_step)
for module, name in ((images, "start_draft"), (images, "run"), (os, "fsync"), (os, "rename"), (os, "truncate"),
                     (loops, "attach"), (mounting.linux, "mount"), (copying, "copy_file"), (copying, "_copy_in_use"),
                     (os, "unlink"), (os, "rmdir")):
    counting(module, name)
if what == "make":
    images.make(disk, 16 << 20)
elif what == "copy":
    copying.copy(disk, Disk(place))
elif what == "remove":
    LocalDirectories([str(disk.path.parent)])._remove(str(disk.path))
elif what == "grow":
    images.grow(disk, 48 << 20)
else:
    mounting.mount(disk, place)
"""


def killed_at(step, disk, place, what):
    """Whether the work was cut short at that step; it is done once there are no more steps."""
    command = [sys.executable, "-c", PATIENT, str(disk.path), str(place), str(step), what]
    code = subprocess.run(command, timeout=300).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def until_done(disk, place, what):
    """Kills the work at each of its steps in turn, and yields after each death."""
    for step in range(1, 60):
        if not killed_at(step, disk, place, what):
            return
        yield step
    raise AssertionError("there is no end to the steps")


def test_making_is_either_whole_or_not_at_all_wherever_it_is_killed(disk, tmp_path):
    deaths = 0
    for deaths in until_done(disk, tmp_path / "m", "make"):  # noqa: B007
        if disk.exists:
            assert images.filesystem_bytes(disk.image) == 16 * MI
        assert loops.find(disk.image) == "" if disk.exists else True
    assert deaths >= 8
    mounting.mount(disk, tmp_path / "m")
    assert os.listdir(tmp_path / "m") == []
    assert os.listdir(disk.path) == ["image"]
    mounting.unmount(tmp_path / "m")


def test_growing_loses_nothing_wherever_it_is_killed(volume, tmp_path):
    place = tmp_path / "m"
    mounting.mount(volume, place)
    (place / "file").write_text("data" * 100_000)
    mounting.unmount(place)
    deaths = 0
    for deaths in until_done(volume, place, "grow"):  # noqa: B007
        mounting.mount(volume, place)  # whoever comes next goes on from there
        assert (place / "file").read_text() == "data" * 100_000
        mounting.unmount(place)
    assert deaths >= 2
    mounting.mount(volume, place)
    assert size(place) > 43 * MI
    mounting.unmount(place)


def test_mounting_leaves_no_device_without_a_mount_wherever_it_is_killed(volume, tmp_path):
    deaths = 0
    for deaths in until_done(volume, tmp_path / "m", "mount"):
        if os.path.ismount(tmp_path / "m"):
            mounting.unmount(tmp_path / "m")
        assert gone(volume), deaths
    assert deaths >= 4
    mounting.unmount(tmp_path / "m")


@pytest.mark.parametrize("in_use", [False, True])
def test_copying_is_either_whole_or_not_at_all_and_the_source_goes_on_wherever_it_is_killed(volume, tmp_path, in_use):
    place, copy = tmp_path / "m", Disk(tmp_path / "copy")
    mounting.mount(volume, place)
    (place / "file").write_text("data" * 100_000)
    if not in_use:
        mounting.unmount(place)
    deaths = 0
    for deaths in until_done(volume, copy.path, "copy"):  # noqa: B007
        if in_use:
            (place / "more").write_text("it goes on")
        if copy.exists:
            assert images.filesystem_bytes(copy.image) == 16 * MI
    assert deaths >= 4
    mounting.mount(copy, tmp_path / "n")
    assert (tmp_path / "n" / "file").read_text() == "data" * 100_000
    mounting.unmount(tmp_path / "n")
    assert os.listdir(copy.path) == ["image"]
    if in_use:
        mounting.unmount(place)


def test_removing_goes_on_wherever_it_was_killed(volume, tmp_path):
    (volume.path / "image.new").write_bytes(b"x")
    deaths = 0
    for deaths in until_done(volume, tmp_path / "m", "remove"):  # noqa: B007
        assert loops.attached() is not None
    assert deaths >= 3
    assert not volume.path.exists()


def test_a_file_system_that_met_an_error_is_looked_through_before_its_next_mount(disk, tmp_path):
    images.make(disk, 16 * MI)
    mounting.mount(disk, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("data")
    mounting.unmount(tmp_path / "m")
    subprocess.run(["debugfs", "-w", "-R", "ssv state 2", disk.image], check=True, capture_output=True)
    assert images.has_errors(disk.image)
    mounting.mount(disk, tmp_path / "m")
    assert not images.has_errors(disk.image)
    assert (tmp_path / "m" / "file").read_text() == "data"
    mounting.unmount(tmp_path / "m")


def test_a_file_system_that_stopped_is_not_mounted_again_before_everybody_has_let_go_of_it(disk, tmp_path):
    images.make(disk, 16 * MI)
    mounting.mount(disk, tmp_path / "m")
    device = loops.find(disk.image)
    Path("/sys/fs/ext4", device.removeprefix("/dev/"), "trigger_fs_error").write_text("a test")
    with pytest.raises(OSError, match="Read-only file system"):
        (tmp_path / "m" / "file").write_text("data")
    with pytest.raises(OSError, match="waiting for other pods to let go of it"):
        mounting.mount(disk, tmp_path / "n")
    mounting.unmount(tmp_path / "m")
    mounting.mount(disk, tmp_path / "n")
    (tmp_path / "n" / "file").write_text("data")
    mounting.unmount(tmp_path / "n")
