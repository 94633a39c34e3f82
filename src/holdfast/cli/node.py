"""`holdfast node`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click
from click.core import ParameterSource

from holdfast.cluster import node_faults
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.launch import running
from holdfast.cluster.node_faults import Condition, NotDone
from holdfast.world import SystemClock

from .durations import Seconds
from .node_token import command as token_command
from .output import Failure, home_option, output_option, print_json, step, table


@click.group("node", invoke_without_command=True, short_help="Join a cluster; take nodes away and give them back.")
@click.pass_context
@home_option
@click.option("--join", "server", metavar="HOST:PORT", help="Have this machine join the cluster with that API server.")
@click.option("--token", default="", help="What `holdfast node token` has printed there; for the first time only.")
@click.option("--ca-hash", default="", metavar="sha256:HASH", help="The same: by it the cluster is known.")
@click.option("--name", default="", help="The node's name. [this machine's host name]")
@click.option("--wait", "wait_s", type=Seconds(), default=60, show_default=True, help="Seconds to wait until Ready.")
def command(
    context: click.Context, home: Home, server: str | None, token: str, ca_hash: str, name: str, wait_s: float
) -> None:
    """Join a cluster; or take a node away, to see what comes of it, and give it back.

    \b
    holdfast node --join 192.168.1.5:6443 --token ... --ca-hash sha256:...
    holdfast down                    it leaves again

    Returns when the Node is Ready; what it runs outlives this command. After a restart of the machine, or should the
    process be killed, the same command (it needs no token any more) finds what is there; `holdfast service install` has
    systemd do that.

    \b
    holdfast up --nodes 3
    holdfast node partition vm-2     the cluster takes it for dead; its pods run on
    holdfast node stop vm-3          as if somebody had pulled its plug
    kubectl get nodes -w             NotReady within a minute, its pods Terminating 5 min later
    holdfast node start vm-2         it is back

    `holdfast down` forgets all of it.

    `holdfast node token` prints the command by which another machine joins.
    """
    if context.invoked_subcommand is not None:
        for option in ("home", "server"):
            if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
                raise click.UsageError("--join goes without a command, --home behind one")
        return
    if server is None:
        click.echo(context.get_help())
        return
    click.echo(join_cluster(home, server, token=token, ca_hash=ca_hash, name=name, wait_s=wait_s))


def join_cluster(
    home: Home,
    server: str,
    *,
    token: str = "",
    ca_hash: str = "",
    name: str = "",
    wait_s: float,
    report: Callable[[str], None] = step,
) -> str:
    """Returns when the Node is Ready, with the line to print."""
    from holdfast.cluster.joining.join import Asked, join
    from holdfast.cluster.joining.refusal import CannotJoin
    from holdfast.world import real_world

    world = real_world()
    begin = world.clock.monotonic_s()
    try:
        settings = asyncio.run(join(home, Asked(server, token, ca_hash, name, wait_s), world, report))
    except CannotJoin as error:
        raise Failure(str(error)) from error
    taken_s = world.clock.monotonic_s() - begin
    return f"{settings.name} has joined {settings.server}, pods {settings.slices(0)[0].node}, in {taken_s:.1f} s"


command.add_command(token_command)


@command.command("list", short_help="This machine's nodes, and those that have joined.")
@home_option
@output_option
def list_(home: Home, output: str) -> None:
    """Show this machine's nodes and what was done to them, and those of machines that have joined."""
    wanted = node_faults.wanted(home)
    names = (saved.load(home.settings) or saved.Settings()).node_names()
    rows = [(name, str(wanted.get(name, Condition.AT_WORK))) for name in names]
    if running(home) is not None:
        rows += asyncio.run(_joined(home))
    if output == "json":
        print_json([{"name": name, "condition": condition} for name, condition in rows])
        return
    for line in table(("NODE", "CONDITION"), rows):
        click.echo(line)


async def _joined(home: Home) -> list[tuple[str, str]]:
    from holdfast.api.errors import ApiError
    from holdfast.cluster.connect import connect
    from holdfast.cluster.overview import joined_nodes

    try:
        async with connect(home) as client:
            found = await joined_nodes(client)
    except ApiError as error:
        raise Failure(f"the API does not answer: {error}") from error
    return [(node["name"], f"joined, {'Ready' if node['ready'] else 'NotReady'}") for node in found]


@command.command("stop", short_help="Pull a node's plug.")
@home_option
@click.argument("name")
def stop(home: Home, name: str) -> None:
    """Pull the plug of a node: its containers are killed, its agent is gone, nobody is told."""
    _change(home, name, Condition.STOPPED)
    click.echo(f"{name} has no power: NotReady within a minute; back by: holdfast node start {name}")


@command.command("partition", short_help="Cut a node off from the API server.")
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
