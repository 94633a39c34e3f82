"""`holdfast demo`: what it says of lessons without playing one."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from holdfast.cli.demo import command
from holdfast.cli.output import Failure
from holdfast.cluster.lessons import player, shelf


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
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = run("postgres", "--images", str(tmp_path))
    assert isinstance(done.exception, Failure)
    assert f"no postgres.tar in {tmp_path}: `make images`" in str(done.exception)


@pytest.mark.parametrize("name", ["web", "postgres"])
def test_an_ordinary_user_is_told_what_lessons_need(monkeypatch, name):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert str(run(name).exception).startswith(
        "lessons run real containers, for which root, crun and conmon are needed"
    )
