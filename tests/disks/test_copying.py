"""Copies of volumes, in use and not: V122, V124, R127."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from holdfast.disks import Disk, copying, images, loops, mounting

MI = 1 << 20


@pytest.fixture
def volume(disk):
    images.make(disk, 16 * MI)
    return disk


@pytest.fixture
def target(tmp_path):
    return Disk(tmp_path / "copy")


def held(disk, place):
    """Everything in the volume's files."""
    mounting.mount(disk, place)
    try:
        return {name: (place / name).read_text() for name in sorted(os.listdir(place))}
    finally:
        mounting.unmount(place)


def test_a_copy_of_a_volume_that_nobody_uses_is_independent_of_it(volume, target, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("before")
    mounting.unmount(tmp_path / "m")
    copying.copy(volume, target)
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("after")
    mounting.unmount(tmp_path / "m")
    assert held(target, tmp_path / "n") == {"file": "before"}
    assert held(volume, tmp_path / "n") == {"file": "after"}
    assert os.listdir(target.path) == ["image"]


def test_a_copy_of_a_volume_in_use_has_what_was_written_also_what_was_not_synced(volume, target, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    try:
        (tmp_path / "m" / "file").write_text("data" * 1000)
        copying.copy(volume, target)
        (tmp_path / "m" / "file").write_text("more")  # it goes on
        assert held(target, tmp_path / "n") == {"file": "data" * 1000}
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_copy_is_of_one_moment_although_somebody_writes_all_the_time(volume, target, tmp_path):
    """The writer makes file N+1 after file N: a copy with a gap would be of no moment."""
    mounting.mount(volume, tmp_path / "m")
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set() and number < 3000:
            number += 1
            with (tmp_path / "m" / f"{number:06}").open("w") as file:
                file.write("x")
                file.flush()
                os.fsync(file.fileno())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copying.copy(volume, target)
    finally:
        stop.set()
        writer.join(timeout=90)
        mounting.unmount(tmp_path / "m")
    names = sorted(held(target, tmp_path / "n"))
    assert names == [f"{number:06}" for number in range(1, len(names) + 1)]


def test_copying_again_keeps_the_first_copy(volume, target, tmp_path):
    copying.copy(volume, target)
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("later")
    mounting.unmount(tmp_path / "m")
    copying.copy(volume, target)
    assert held(target, tmp_path / "n") == {}


def test_a_copy_can_be_made_larger(volume, target, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    (tmp_path / "m" / "file").write_text("data")
    copying.copy(volume, target)
    mounting.unmount(tmp_path / "m")
    assert images.grow(target, 48 * MI) is True
    assert held(target, tmp_path / "n") == {"file": "data"}


def test_a_copy_takes_no_more_room_than_what_it_copies(disk, target):
    images.make(disk, 512 * MI)
    copying.copy(disk, target)
    assert target.image.stat().st_size == 512 * MI
    assert target.image.stat().st_blocks * 512 < 4 * MI


def test_only_what_changed_is_copied_in_the_end(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"a" * copying.CHUNK_BYTES + b"b" * copying.CHUNK_BYTES)
    copying.copy_file(source, target)
    with source.open("r+b") as file:
        file.seek(copying.CHUNK_BYTES + 5)
        file.write(b"new")
        file.truncate(3 * copying.CHUNK_BYTES)
    copying.copy_changes(source, target)
    assert target.read_bytes() == source.read_bytes()


HALTED = """
import sys
from pathlib import Path
from holdfast.disks import copying
def halt(source, target):
    print("still", flush=True)
    sys.stdin.read()
copying.copy_changes = halt
copying.share = lambda reading, writing: False
copying.main([copying.Copy(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])])
"""


def test_a_file_system_goes_on_although_whoever_made_it_stand_still_was_killed(volume, target, tmp_path):
    mounting.mount(volume, tmp_path / "m")
    target.path.mkdir()
    device = loops.find(volume.image)
    command = [sys.executable, "-c", HALTED, str(volume.image), str(target.draft), device]
    halted = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert halted.stdout.readline() == b"still\n"
        written = threading.Event()

        def write():
            (tmp_path / "m" / "file").write_text("data")
            written.set()

        threading.Thread(target=write, daemon=True).start()
        assert not written.wait(0.3), "the file system does not stand still"
        halted.send_signal(signal.SIGKILL)
        halted.wait(timeout=90)
        assert not written.wait(0.3), "it went on by itself: the test tests nothing"
        assert copying.let_go_on(device) is True
        assert written.wait(60)
        assert copying.let_go_on(device) is False
    finally:
        halted.kill()
        halted.communicate(timeout=90)
        copying.let_go_on(device)
        mounting.unmount(tmp_path / "m")


def test_it_stands_still_for_a_bounded_time_only(volume, target, tmp_path, monkeypatch):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, threading\nfrom pathlib import Path\nfrom holdfast.disks import copying\n"
        "copying.STILL_AT_MOST_S = 1\ncopying.share = lambda reading, writing: False\n"
        "copying.copy_changes = lambda source, target: threading.Event().wait(600)\n"
        "copies = [copying.Copy(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])]\n"
        "try:\n    copying.main(copies)\n"
        "except OSError as error:\n    sys.exit(error.strerror)\n"
    )
    mounting.mount(volume, tmp_path / "m")
    target.path.mkdir()
    try:
        command = [sys.executable, str(slow), str(volume.image), str(target.draft), loops.find(volume.image)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 1
        assert "too much to be copied within 1 s" in done.stderr
        (tmp_path / "m" / "file").write_text("it goes on")
    finally:
        mounting.unmount(tmp_path / "m")


def test_a_copy_that_fails_leaves_no_volume_and_the_source_goes_on(volume, target, tmp_path, monkeypatch):
    mounting.mount(volume, tmp_path / "m")
    monkeypatch.setattr(copying.sys, "executable", "/bin/false")
    try:
        with pytest.raises(OSError, match="the copy ended with 1"):
            copying.copy(volume, target)
        assert not target.exists
        (tmp_path / "m" / "file").write_text("it goes on")
    finally:
        mounting.unmount(tmp_path / "m")


def test_copies_made_together_are_of_one_moment(volume, target, tmp_path):
    """The writer writes a number to the first volume, then to the second: the second is never ahead."""
    second, copy_of_second = Disk(tmp_path / "pvc-2"), Disk(tmp_path / "copy-2")
    images.make(second, 16 * MI)
    places = [tmp_path / "m", tmp_path / "m2"]
    for disk, place in zip((volume, second), places, strict=True):
        mounting.mount(disk, place)
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set() and number < 3000:
            number += 1
            for place in places:
                with (place / f"{number:06}").open("w") as file:
                    file.write("x")
                    file.flush()
                    os.fsync(file.fileno())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline = time.monotonic() + 60
        while not (places[1] / f"{1:06}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for attempt in range(3):
            pair = [Disk(tmp_path / f"copy-{attempt}-{number}") for number in (1, 2)]
            copying.copy_together(list(zip((volume, second), pair, strict=True)))
            first, other = (len(held(each, tmp_path / "n")) for each in pair)
            assert first - other in (0, 1), (first, other)
            assert first > 0
    finally:
        stop.set()
        writer.join(timeout=90)
        for place in places:
            mounting.unmount(place)
    assert not target.exists
    assert not copy_of_second.exists
