"""Snapshots and copies on a real disk: V121-V124, V134, and what a death in between leaves."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from holdfast.controllers.volumes import copies
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.disks import Disk, images
from holdfast.disks.capability import find_out

MI = 1 << 20


@pytest.fixture(scope="module")
def obstacle():
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as directory:
        return find_out(Path(directory)).obstacle


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "volumes"
    made.mkdir()
    return made


@pytest.fixture
def directories(root):
    return LocalDirectories([str(root)], may_size=True)


@pytest.fixture
def tree(root):
    made = root / "pvc-1"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "file").write_text("data")
    (made / "link").symlink_to("deep/file")
    (made / "deep" / "file").chmod(0o640)
    made.chmod(0o777)
    return made


@pytest.fixture
def image(root, obstacle):
    if obstacle:
        pytest.skip(f"volumes with a size: {obstacle}")
    disk = Disk(root / "pvc-2")
    images.make(disk, 4 * MI)
    return disk


async def test_v121_a_snapshot_of_a_directory_is_restored_with_modes_and_links(directories, root, tree):
    taken = await directories.cut(str(root / ".snapshots" / "s"), str(tree), False)
    assert taken.size_bytes == 0
    (tree / "deep" / "file").write_text("later")
    await directories.fill(str(root / "pvc-9"), str(root / ".snapshots" / "s"), MI)
    restored = root / "pvc-9"
    assert (restored / "deep" / "file").read_text() == "data"
    assert os.readlink(restored / "link") == "deep/file"
    assert (restored / "deep" / "file").stat().st_mode & 0o777 == 0o640
    assert restored.stat().st_mode & 0o777 == 0o777
    assert sorted(os.listdir(root / ".drafts")) == []
    assert directories.unsettled(str(root)) == ["pvc-9"]


async def test_a_snapshot_once_taken_stays_what_it_is(directories, root, tree):
    place = str(root / ".snapshots" / "s")
    first = await directories.cut(place, str(tree), False)
    (tree / "deep" / "file").write_text("later")
    assert await directories.cut(place, str(tree), False) == first == await directories.look(place)


async def test_v122_a_clone_of_a_directory_is_a_directory(directories, root, tree):
    await directories.fill(str(root / "pvc-9"), str(tree), MI)
    assert not await directories.is_image(str(root / "pvc-9"))
    assert (root / "pvc-9" / "deep" / "file").read_text() == "data"


async def test_v124_half_a_copy_is_no_volume_and_is_made_anew(directories, root, tree):
    draft = copies.drafts_of(str(root / "pvc-9")) / "tree.new" / "deep"
    draft.mkdir(parents=True)
    (draft / "half").write_text("x")
    await directories.fill(str(root / "pvc-9"), str(tree), MI)
    assert sorted(os.listdir(root / "pvc-9" / "deep")) == ["file"]


async def test_what_was_begun_for_nobody_is_discarded_with_its_drafts(directories, root, tree):
    draft = copies.drafts_of(str(root / "pvc-9")) / "tree.new"
    draft.mkdir(parents=True)
    await directories.discard(str(root / "pvc-9"))
    assert sorted(os.listdir(root / ".drafts")) == []


async def test_what_is_not_there_is_told(directories, root):
    for work in (
        directories.look(str(root / ".snapshots" / "s")),
        directories.is_image(str(root / "pvc-9")),
        directories.cut(str(root / ".snapshots" / "s"), str(root / "pvc-9"), False),
    ):
        with pytest.raises(FileNotFoundError):
            await work


async def test_v123_a_restored_image_is_as_large_as_asked(directories, root, image):
    taken = await directories.cut(str(root / ".snapshots" / "s"), str(image.path), True)
    assert taken.size_bytes == 4 * MI
    await directories.fill(str(root / "pvc-9"), str(root / ".snapshots" / "s"), 8 * MI)
    assert images.filesystem_bytes(root / "pvc-9" / "image") == 8 * MI


async def test_an_image_is_not_restored_where_nobody_could_mount_it(root, image):
    poor = LocalDirectories([str(root)], may_size=False)
    with pytest.raises(OSError, match="nodes here cannot mount such"):
        await poor.fill(str(root / "pvc-9"), str(image.path), 8 * MI)


@pytest.fixture
def group(root, image):
    other = Disk(root / "pvc-3")
    images.make(other, 4 * MI)
    return [("h2", str(image.path)), ("h3", str(other.path))]


async def test_a_group_is_taken_by_the_first_of_its_members(directories, root, group):
    for handle, _ in group:
        await directories.cut_together(str(root / ".snapshots" / handle), "g", group)
    assert sorted(os.listdir(root / ".snapshots")) == [".groups", "h2", "h3"]
    assert os.listdir(root / ".snapshots" / ".groups") == []


def test_a_group_that_was_cut_short_before_it_was_whole_is_taken_anew(root, group):
    left = root / ".snapshots" / ".groups" / "g" / "h2"
    left.mkdir(parents=True)
    (left / "image").write_bytes(b"of an earlier moment")
    copies.cut_together(str(root), "g", group)
    assert images.filesystem_bytes(root / ".snapshots" / "h2" / "image") == 4 * MI


@pytest.mark.parametrize("left_as", ["g", "g.whole"])
async def test_what_a_group_that_was_cut_short_has_left_goes_with_its_snapshots(directories, root, group, left_as):
    for handle, _ in group:
        left = root / ".snapshots" / ".groups" / left_as / handle
        left.mkdir(parents=True)
        (left / "image").write_bytes(b"x")
    for handle, _ in group:
        await directories.remove(str(root / ".snapshots" / handle))
    assert os.listdir(root / ".snapshots" / ".groups") == []


def test_a_group_that_was_cut_short_when_it_was_whole_is_finished(root, group):
    copies.cut_together(str(root), "g", group)
    whole = root / ".snapshots" / ".groups" / "g.whole"
    whole.mkdir()
    shutil.move(root / ".snapshots" / "h3", whole / "h3")
    before = (whole / "h3" / "image").stat().st_ino
    copies.cut_together(str(root), "g", group)
    assert (root / ".snapshots" / "h3" / "image").stat().st_ino == before
    assert os.listdir(root / ".snapshots" / ".groups") == []
