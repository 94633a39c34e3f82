"""`holdfast demo`: what it says of lessons without playing one."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from holdfast.cli.demo import command
from holdfast.cli.output import Failure
from holdfast.cluster.lessons import player, shelf
from holdfast.node import capabilities
from holdfast.node.capabilities import Capabilities, Capability

NO_CRUN = Capability("crun", False, "starts containers", "not installed", "apt install crun", required=True)


def run(*arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=True)


def test_the_list_has_a_line_for_each_lesson():
    lines = run("--list").output.splitlines()
    for lesson in shelf.lessons():
        (line,) = [line for line in lines if line.split()[1:2] == [lesson.name]]
        assert line.split()[0] == str(lesson.number)
        assert line.endswith(lesson.page().summary)


def test_an_unknown_lesson_is_answered_with_those_there_are():
    done = run("algebra")
    assert isinstance(done.exception, Failure)
    assert str(done.exception).startswith("no lesson 'algebra'; there are web, ")


def test_a_lesson_whose_images_are_not_there_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(player.shutil, "which", lambda program, path=None: f"/bin/{program}")
    monkeypatch.setattr(capabilities, "probe_containers", lambda: Capabilities(()))
    done = run("postgres", "--images", str(tmp_path))
    assert isinstance(done.exception, Failure)
    assert f"no postgres.tar in {tmp_path}: `make images`" in str(done.exception)


@pytest.mark.parametrize("name", ["web", "postgres"])
def test_where_no_containers_run_one_is_told_who_says_what_lessons_need(monkeypatch, name):
    monkeypatch.setattr(capabilities, "probe_containers", lambda: Capabilities((NO_CRUN,)))
    assert str(run(name).exception) == (
        "lessons run real containers, and here are none: `holdfast doctor` says what they need"
    )
