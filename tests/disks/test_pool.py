"""A pool of images on a disk that cannot share blocks by itself: R126-R128."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from holdfast.disks import Disk, copying, images, loops, mounting, pool
from holdfast.disks.pool import DIRECTORY, Pool, try_out
from holdfast.world import linux

MI = 1 << 20


@pytest.fixture
def place(sizing, tmp_path):
    if obstacle := sizing.obstacle or try_out(tmp_path):
        pytest.skip(f"a pool of volumes: {obstacle}")
    if pool.shares(tmp_path):
        pytest.skip("the disk shares blocks by itself")
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    yield volumes
    deadline = time.monotonic() + 60
    while Pool(volumes).is_in_use:
        assert time.monotonic() < deadline, "the pool is still attached"
        time.sleep(0.05)


@pytest.fixture
def made(place):
    made = Pool(place)
    made.make()
    assert (made.obstacle, made.exists) == ("", True)
    yield made
    made.close()


def room(volumes):
    """What the pool takes of the disk."""
    return (volumes / DIRECTORY / "image").stat().st_blocks * 512


def test_trying_out_leaves_nothing_behind(tmp_path):
    before = loops.attached() if os.path.exists(loops.CONTROL) else {}
    try_out(tmp_path)
    assert os.listdir(tmp_path) == []
    left = set(loops.attached()) - set(before)
    deadline = time.monotonic() + 60
    while left := left & set(loops.attached()):  # what other tests have come to use beside this one goes by itself
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_copies_share_their_blocks_also_of_a_volume_in_use(made, place, tmp_path):
    disk = Disk(made.place(place / "pvc-1"))
    images.make(disk, 64 * MI)
    mounting.mount(disk, tmp_path / "m")
    try:
        (tmp_path / "m" / "file").write_bytes(os.urandom(32 * MI))
        os.sync()
        before = room(place)
        for number in range(5):
            copying.copy(disk, Disk(made.place(place / f"copy-{number}")))
        assert room(place) - before < 8 * MI
        (tmp_path / "m" / "file").write_bytes(b"")
    finally:
        mounting.unmount(tmp_path / "m")
    mounting.mount(Disk(made.place(place / "copy-4")), tmp_path / "n")
    assert (tmp_path / "n" / "file").stat().st_size == 32 * MI
    mounting.unmount(tmp_path / "n")


def test_a_copy_in_use_is_of_one_moment_although_somebody_writes_all_the_time(made, place, tmp_path):
    """The writer makes file N+1 after file N: a copy with a gap would be of no moment."""
    disk, copy = Disk(made.place(place / "pvc-1")), Disk(made.place(place / "copy"))
    images.make(disk, 64 * MI)
    mounting.mount(disk, tmp_path / "m")
    stop = threading.Event()

    def write():
        for number in range(100_000):
            if stop.is_set():
                return
            with (tmp_path / "m" / f"{number:06}").open("w") as file:
                file.write("x")
                os.fsync(file.fileno())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline = time.monotonic() + 60
        while len(os.listdir(tmp_path / "m")) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = len(os.listdir(tmp_path / "m"))
        copying.copy(disk, copy)
        after = len(os.listdir(tmp_path / "m"))
    finally:
        stop.set()
        writer.join(timeout=90)
        mounting.unmount(tmp_path / "m")
    mounting.mount(copy, tmp_path / "n")
    found = sorted(os.listdir(tmp_path / "n"))
    sizes = [(tmp_path / "n" / name).stat().st_size for name in found[:-1]]
    mounting.unmount(tmp_path / "n")
    assert found == [f"{number:06}" for number in range(len(found))]
    assert before <= len(found) <= after
    assert set(sizes) == {1}


def test_a_copy_that_is_killed_lets_the_file_system_go_on(made, place, tmp_path, monkeypatch):
    disk = Disk(made.place(place / "pvc-1"))
    images.make(disk, 16 * MI)
    mounting.mount(disk, tmp_path / "m")
    try:
        run = copying._run

        def killed(command, keeps):
            stand_still = "import fcntl, os, sys; fcntl.ioctl(int(sys.argv[1]), 0xC0045877, 0); os.kill(os.getpid(), 9)"
            root = command[command.index("-S") + 2]
            run([sys.executable, "-c", stand_still, root], keeps)

        monkeypatch.setattr(copying, "_run", killed)
        with pytest.raises(OSError, match="ended with -9"):
            copying.copy(disk, Disk(made.place(place / "copy")))
        (tmp_path / "m" / "file").write_text("it goes on")
        monkeypatch.setattr(copying, "_run", run)
        copying.copy(disk, Disk(made.place(place / "copy")))
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_small_volume_can_be_mounted_again_after_it_was_copied(made, place, tmp_path):
    """The kernel would give a device on shared blocks larger ones than a small file system has."""
    disk, copy = Disk(made.place(place / "pvc-1")), Disk(made.place(place / "copy"))
    images.make(disk, 10 * MI)
    copying.copy(disk, copy)
    for one in (disk, copy):
        mounting.mount(one, tmp_path / "m")
        (tmp_path / "m" / "file").write_text("data")
        mounting.unmount(tmp_path / "m")


def test_what_is_deleted_in_a_volume_is_given_back_to_the_disk(made, place, tmp_path):
    disk = Disk(made.place(place / "pvc-1"))
    images.make(disk, 128 * MI)
    mounting.mount(disk, tmp_path / "m")
    try:
        empty = room(place)
        (tmp_path / "m" / "file").write_bytes(os.urandom(64 * MI))
        os.sync()
        assert room(place) - empty > 60 * MI
        (tmp_path / "m" / "file").unlink()
        os.sync()
        deadline = time.monotonic() + 90
        while room(place) - empty > 8 * MI:
            assert time.monotonic() < deadline, f"{(room(place) - empty) // MI} Mi are kept"
            linux.syncfs(str(made.open()))  # else within the half minute that XFS takes
            time.sleep(0.1)
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_volume_from_before_the_pool_stays_where_it_is_and_so_do_its_copies(place):
    old = Disk(place / "old")
    images.make(old, 16 * MI)
    made = Pool(place)
    made.make()
    try:
        assert made.place(place / "old") == place / "old"
        assert made.place(place / "copy", like=place / "old") == place / "copy"
        new = made.place(place / "new")
        assert new.parent == made.open()
        assert made.place(place / "copy", like=new).parent == made.open()
        copying.copy(old, Disk(new))  # from one disk to the other, if need be
        assert new.joinpath("image").read_bytes() == old.image.read_bytes()
    finally:
        made.close()


def test_it_grows_with_its_disk(made, place, monkeypatch):
    def size():
        status = os.statvfs(made.open())
        made.close()
        return status.f_blocks * status.f_frsize

    before = size()
    wanted = before + (8 << 30)
    monkeypatch.setattr(pool, "_wanted_bytes", lambda volumes: wanted)
    assert size() > before + (7 << 30)


def test_a_disk_without_room_gets_none(place, monkeypatch):
    monkeypatch.setattr(pool, "LEAST_DISK_BYTES", 1 << 60)
    made = Pool(place)
    made.make()
    assert (made.exists, made.obstacle) == (False, "too little of the disk is free")
    assert made.place(place / "pvc-1") == place / "pvc-1"
    assert os.listdir(place) == []


def test_where_it_cannot_be_made_the_reason_is_kept_and_volumes_are_made_all_the_same(place, monkeypatch):
    monkeypatch.setattr(pool, "MAKING", "mkfs.no-such-xfs")
    made = Pool(place)
    made.make()
    assert not made.exists
    assert made.obstacle == "mkfs.no-such-xfs is not installed (apt install xfsprogs)"
    assert made.place(place / "pvc-1") == place / "pvc-1"


KILLED = """
import os, signal, sys
from pathlib import Path
from holdfast.disks import Disk, images, pool
number, volumes = int(sys.argv[1]), Path(sys.argv[2])
steps = 0
def counting(function):
    def step(*arguments, **named):
        global steps
        steps += 1
        if steps == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return step
for module, name in ((images, "start_draft"), (pool, "run"), (os, "fsync"), (os, "rename"), (images, "publish"),
                     (pool.linux, "open_unmounted"), (pool.loops, "attach")):
    setattr(module, name, counting(getattr(module, name)))
made = pool.Pool(volumes)
made.make()
assert not made.obstacle, made.obstacle
images.make(Disk(made.place(volumes / "pvc-1")), 16 << 20)
"""


def test_wherever_its_making_is_killed_the_next_one_finishes_it(place):
    codes = []
    for number in range(1, 20):
        codes.append(subprocess.run([sys.executable, "-c", KILLED, str(number), place], timeout=300).returncode)
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert codes[:-1] == [-signal.SIGKILL] * (len(codes) - 1)
    assert len(codes) > 5
    made = Pool(place)
    assert images.filesystem_bytes(Disk(made.place(place / "pvc-1")).image) == 16 * MI
    made.close()
