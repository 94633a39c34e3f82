"""The lessons there are, and that each says what it needs."""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from holdfast.cluster.lessons import shelf

ROOT = Path(__file__).parents[3]
LESSONS = shelf.lessons()


def test_lessons_are_found_by_name_number_and_folder():
    assert [lesson.number for lesson in LESSONS] == sorted({lesson.number for lesson in LESSONS})
    for lesson in LESSONS:
        for name in (lesson.name, str(lesson.number), lesson.folder.name):
            assert shelf.lesson(name) == lesson
    assert shelf.lesson("no-such-lesson") is None


def test_the_wheel_brings_the_pages_of_docs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (source, target), *others = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items()
    assert others == []
    assert {lesson.folder.parent for lesson in LESSONS} == {ROOT / source}
    assert ROOT / "src" / target == shelf.INSTALLED


def test_the_index_has_every_lesson_with_its_title():
    index = (ROOT / "docs" / "tutorials" / "README.md").read_text()
    for lesson in LESSONS:
        assert f"| {lesson.number} | [{lesson.page().title}]({lesson.folder.name}/README.md)" in index
        assert f"`holdfast demo {lesson.name}`" in index


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_names_what_it_needs_and_files_it_has(lesson):
    page = lesson.page()
    commands = "\n".join(step.command for step in page.steps)
    assert page.steps[0].command.startswith(("holdfast up", "holdfast image load"))
    assert "kubectl" in page.programs
    assert set(re.findall(r'"\$IMAGES/(\S+)\.tar"', commands)) == set(page.images)
    for command in commands.splitlines():
        words = shlex.split(command)
        for option, value in itertools.pairwise(words):
            if option in ("-f", "-k") and value != "-":
                assert (lesson.folder / value).exists(), command
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", (lesson.folder / "README.md").read_text()):
        assert (lesson.folder / path).exists(), path
