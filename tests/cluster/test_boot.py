"""What is asked of systemd, by a systemctl that only writes down what it was asked. A real one was tried by hand."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from holdfast.cli import group, up
from holdfast.cluster import boot
from holdfast.cluster.boot import Boot, NotDone
from holdfast.cluster.home import Home

SYSTEMCTL = """#!/bin/sh
echo "$*" >> {log}
for word; do if [ "$word" = "$FAILS" ]; then echo "cannot $word" >&2; exit 1; fi; done
"""


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """An ordinary user's; the lines of what its systemctl has been asked."""
    log, program = tmp_path / "asked", tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(boot, "RUNNING_SYSTEMD", tmp_path)
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def made(tmp_path, systemd):
    return Boot(Home(tmp_path / "h"))


def test_installing_writes_the_unit_and_has_it_started_now_and_at_boot(made, systemd, tmp_path):
    made.install(lambda text: None)
    name = made.unit.name
    assert made.file == tmp_path / "config/systemd/user" / name
    assert made.file.read_text() == made.unit.text()
    assert systemd() == ["--user daemon-reload", f"--user enable {name}", f"--user start {name}"]


def test_what_somebody_else_has_written_stays(made, systemd):
    made.file.parent.mkdir(parents=True)
    made.file.write_text("[Service]\nExecStart=/bin/mine\n")
    with pytest.raises(NotDone, match="is not ours"):
        made.install(lambda text: None)
    made.forget()
    assert made.file.read_text() == "[Service]\nExecStart=/bin/mine\n"
    assert (made.find(), made.remove(), systemd()) == (None, False, [])


def test_removing_stops_it_and_leaves_no_unit(made, systemd):
    made.install(lambda text: None)
    assert made.remove()
    assert not made.file.exists()
    assert systemd()[3] == f"--user disable --now {made.unit.name}"
    assert systemd()[-1] == "--user daemon-reload"


def test_what_systemd_says_is_told(made, monkeypatch):
    monkeypatch.setenv("FAILS", "start")
    with pytest.raises(NotDone, match=f"systemctl --user start {made.unit.name}: cannot start"):
        made.install(lambda text: None)


def test_it_is_known_whether_it_starts_at_boot_and_whether_it_runs(made, monkeypatch):
    assert made.find() is None
    made.install(lambda text: None)
    monkeypatch.setenv("FAILS", "is-active")
    assert made.find() == boot.Found(made.unit.name, enabled=True, active=False)


def test_without_systemd_it_says_what_to_run_instead(made, monkeypatch, tmp_path):
    monkeypatch.setattr(boot, "RUNNING_SYSTEMD", tmp_path / "none")
    with pytest.raises(NotDone) as told:
        made.install(lambda text: None)
    assert str(told.value).splitlines()[1].endswith(f"up --foreground --no-merge --wait 600 --home {tmp_path / 'h'}")
    assert not made.file.exists()


def holdfast(home, *words):
    return CliRunner().invoke(group, [*words, "--home", str(home)])


def test_the_unit_is_shown_without_a_change(made, tmp_path, systemd):
    shown = holdfast(tmp_path / "h", "service", "show")
    assert (shown.exit_code, shown.stdout) == (0, made.unit.text())
    assert (made.file.exists(), systemd()) == (False, [])


def test_installing_tells_a_user_what_the_machine_still_waits_for(made, tmp_path, monkeypatch):
    monkeypatch.setattr(boot.pwd, "getpwuid", lambda uid: boot.pwd.struct_passwd(("ann", "", uid, uid, "", "/", "")))
    monkeypatch.setattr(boot, "LINGERING", tmp_path / "linger")
    assert "with the machine: loginctl enable-linger ann" in holdfast(tmp_path / "h", "service", "install").output
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / "ann").touch()
    assert "linger" not in holdfast(tmp_path / "h", "service", "install").output


def test_the_unit_goes_with_the_data_directory_and_is_told_of_before(made, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    made.install(lambda text: None)
    (tmp_path / "h" / "run").mkdir(parents=True)
    told = holdfast(tmp_path / "h", "down").output
    assert f"{made.unit.name} starts it again with the machine; not any more: holdfast service remove" in told
    assert made.file.exists()
    gone = holdfast(tmp_path / "h", "down", "--purge")
    assert (gone.exit_code, made.file.exists(), (tmp_path / "h").exists()) == (0, False, False)
    assert made.unit.name not in gone.output


def test_status_says_of_a_cluster_that_is_down_whether_it_will_be_started(made, tmp_path, monkeypatch):
    asked = ("status", "-o", "json")
    assert json.loads(holdfast(tmp_path / "h", *asked).stdout)["service"] is None
    made.install(lambda text: None)
    monkeypatch.setenv("FAILS", "is-active")
    told = json.loads(holdfast(tmp_path / "h", *asked).stdout)["service"]
    assert told == {"unit": made.unit.name, "enabled": True, "active": False}


def test_who_starts_a_cluster_beside_its_unit_is_told(made, tmp_path, monkeypatch):
    made.install(lambda text: None)
    monkeypatch.setattr(up, "_bring_up", lambda home, report, **wanted: "")
    assert holdfast(tmp_path / "h", "up").stderr == ""
    monkeypatch.setenv("FAILS", "is-active")
    told = holdfast(tmp_path / "h", "up").stderr
    assert told.endswith(f"nobody starts it again should it die, before: systemctl --user start {made.unit.name}\n")
