"""Commands on a full disk: one line, and nothing written that is there already."""

import errno

import pytest

from holdfast import cli
from holdfast.cluster import settings as saved
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
