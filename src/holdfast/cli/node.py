"""`holdfast node`."""

from __future__ import annotations

import asyncio

import click

from holdfast.cluster import node_faults
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.node_faults import Condition, NotDone
from holdfast.world import SystemClock

from .node_token import command as token_command
from .output import Failure, home_option, output_option, print_json, table


@click.group("node")
def command() -> None:
    """Take a node away, to see what comes of it, and give it back.

    \b
    holdfast up --nodes 3
    holdfast node partition vm-2     the cluster takes it for dead; its pods run on
    holdfast node stop vm-3          as if somebody had pulled its plug
    kubectl get nodes -w             NotReady within a minute, its pods Terminating 5 min later
    holdfast node start vm-2         it is back

    `holdfast down` forgets all of it.

    `holdfast node token` prints the command by which another machine joins.
    """


command.add_command(token_command)


@command.command("list")
@home_option
@output_option
def list_(home: Home, output: str) -> None:
    """Show this machine's nodes and what was done to them."""
    wanted = node_faults.wanted(home)
    names = (saved.load(home.settings) or saved.Settings()).node_names()
    rows = [(name, str(wanted.get(name, Condition.AT_WORK))) for name in names]
    if output == "json":
        print_json([{"name": name, "condition": condition} for name, condition in rows])
        return
    for line in table(("NODE", "CONDITION"), rows):
        click.echo(line)


@command.command("stop")
@home_option
@click.argument("name")
def stop(home: Home, name: str) -> None:
    """Pull the plug of a node: its containers are killed, its agent is gone, nobody is told."""
    _change(home, name, Condition.STOPPED)
    click.echo(f"{name} has no power: NotReady within a minute; back by: holdfast node start {name}")


@command.command("partition")
@home_option
@click.argument("name")
def partition(home: Home, name: str) -> None:
    """Cut a node off from the API server: its pods run on, and the cluster takes it for dead."""
    _change(home, name, Condition.PARTITIONED)
    click.echo(f"{name} is cut off: NotReady within a minute; back by: holdfast node start {name}")


@command.command("start")
@home_option
@click.argument("name")
def start(home: Home, name: str) -> None:
    """Give a node back what was taken from it. Returns when its agent is at work."""
    _change(home, name, Condition.AT_WORK)
    click.echo(f"{name} is at work")


def _change(home: Home, name: str, condition: Condition) -> None:
    try:
        asyncio.run(node_faults.change(home, name, condition, SystemClock()))
    except NotDone as error:
        raise Failure(str(error)) from error
