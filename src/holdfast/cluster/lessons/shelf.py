"""Where the lessons are: in `docs/tutorials` of a checkout, or where the wheel brings that very folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .page import Page, parse

PACKAGE = Path(__file__).parents[2]
INSTALLED = PACKAGE / "tutorials"
"""pyproject.toml has the wheel put `docs/tutorials` here."""
CHECKOUT = PACKAGE.parents[1]


@dataclass(frozen=True, slots=True)
class Lesson:
    number: int
    name: str
    folder: Path
    """The page, README.md, and the files that its commands read."""

    def page(self) -> Page:
        """Raises BadPage."""
        return parse((self.folder / "README.md").read_text(encoding="utf-8"))


def lessons() -> tuple[Lesson, ...]:
    """In the order in which they are meant to be read."""
    return tuple(sorted(_found(), key=lambda lesson: lesson.number))


def lesson(name: str) -> Lesson | None:
    """By its name or its number."""
    return next((each for each in lessons() if name in (each.name, str(each.number), each.folder.name)), None)


def images() -> Path:
    """Where `make images` leaves its archives: in the checkout, else below the current directory."""
    checkout = CHECKOUT if _folder() != INSTALLED else Path.cwd()
    return checkout / "build" / "images"


def _folder() -> Path:
    return INSTALLED if INSTALLED.is_dir() else CHECKOUT / "docs" / "tutorials"


def _found() -> Iterator[Lesson]:
    for page in _folder().glob("*-*/README.md"):
        number, _, name = page.parent.name.partition("-")
        yield Lesson(int(number), name, page.parent)
