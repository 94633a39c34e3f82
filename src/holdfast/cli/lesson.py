"""`holdfast demo LESSON`: a page of docs/tutorials, played in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import click

from holdfast.cluster.launch import LaunchFailed
from holdfast.cluster.lessons import player, shelf
from holdfast.cluster.lessons.page import BadPage
from holdfast.world import SystemClock

from .output import Failure, bold, table


def show_list() -> None:
    """One line for each lesson."""
    rows = [(str(each.number), each.name, each.page().summary) for each in shelf.lessons()]
    click.echo("\n".join(table(("NO", "LESSON", "WHAT IT SHOWS"), rows)))
    click.echo("\nholdfast demo LESSON plays one on a cluster of its own, and removes it again.")


def play(name: str, images: Path | None) -> None:
    """Plays one to its end. Raises Failure if the page promised what did not happen, and Abort on Ctrl-C."""
    lesson = shelf.lesson(name)
    if lesson is None:
        raise Failure(f"no lesson {name!r}; there are {', '.join(each.name for each in shelf.lessons())}")
    clock = SystemClock()
    begin = clock.monotonic_s()
    try:
        asyncio.run(_play(lesson, images or shelf.images(), clock))
    except asyncio.CancelledError as error:
        raise click.Abort from error
    except player.Broken as error:
        raise Failure(f"the page is not true here, at {error}") from error
    except (player.CannotPlay, LaunchFailed, BadPage) as error:
        raise Failure(str(error)) from error
    click.secho(f"\nThe whole lesson, in {clock.monotonic_s() - begin:.0f} s; its cluster is gone again.", bold=True)
    click.echo(f"Play it by hand: {lesson.folder / 'README.md'}")


async def _play(lesson: shelf.Lesson, images: Path, clock: SystemClock) -> None:
    """Ctrl-C ends the lesson once; what comes after the first does not keep it from cleaning up."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _interrupt, task)
    await player.play(lesson, _Terminal(), clock, images=images)


def _interrupt(task: asyncio.Task[None]) -> None:
    if not task.cancelling():
        task.cancel()
        with contextlib.suppress(OSError):  # the terminal may be gone
            click.echo("\ncleaning up", err=True)


class _Terminal:
    """Shows the page as it is played."""

    def read(self, text: str) -> None:
        click.echo()
        for line in text.splitlines():
            click.echo(bold(line.lstrip("# ")) if line.startswith("#") else line)
        click.echo()

    def asked(self, command: str) -> None:
        click.echo(click.style("  $ ", fg="green") + bold(command.replace("\n", "\n  > ")))

    def heard(self, line: str) -> None:
        click.echo(f"  {line}")
