"""Commands and options that the documents name are there."""

import re
from pathlib import Path

import click
import pytest

from holdfast.cli import group

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").rglob("*.md")])
CALL = re.compile(r"(?:(?<=[`$#|&(] )|(?<=`))holdfast (?=[a-z-])")
END = re.compile(r"[`#|]|\$\(|&&|  ")
OPTION = re.compile(r"--[a-z][a-z-]+")


def named(page):
    """What is called in the page, each as its words."""
    for line in page.read_text().splitlines():
        for begin in CALL.finditer(line):
            yield END.split(line[begin.end() :], maxsplit=1)[0].split()


def problem(words):
    """What is wrong with a command line; empty if nothing is."""
    command, context, options = group, click.Context(group), set()
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            if found is None and command is group:
                return f"no command {word}"
            command = found or command
        options |= {name for each in command.params for name in getattr(each, "opts", ())}
        if OPTION.fullmatch(word) and word not in options | {"--help", "--version"}:
            return f"{command.name} has no option {word}"
        if command.name == "kubectl":
            break
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_calls_is_there(page):
    wrong = [f"holdfast {' '.join(words)}: {said}" for words in named(page) if (said := problem(words))]
    assert wrong == []


def test_calls_are_found_in_pages():
    assert sum(1 for page in PAGES for _ in named(page)) > 60
    assert problem(["up", "--node", "3"]) == "up has no option --node"
    assert problem(["rise"]) == "no command rise"
    assert problem(["node", "token", "--ttl", "1h"]) == ""
