"""`holdfast demo`."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from holdfast.api.errors import ApiError
from holdfast.cluster import launch
from holdfast.cluster.demo import story as chapters
from holdfast.cluster.demo.manifests import NAMESPACE
from holdfast.cluster.home import Home
from holdfast.cluster.settings import Settings
from holdfast.world import SystemClock

from .output import Failure

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the demo early: Ctrl-C, whoever runs it elsewhere, a terminal that is closed."""

Chapter = Callable[[chapters.Story], Awaitable[None]]

CHAPTERS: tuple[Chapter, ...] = (
    chapters.comes_up_in_order,
    chapters.finds_its_peers_by_name,
    chapters.scales_and_keeps_its_claims,
    chapters.survives_the_loss_of_a_pod,
    chapters.survives_the_death_of_the_daemon,
)


@click.command("demo", short_help="Tell the whole story, or play a lesson.")
@click.argument("lesson", required=False)
@click.option("--list", "show_list", is_flag=True, help="Show the lessons, a line each.")
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where `make images` left its archives, for the lessons that need them. [build/images]",
)
def command(lesson: str | None, show_list: bool, images: Path | None) -> None:
    """Tell the whole story on a cluster of its own: real containers, in under a minute, offline.

    A StatefulSet comes up in order, its pods find one another by name, it is scaled, loses a pod and gets it back with
    its data, and outlives a kill -9 of the daemon. Every promise is checked; the exit status is 1 if one was broken.

    With the name or number of a LESSON it plays that one: the pages of docs/tutorials, command by command.
    """
    if show_list or lesson is not None:
        from . import lesson as lessons

        lessons.show_list() if lesson is None else lessons.play(lesson, images)
        return
    _whole_story()


def _whole_story() -> None:
    clock = SystemClock()
    begin = clock.monotonic_s()
    home = Home(Path(tempfile.mkdtemp(prefix="holdfast-demo-")) / "h")
    story = chapters.Story(home, clock, tell=_line, show=_show)
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    try:
        _tell(story)
    except (chapters.Broken, launch.LaunchFailed, ApiError) as error:
        raise Failure(f"a promise was not kept: {error}") from error
    finally:
        _clean_up(home)
    click.secho(f"\nEvery promise kept, in {clock.monotonic_s() - begin:.0f} s. Your turn:", bold=True)
    click.echo("  holdfast up\n  kubectl apply -f your-statefulset.yaml\n  holdfast status")


def _tell(story: chapters.Story) -> None:
    _title("A cluster from nothing")
    _start(story)
    asyncio.run(_chapters(story, CHAPTERS))
    _start(story)
    asyncio.run(_chapters(story, (chapters.finds_everything_again,)))


def _start(story: chapters.Story) -> None:
    begin = story.clock.monotonic_s()
    settings = Settings(port=0) if not story.home.settings.exists() else _settings(story.home)
    found = launch.start(story.home, settings, story.clock, wait_s=30, report=lambda text: None)
    _line(f"API at {found.url}, node Ready, after {story.clock.monotonic_s() - begin:.1f} s")


def _settings(home: Home) -> Settings:
    from holdfast.cluster import settings as saved

    return saved.load(home.settings) or Settings(port=0)


async def _chapters(story: chapters.Story, told: tuple[Chapter, ...]) -> None:
    from holdfast.cluster.connect import connect, read_log

    async with connect(story.home) as client:
        story.client = client
        story.read_log = lambda pod: read_log(story.home, NAMESPACE, pod)
        for chapter in told:
            _title((chapter.__doc__ or "").strip())
            await chapter(story)


def _clean_up(home: Home) -> None:
    """Nothing is left behind, whatever happened, and whatever else happens meanwhile."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    try:
        launch.stop(home, _line_if_possible)
        launch.purge(home)
        shutil.rmtree(home.path.parent, ignore_errors=True)  # not before: `purge` refuses where something is mounted
    except (launch.LaunchFailed, OSError) as error:
        raise Failure(f"could not clean up {home.path}: {error}") from error


def _title(text: str) -> None:
    click.secho(f"\n▸ {text}", bold=True)


def _line(text: str) -> None:
    click.echo(f"  {text}")


def _line_if_possible(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        _line(text)


def _show(state: dict[str, Any]) -> None:
    from .status import show_sets

    show_sets(state["statefulsets"])
