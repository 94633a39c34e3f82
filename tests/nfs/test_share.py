"""Work on the directories of a share, on a plain directory in the place of the mount (V97, V136)."""

from __future__ import annotations

import os
import stat

import pytest

from holdfast.nfs import share


@pytest.fixture
def top(tmp_path):
    made = tmp_path / "share"
    made.mkdir()
    return made


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def some_data(directory):
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "file").write_text("data")
    (directory / "sub" / "file").chmod(0o4751)
    os.link(directory / "sub" / "file", directory / "same")
    (directory / "link").symlink_to("/etc/hostname")
    directory.chmod(0o2770)


def is_copy(directory, original):
    assert names(directory) == names(original)
    assert (directory / "sub" / "file").read_text() == "data"
    assert stat.S_IMODE((directory / "sub" / "file").stat().st_mode) == 0o4751
    assert (directory / "same").stat().st_ino == (directory / "sub" / "file").stat().st_ino
    assert os.readlink(directory / "link") == "/etc/hostname"
    return stat.S_IMODE(directory.stat().st_mode)


def test_v97_a_directory_is_made_once_with_its_mode(top):
    share.make(top, "a/b", "2770")
    assert stat.S_IMODE((top / "a/b").stat().st_mode) == 0o2770
    (top / "a/b/file").touch()
    share.make(top, "a/b", "0")
    assert names(top) == ["a", "a/b", "a/b/file"]
    assert stat.S_IMODE((top / "a/b").stat().st_mode) == 0o2770


def test_v97_a_directory_is_removed_and_its_absence_is_success(top):
    some_data(top / "x" / "v")
    (top / "x" / ".holdfast-v").mkdir()
    for _ in range(2):
        share.remove(top, "x/v")
    share.remove(top, "y/v")
    assert names(top) == ["x"]


def test_v97_only_what_is_empty_is_discarded(top):
    (top / "empty").mkdir()
    some_data(top / ".holdfast-empty")
    some_data(top / "used")
    for name in ("empty", "used", "absent", "not/there"):
        share.discard(top, name)
    assert sorted(os.listdir(top)) == ["used"]


def test_v97_an_archive_makes_way_for_the_next_but_is_never_lost(top):
    some_data(top / "v")
    (top / "archived-v").mkdir()
    (top / "archived-v" / "older").touch()
    for _ in range(2):  # as after a crash between the work and its record
        share.archive(top, "v", "archived-v")
    assert sorted(os.listdir(top / "archived-v")) == ["link", "same", "sub"]
    assert os.listdir(top) == ["archived-v"]


def test_v97_a_copy_is_like_its_source_and_half_a_copy_is_made_anew(top):
    some_data(top / "v")
    (top / ".holdfast-w").mkdir()
    (top / ".holdfast-w" / "half").touch()
    share.fill(top, "w", "0", "v")
    assert is_copy(top / "w", top / "v") == 0o2770
    assert sorted(os.listdir(top)) == ["v", "w"]
    share.fill(top, "x", "0700", "v")
    assert is_copy(top / "x", top / "v") == 0o700


def test_v97_a_copy_into_a_directory_that_others_use_adds_to_it(top):
    some_data(top / "v")
    (top / "w").mkdir()
    (top / "w" / "theirs").touch()
    share.fill(top, "w", "0", "v")
    assert sorted(os.listdir(top / "w")) == ["link", "same", "sub", "theirs"]
    assert sorted(os.listdir(top)) == ["v", "w"]


def test_v97_v124_what_is_packed_has_its_name_once_it_is_whole_and_is_packed_once(top):
    some_data(top / "v")
    (top / "s").mkdir()
    (top / "s" / ".holdfast-v.tar.gz").write_text("half")
    first = share.cut(top, "s/v.tar.gz", "v")
    assert os.listdir(top / "s") == ["v.tar.gz"]
    assert first["size_bytes"] == (top / "s" / "v.tar.gz").stat().st_size
    (top / "v" / "later").touch()
    assert share.cut(top, "s/v.tar.gz", "v") == first == share.look(top, "s/v.tar.gz")
    share.restore(top, "r", "0", "s/v.tar.gz")
    (top / "v" / "later").unlink()
    assert is_copy(top / "r", top / "v") == 0o2770
    with pytest.raises(FileNotFoundError):
        share.look(top, "s/w.tar.gz")


@pytest.mark.parametrize("path", ["", "/", "..", "../x", "a/../../x", "."])
def test_v136_nothing_outside_the_share_is_named(top, path):
    for operation, more in ((share.make, ("0",)), (share.remove, ()), (share.discard, ())):
        with pytest.raises(PermissionError):
            operation(top, path, *more)


def test_v136_no_link_in_a_path_is_followed(top, tmp_path):
    some_data(tmp_path / "outside")
    (top / "link").symlink_to(tmp_path / "outside")
    for operation, more in ((share.make, ("0",)), (share.remove, ()), (share.cut, ("x",))):
        with pytest.raises(NotADirectoryError):
            operation(top, "link/sub", *more)
    with pytest.raises(NotADirectoryError):
        share.fill(top, "copy", "0", "link")
    share.remove(top, "link")
    assert (tmp_path / "outside" / "sub" / "file").exists()
    assert names(top) == []
