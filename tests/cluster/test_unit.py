"""The unit that systemd is given: its words, and what systemd itself thinks of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.cluster.agents_process import STOP_WITHIN_S
from holdfast.cluster.unit import Unit

PYTHON = "/opt/holdfast/bin/python"


def unit(home="/var/lib/holdfast", *, python=PYTHON, is_system=True, is_usual=True):
    return Unit(Path(home), python, is_system, is_usual)


def assignments(text):
    """Section and name -> values, as written."""
    found, section = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(f"{section}.{name}", []).append(value)
    return found


def test_it_runs_this_holdfast_on_this_data_directory():
    written = assignments(unit("/srv/db").text())
    assert written["Service.ExecStart"] == [
        f"{PYTHON} -m holdfast.cli up --foreground --no-merge --wait 600 --home /srv/db"
    ]
    assert written["Unit.RequiresMountsFor"] == ["/srv/db"]


def test_it_is_started_again_whatever_it_dies_of_but_not_after_a_down():
    written = assignments(unit().text())
    assert written["Service.Restart"] == ["always"]
    assert written["Service.RestartPreventExitStatus"] == ["0"]
    assert written["Unit.StartLimitIntervalSec"] == ["0"]


def test_what_ends_the_daemon_alone_leaves_the_pods():
    written = assignments(unit().text())
    assert (written["Service.KillMode"], written["Service.RestartKillSignal"]) == (["process"], ["SIGTERM"])
    assert (written["Service.KillSignal"], written["Service.OOMPolicy"]) == (["SIGINT"], ["continue"])


def test_pods_may_take_as_long_to_stop_as_under_down():
    assert int(assignments(unit().text())["Service.TimeoutStopSec"][0]) > STOP_WITHIN_S


def test_a_users_own_waits_for_nothing_that_only_the_machine_knows():
    text = unit("/home/ann/.local/share/holdfast", is_system=False).text()
    assert "network-online.target" not in text
    assert assignments(text)["Install.WantedBy"] == ["default.target"]


def test_each_data_directory_has_a_unit_of_its_own():
    names = [unit().name, *(unit(home, is_usual=False).name for home in ("/a/h", "/b/h", "/c/of two words %"))]
    assert names[0] == "holdfast.service"
    assert len(set(names)) == 4
    for name in names:
        assert re.fullmatch(r"holdfast[A-Za-z0-9_.-]*\.service", name)
    assert names[1].startswith("holdfast-h-")


AWKWARD = ("/srv/of two words", "/srv/100%h", "/srv/$HOME", '/srv/"quoted"', "/srv/back\\slash", "/srv/ünicode")


@pytest.mark.parametrize("home", AWKWARD)
def test_nothing_in_a_path_means_something_else_to_systemd(home):
    words = assignments(unit(home, is_usual=False).text())["Service.ExecStart"][0]
    read = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', words)[-1]
    plain = re.sub(r"\\(.)", r"\1", read[1:-1]) if read.startswith('"') else read
    assert plain.replace("%%", "%").replace("$$", "$") == home


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("home", ["/var/lib/holdfast", *AWKWARD])
@pytest.mark.parametrize("is_system", [True, False])
def test_systemd_reads_it_without_a_complaint(tmp_path, home, is_system):
    made = unit(home, python="/bin/sh", is_system=is_system, is_usual=False)
    file = tmp_path / made.name
    file.write_text(made.text())
    scope = [] if is_system else ["--user"]
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["systemd-analyze", *scope, "--recursive-errors=no", "--man=no", "verify", str(file)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
