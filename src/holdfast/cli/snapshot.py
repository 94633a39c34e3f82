"""`holdfast snapshot`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from holdfast.api.errors import ApiError
from holdfast.client import Unreachable
from holdfast.cluster.connect import connect
from holdfast.cluster.home import Home
from holdfast.cluster.sets.plan import Refused
from holdfast.cluster.sets.work import Sets, created, rows
from holdfast.world import real_world

from .durations import Seconds
from .output import Failure, home_option, output_option, print_json, step, table

Result = TypeVar("Result")

namespace_option = click.option("-n", "--namespace", default="default", show_default=True, help="Where the set is.")
wait_option = click.option(
    "--wait",
    "wait_s",
    type=Seconds(),
    default=300,
    show_default=True,
    help="Seconds to wait for each step.",
)


@click.group("snapshot", short_help="All volumes of a set, as at one moment.")
def command() -> None:
    """Snapshots of a whole StatefulSet with its data, all volumes at one moment.

    \b
    holdfast snapshot create sts/db          take one
    holdfast snapshot list sts/db            show them
    holdfast snapshot restore sts/db NAME    put the data back; what was written since is lost
    holdfast snapshot delete sts/db NAME

    Each volume's is an ordinary VolumeSnapshot.
    """


@command.command("create")
@home_option
@namespace_option
@wait_option
@click.option("--name", default="", help="Of the snapshot (default: the set's and the time).")
@click.argument("target", metavar="sts/NAME")
def create(home: Home, namespace: str, wait_s: float, name: str, target: str) -> None:
    """Take a snapshot of all of a set's volumes. Its pods go on; what they write waits for a moment."""
    set_name = set_of(target)
    click.echo(do(home, namespace, wait_s, lambda sets: sets.create(set_name, name)))


@command.command("list")
@home_option
@output_option
@namespace_option
@click.argument("target", metavar="sts/NAME")
def show(home: Home, output: str, namespace: str, target: str) -> None:
    """Show a set's snapshots, the newest first."""
    set_name = set_of(target)
    found = rows(do(home, namespace, 10, lambda sets: sets.snapshots(set_name)))
    if output == "json":
        print_json(found)
        return
    now = real_world().clock.now()
    lines = [(str(row["name"]), str(row["volumes"]), str(row["ready"]).lower(), created(row, now)) for row in found]
    for line in table(("NAME", "VOLUMES", "READY", "AGE"), lines):
        click.echo(line)


@command.command("restore")
@home_option
@namespace_option
@wait_option
@click.argument("target", metavar="sts/NAME")
@click.argument("name")
def restore(home: Home, namespace: str, wait_s: float, target: str, name: str) -> None:
    """Put a set's data back to a snapshot. Its pods are stopped and started; what was written since is lost.

    If it is interrupted, call it again: it goes on.
    """
    set_name = set_of(target)
    do(home, namespace, wait_s, lambda sets: sets.restore(set_name, name))


@command.command("delete")
@home_option
@namespace_option
@wait_option
@click.argument("target", metavar="sts/NAME")
@click.argument("name")
def delete(home: Home, namespace: str, wait_s: float, target: str, name: str) -> None:
    """Delete a snapshot of a set."""
    set_name = set_of(target)
    do(home, namespace, wait_s, lambda sets: sets.delete(set_name, name))


def set_of(target: str) -> str:
    """The name in `sts/NAME`."""
    kind, _, name = target.rpartition("/")
    if kind.lower() not in ("sts", "statefulset", "statefulsets", "") or not name:
        raise click.UsageError(f"{target!r} is not sts/NAME")
    return name


def do(home: Home, namespace: str, wait_s: float, work: Callable[[Sets], Awaitable[Result]]) -> Result:
    """Raises Failure."""

    async def connected() -> Result:
        async with connect(home) as client:
            return await work(Sets(client, namespace, real_world().clock, step, wait_s))

    try:
        return asyncio.run(connected())
    except (Refused, ApiError, Unreachable, TimeoutError) as error:
        raise Failure(str(error)) from error
