"""Commands on a full disk: one line, and nothing written that is there already."""

import errno
from types import SimpleNamespace

import pytest

from holdfast import cli
from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.private_files import write_private
from holdfast.cluster.settings import Settings


@pytest.mark.parametrize("place", [None, "/var/lib/holdfast/cluster.new"])
def test_a_full_disk_is_one_line(monkeypatch, capsys, place):
    def full(**named):
        raise OSError(errno.ENOSPC, "No space left on device", place)

    monkeypatch.setattr(cli.group, "main", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    where = f" ({place})" if place else ""
    said = f"holdfast: the disk is full{where}: delete something on it, then run the same command again\n"
    assert capsys.readouterr().err == said


def test_settings_that_are_there_already_are_not_written(tmp_path, monkeypatch):
    path = tmp_path / "cluster.json"
    saved.save(path, Settings())
    before = path.stat()
    saved.save(path, Settings())
    assert path.stat().st_ino == before.st_ino
    saved.save(path, Settings(nodes=3))
    assert saved.load(path) == Settings(nodes=3)


def test_files_with_keys_that_are_there_already_are_not_written(tmp_path):
    path = tmp_path / "kubeconfig"
    write_private(path, b"one")
    before = path.stat()
    write_private(path, b"one")
    assert path.stat().st_ino == before.st_ino
    path.chmod(0o644)
    write_private(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    write_private(path, b"two")
    assert path.read_bytes() == b"two"


@pytest.mark.parametrize(("uid", "said"), [(0, ""), (1000, "is full (12 KiB are free): delete something on it")])
def test_a_disk_is_full_for_whom_no_room_is_kept(tmp_path, monkeypatch, uid, said):
    status = SimpleNamespace(f_bavail=3, f_bfree=1000, f_frsize=4096, f_files=0, f_ffree=0)
    monkeypatch.setattr("os.statvfs", lambda path: status)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert launch.full_disk(Home(tmp_path)).endswith(said)
    assert bool(launch.full_disk(Home(tmp_path))) == bool(said)


@pytest.mark.parametrize(("files", "free", "is_full"), [(1000, 3, True), (1000, 500, False), (0, 0, False)])
def test_a_disk_may_have_room_but_for_no_file_more(tmp_path, monkeypatch, files, free, is_full):
    status = SimpleNamespace(f_bavail=1000, f_bfree=1000, f_frsize=4096, f_files=files, f_ffree=free)
    monkeypatch.setattr("os.statvfs", lambda path: status)
    assert ("takes 3 files more (df -i)" in launch.full_disk(Home(tmp_path))) == is_full
