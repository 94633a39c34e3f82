"""A lesson's page: Markdown in; prose and steps out. Pure.

A fenced block marked `console` is a piece of a terminal: `$ ` begins a command, `> ` goes on with it, everything else
is what the command prints. The mark may be followed by one word, for a block of one command:

    fails   it ends with another status than 0
    again   it is asked again until it prints that

All other blocks are prose. What a lesson needs is said by the lines `- Programs:`, `- Images:` and `- Capabilities:`,
each name in backticks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```\s*(.*?)\s*$")
NEEDS = re.compile(r"^- (Programs|Images|Capabilities): (.*)$", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
WORDS = ("fails", "again")


class BadPage(Exception):
    """A page that cannot be played; the message has its line."""


@dataclass(frozen=True, slots=True)
class Text:
    """Prose between the steps, as Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and the lines that it prints by the page's word."""

    line: int
    """Where it is on the page, from 1."""
    command: str
    """For a shell; may have several lines."""
    expected: tuple[str, ...]
    fails: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    summary: str
    """The first paragraph."""
    programs: tuple[str, ...]
    """What must be on this machine's PATH."""
    images: tuple[str, ...]
    """Archives of `make images` that the page loads."""
    capabilities: tuple[str, ...]
    """What the machine must be able to do, in the words of `holdfast doctor`."""
    parts: tuple[Text | Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(part for part in self.parts if isinstance(part, Step))


def parse(markdown: str) -> Page:
    """Raises BadPage."""
    parts = tuple(_parts(markdown.splitlines()))
    prose = "\n\n".join(part.text for part in parts if isinstance(part, Text))
    title, _, rest = prose.partition("\n")
    if not title.startswith("# "):
        raise BadPage("line 1: a page begins with its title: # Title")
    summary = " ".join(rest.strip().partition("\n\n")[0].split())
    needs = {kind: tuple(QUOTED.findall(names)) for kind, names in NEEDS.findall(prose)}
    programs, images, capabilities = (needs.get(kind, ()) for kind in ("Programs", "Images", "Capabilities"))
    return Page(title.removeprefix("# "), summary, programs, images, capabilities, parts)


def _parts(lines: list[str]) -> Iterator[Text | Step]:
    prose: list[str] = []
    numbered = iter(enumerate(lines, start=1))
    for number, line in numbered:
        fence = FENCE.match(line)
        if not fence:
            prose.append(line)
            continue
        block = list(_block(numbered, number))
        if fence[1].split()[:1] != ["console"]:
            prose += [line, *(text for _, text in block), "```"]
            continue
        yield from _text(prose)
        prose = []
        yield from _steps(block, number, fence[1].split()[1:])
    yield from _text(prose)


def _text(prose: Iterable[str]) -> Iterator[Text]:
    if text := "\n".join(prose).strip():
        yield Text(text)


def _block(numbered: Iterator[tuple[int, str]], begin: int) -> Iterator[tuple[int, str]]:
    """The lines up to the end of the block that begins at `begin`."""
    for number, line in numbered:
        if line.rstrip() == "```":
            return
        yield number, line
    raise BadPage(f"line {begin}: the block has no end")


def _steps(block: list[tuple[int, str]], begin: int, words: list[str]) -> Iterator[Step]:
    commands: list[tuple[int, list[str], list[str]]] = []
    for number, line in block:
        if line.startswith("$ "):
            commands.append((number, [line[2:]], []))
        elif not commands:
            raise BadPage(f"line {number}: a block of a terminal begins with a command: $ command")
        elif line.startswith("> ") and not commands[-1][2]:
            commands[-1][1].append(line[2:])
        else:
            commands[-1][2].append(line)
    if unknown := [word for word in words if word not in WORDS]:
        raise BadPage(f"line {begin}: after console comes one of {', '.join(WORDS)}, not {' '.join(unknown)}")
    if words and len(commands) != 1:
        raise BadPage(f"line {begin}: {' '.join(words)} is for a block of one command")
    for number, command, printed in commands:
        while printed and not printed[-1].strip():
            printed.pop()  # blank lines are for the reader's eye
        yield Step(number, "\n".join(command), tuple(printed), fails="fails" in words, again="again" in words)
