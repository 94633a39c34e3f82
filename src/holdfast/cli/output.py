"""What commands share in talking to a person: the data directory option, failures, progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from holdfast.cluster.home import Home, default_home

F = TypeVar("F", bound=Callable[..., Any])


class Failure(Exception):
    """Ends the command with one line on standard error and exit status 1."""


class Interrupted(Exception):
    """Ctrl-C ends the command, but not what it has begun: the message says what becomes of that. Exit status 130."""


def home_option(function: F) -> F:
    """`--home DIR`, handed to the command as `home: Home`."""

    def to_home(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Home:
        try:
            return Home((value or default_home()).absolute())
        except RuntimeError as error:
            raise click.UsageError("this user has no home directory: give --home DIR or HOLDFAST_HOME") from error
        except FileNotFoundError as error:
            raise click.UsageError(
                "the working directory is gone: --home and HOLDFAST_HOME need a whole path"
            ) from error

    option = click.option(
        "--home",
        metavar="DIR",
        type=click.Path(path_type=Path),
        callback=to_home,
        help="Data directory (default: $HOLDFAST_HOME, else /var/lib/holdfast as root, ~/.local/share/holdfast).",
    )
    return option(function)


def output_option(function: F) -> F:
    """`-o json`, handed to the command as `output`."""
    option = click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json is for programs."
    )
    return option(function)


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def step(text: str) -> None:
    """One line of progress."""
    click.echo(click.style("  · ", dim=True) + text, err=True)


def is_plain() -> bool:
    """Whether this terminal, or its user, wants text and nothing else."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def bold(text: str) -> str:
    return click.style(text, bold=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of columns as kubectl aligns them: as wide as their widest cell, three blanks between."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
