"""Directories of volumes on a real filesystem: N201, V44, V136, V141."""

import asyncio
import errno
import os
import stat

import pytest

from holdfast.controllers.actions import Plan
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.controllers.volumes.effects import DirectoryWork
from holdfast.controllers.volumes.local import DirectoryRunner


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "volumes"
    made.mkdir()
    return made


@pytest.fixture
def directories(root):
    return LocalDirectories([str(root)])


async def test_v44_a_new_directory_is_writable_for_everyone_and_made_once(directories, root):
    for _ in range(2):
        await directories.create(str(root / "pvc-1"))
    assert stat.S_IMODE(os.stat(root / "pvc-1").st_mode) == 0o777


async def test_what_exists_is_kept_by_create(directories, root):
    await directories.create(str(root / "pvc-1"))
    (root / "pvc-1" / "file").write_text("data")
    (root / "pvc-1").chmod(0o700)
    await directories.create(str(root / "pvc-1"))
    assert (root / "pvc-1" / "file").read_text() == "data"
    assert stat.S_IMODE(os.stat(root / "pvc-1").st_mode) == 0o700


async def test_removing_takes_everything_and_absence_is_success(directories, root):
    (root / "pvc-1" / "deep" / "er").mkdir(parents=True)
    (root / "pvc-1" / ".hidden").write_text("x")
    for _ in range(2):
        await directories.remove(str(root / "pvc-1"))
    assert list(root.iterdir()) == []


async def test_v136_links_are_removed_and_never_followed(directories, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (root / "pvc-1").mkdir()
    (root / "pvc-1" / "link").symlink_to(outside)
    (root / "pvc-2").symlink_to(outside)
    await directories.remove(str(root / "pvc-1"))
    with pytest.raises(NotADirectoryError):
        await directories.remove(str(root / "pvc-2"))
    assert (outside / "precious").exists()


@pytest.mark.parametrize("path", ["{root}", "{root}/", "{root}/../outside", "{root}/..", "/etc/passwd", "{root}/a/.."])
async def test_v136_nothing_outside_the_root_is_touched(directories, root, tmp_path, path):
    (tmp_path / "outside").mkdir()
    for operation in (directories.remove, directories.create):
        with pytest.raises(PermissionError):
            await operation(path.format(root=root))
    assert (tmp_path / "outside").exists()


async def test_v57_v136_a_directory_reached_through_a_link_inside_the_root_is_refused(directories, root, tmp_path):
    outside = tmp_path / "outside" / "victim"
    outside.mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(PermissionError):
        await directories.remove(str(root / "link" / "victim"))
    assert outside.exists()


async def test_v57_a_directory_with_a_mount_below_is_left_whole(root, tmp_path):
    (root / "pvc 1" / "mnt").mkdir(parents=True)
    (root / "pvc 1" / "file").write_text("x")
    escaped = str(root / "pvc 1" / "mnt").replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(f"36 35 8:1 / {escaped} rw - ext4 /dev/sda rw\n")
    with pytest.raises(OSError, match="still mounted"):
        await LocalDirectories([str(root)], table).remove(str(root / "pvc 1"))
    assert (root / "pvc 1" / "file").exists()


async def test_v57_v141_emptying_keeps_the_directory_its_mode_and_owner(directories, tmp_path):
    shared = tmp_path / "shared"
    (shared / "sub").mkdir(parents=True)
    (shared / ".dot").write_text("x")
    shared.chmod(0o2775)
    before = os.stat(shared)
    await directories.empty(str(shared), 60)
    after = os.stat(shared)
    assert list(shared.iterdir()) == []
    assert (before.st_ino, before.st_mode, before.st_uid) == (after.st_ino, after.st_mode, after.st_uid)


async def test_v57_emptying_follows_no_link(directories, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / "link").symlink_to(outside)
    for path in (tmp_path / "link", "/"):
        with pytest.raises(PermissionError):
            await directories.empty(str(path), 60)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "link").symlink_to(outside)
    await directories.empty(str(tmp_path / "shared"), 60)
    assert (outside / "precious").exists()
    assert os.listdir(tmp_path / "shared") == []


async def test_v55_emptying_ends_with_its_time_and_deletes_nothing_more(directories, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    for number in range(20_000):
        (shared / str(number)).touch()
    with pytest.raises(TimeoutError):
        await directories.empty(str(shared), 0.01)
    left = len(os.listdir(shared))
    assert left > 0
    await asyncio.sleep(0.2)
    assert len(os.listdir(shared)) == left
    await directories.empty(str(shared), 60)
    assert os.listdir(shared) == []


def outcome_of(work, error):
    class Failing:
        async def empty(self, path, deadline_s):
            raise error

    runner = DirectoryRunner.__new__(DirectoryRunner)
    runner._directories = Failing()
    return asyncio.run(runner._perform(work))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "Pod was active on the node longer than the specified deadline"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "Connection timed out: /data"),
    ],
)
def test_v55_a_directory_that_took_too_long_says_so(error, told):
    work = DirectoryWork("empty", "/data", Plan("done"), Plan, (60.0,))
    assert outcome_of(work, error) == (False, Plan(told))
