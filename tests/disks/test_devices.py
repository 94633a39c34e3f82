"""Block volumes on real loop devices: one device however many pods, gone with the last of them (R130, V144)."""

import fcntl
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from holdfast.disks import DEVICE, IMAGE, Disk, copying, devices, images, loops, mounting
from holdfast.disks.pool import Pool, try_out
from holdfast.world import linux, mount_table

from .letting_go import gone

MI = 1 << 20


@pytest.fixture
def volume(disk):
    images.make_device(disk, 8 * MI)
    return disk


def size(point):
    with open(point, "rb") as device:
        return device.seek(0, os.SEEK_END)


def write(point, text, at=0):
    descriptor = os.open(point, os.O_WRONLY)
    os.pwrite(descriptor, text, at)
    os.fsync(descriptor)
    os.close(descriptor)


def read(path, length, at=0):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, length, at)
    finally:
        os.close(descriptor)


def test_a_block_volume_is_a_device_of_its_size_that_keeps_what_is_written(volume, tmp_path):
    assert volume.exists
    assert volume.is_device
    point = tmp_path / "pods" / "one" / "data"
    devices.attach(volume, point)
    assert stat.S_ISBLK(point.stat().st_mode)
    assert size(point) == 8 * MI
    write(point, b"kept", 8 * MI - 4)
    devices.release(point)
    assert gone(volume)
    assert read(volume.image, 4, 8 * MI - 4) == b"kept"
    devices.attach(volume, point)
    assert read(point, 4, 8 * MI - 4) == b"kept"
    devices.release(point)
    assert gone(volume)


def test_v144_pods_share_one_device_which_stays_for_the_last(volume, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    devices.attach(volume, first)
    devices.attach(volume, second)
    devices.attach(volume, second)
    assert first.stat().st_rdev == second.stat().st_rdev
    assert mount_table.points().count(str(second)) == 1
    write(first, b"seen")
    devices.release(first)
    time.sleep(0.1)
    assert loops.find(volume.image)
    assert read(second, 4) == b"seen"
    devices.release(second)
    assert gone(volume)


def test_it_grows_while_it_is_attached(volume, tmp_path):
    point = tmp_path / "point"
    devices.attach(volume, point)
    try:
        assert images.grow(volume, 16 * MI)
        assert size(point) == 16 * MI
    finally:
        devices.release(point)
    assert images.grow(volume, 17 * MI)
    assert volume.image.stat().st_size == 17 * MI


def test_a_device_in_use_keeps_the_volume_from_being_removed(volume, tmp_path):
    devices.attach(volume, tmp_path / "point")
    with pytest.raises(OSError, match="still mounted from"):
        images.require_detached(volume)
    devices.release(tmp_path / "point")
    assert gone(volume)
    images.require_detached(volume)


def test_v134_whether_anybody_could_write_is_known(volume, tmp_path):
    assert not images.was_mounted(volume)
    devices.attach(volume, tmp_path / "point")
    devices.release(tmp_path / "point")
    assert images.was_mounted(volume)
    assert gone(volume)


ATTACHING = """
import sys
from pathlib import Path
from holdfast.disks import Disk, devices, loops
real = loops.keep
def wait(*words, **named):
    if {before}: print('here', flush=True); sys.stdin.read()
    real(*words, **named)
    print('here', flush=True); sys.stdin.read()
loops.keep = wait
{act}
"""


@pytest.mark.parametrize("before", [True, False])
def test_r130_who_dies_attaching_leaves_a_device_with_a_mark_or_none(volume, tmp_path, before):
    point = tmp_path / "point"
    code = ATTACHING.format(before=before, act="devices.attach(Disk(Path(sys.argv[1])), Path(sys.argv[2]))")
    end_at_the_wait(code, volume.path, point)
    devices.attach(volume, point)
    assert size(point) == 8 * MI
    devices.release(point)
    assert gone(volume)
    assert mount_table.below(tmp_path) == []


@pytest.mark.parametrize("before", [True, False])
def test_r130_who_dies_releasing_leaves_a_device_with_a_mark_or_none(volume, tmp_path, before):
    point = tmp_path / "point"
    devices.attach(volume, point)
    end_at_the_wait(ATTACHING.format(before=before, act="devices.release(Path(sys.argv[2]))"), volume.path, point)
    devices.release(point)
    assert gone(volume)
    assert mount_table.below(tmp_path) == []


def end_at_the_wait(code, *words):
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGKILL)


def test_pods_that_come_and_go_at_once_never_have_two_devices_nor_a_dead_one(volume, tmp_path):
    failures = []

    def use(number):
        point = tmp_path / f"point-{number}"
        try:
            for turn in range(15):
                devices.attach(volume, point)
                assert size(point) == 8 * MI
                write(point, bytes([number, turn]), number * 4096)
                assert read(point, 2, number * 4096) == bytes([number, turn])
                devices.release(point)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert gone(volume)


def test_a_mount_that_is_no_loop_device_is_just_unmounted(sizing, tmp_path):
    if sizing.obstacle:
        pytest.skip(sizing.obstacle)
    (tmp_path / "m").mkdir()
    linux.mount("tmpfs", str(tmp_path / "m"), "tmpfs")
    devices.release(tmp_path / "m")
    assert mount_table.below(tmp_path) == []


def test_a_copy_of_one_that_is_not_in_use_is_a_block_volume(volume, tmp_path):
    devices.attach(volume, tmp_path / "point")
    write(tmp_path / "point", b"copied")
    devices.release(tmp_path / "point")
    assert gone(volume)
    target = Disk(tmp_path / "copy")
    copying.copy(volume, target)
    assert target.is_device
    assert read(target.image, 6) == b"copied"
    assert not images.was_mounted(target)


def test_a_copy_may_be_of_the_other_sort(disk, tmp_path):
    """A snapshot of a file system given out as a device, and back."""
    images.make(disk, 8 * MI)
    raw, back = Disk(tmp_path / "raw"), Disk(tmp_path / "back")
    copying.copy(disk, raw, DEVICE)
    copying.copy(raw, back, IMAGE)
    assert (raw.is_device, back.is_device) == (True, False)
    mounting.mount(back, tmp_path / "m")
    mounting.unmount(tmp_path / "m")


@pytest.fixture
def pooled(sizing, tmp_path):
    if obstacle := sizing.obstacle or try_out(tmp_path):
        pytest.skip(f"a pool of volumes: {obstacle}")
    (tmp_path / "volumes").mkdir()
    pool = Pool(tmp_path / "volumes")
    pool.make()
    yield lambda name: Disk(pool.place(tmp_path / "volumes" / name))
    pool.close()


def test_v124_a_copy_of_one_in_use_is_of_one_moment_where_blocks_are_shared(pooled, tmp_path):
    """A writer that counts in two places, the second always after the first, is never ahead in the second."""
    volume, point = pooled("pvc-1"), tmp_path / "point"
    images.make_device(volume, 8 * MI)
    devices.attach(volume, point)
    over = threading.Event()

    def count():
        descriptor = os.open(point, os.O_WRONLY | os.O_DSYNC)
        number = 0
        while not over.is_set():
            number += 1
            os.pwrite(descriptor, number.to_bytes(8, "big"), 0)
            os.pwrite(descriptor, number.to_bytes(8, "big"), 7 * MI)
        os.close(descriptor)

    writer = threading.Thread(target=count)
    writer.start()
    try:
        for turn in range(5):
            target = pooled(f"copy-{turn}")
            copying.copy(volume, target)
            first, second = (int.from_bytes(read(target.image, 8, at), "big") for at in (0, 7 * MI))
            assert second <= first <= second + 1
        assert first > 0
    finally:
        over.set()
        writer.join()
        devices.release(point)
    assert gone(volume)


def test_a_copy_has_sectors_of_the_same_size(pooled, tmp_path):
    """What users have written into it, such as another file system, counts on that. The kernel would take others."""
    volume, copy = pooled("pvc-1"), pooled("copy")
    images.make_device(volume, 8 * MI)
    sizes = []
    for each, turns in ((volume, 2), (copy, 1)):
        for turn in range(turns):
            devices.attach(each, tmp_path / "point")
            write(tmp_path / "point", bytes(64 * 1024))
            sizes.append(sector_bytes(tmp_path / "point"))
            if each is volume and turn == 1:
                copying.copy(volume, copy)
            devices.release(tmp_path / "point")
            assert gone(each)
    assert sizes == [512, 512, 512]


def sector_bytes(point):
    descriptor = os.open(point, os.O_RDONLY)
    try:
        return struct.unpack("=I", fcntl.ioctl(descriptor, 0x1268, bytes(4)))[0]
    finally:
        os.close(descriptor)


def test_one_in_use_is_not_copied_together_with_others_nor_without_shared_blocks(volume, tmp_path, monkeypatch):
    other = Disk(tmp_path / "pvc-2")
    images.make_device(other, MI)
    monkeypatch.setattr(copying, "share", lambda reading, writing: False)
    devices.attach(volume, tmp_path / "point")
    try:
        with pytest.raises(OSError, match="not copied together"):
            copying.copy_together([(volume, Disk(tmp_path / "a")), (other, Disk(tmp_path / "b"))])
        with pytest.raises(OSError, match="shares no blocks"):
            copying.copy(volume, Disk(tmp_path / "a"))
        assert not Disk(tmp_path / "a").exists
    finally:
        devices.release(tmp_path / "point")


def test_looking_for_devices_takes_no_volume_for_another(volume, tmp_path):
    assert not devices.is_device(tmp_path / "nothing")
    assert not devices.is_device(volume.image)
    assert not devices.is_device(Path("/dev/null"))
