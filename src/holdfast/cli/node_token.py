"""`holdfast node token`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import click

from holdfast.cluster import listening
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home

from .durations import Duration
from .output import Failure, home_option, output_option, print_json, table

if TYPE_CHECKING:
    from holdfast.client import Client

T = TypeVar("T")


@click.group("token", invoke_without_command=True, short_help="Print the command by which a machine joins.")
@home_option
@click.option(
    "--ttl", type=Duration(), default="24h", show_default=True, help="How long it lets machines join; 0 for good."
)
@output_option
@click.pass_context
def command(context: click.Context, home: Home, ttl: timedelta, output: str) -> None:
    """Make a token, and print the command by which another machine joins with it.

    \b
    holdfast up --listen 192.0.2.10      the API has to answer other machines
    holdfast node token                  run what it prints on the other machine, as root
    holdfast node token list             who may still join
    holdfast node token delete abcdef    nobody by that one any more

    Whoever has the token can become a node, and nodes see the secrets of the pods: pass it on as you would a password.
    """
    if context.invoked_subcommand is not None:
        return
    server = _server(home)

    async def make(client: Client) -> str:
        from holdfast.cluster.joining.tokens import make
        from holdfast.world import real_world

        return str(await make(client, real_world(), ttl or None))

    token = _with_client(home, make)
    from holdfast.cluster.joining.discovery import hash_of

    ca_hash = hash_of(home.ca_certificate.read_text())
    line = f"holdfast node --join {server} --token {token} --ca-hash {ca_hash}"
    if output == "json":
        print_json({"server": server, "token": token, "caHash": ca_hash, "command": line})
    else:
        click.echo(line)


@command.command("list")
@home_option
@output_option
def list_(home: Home, output: str) -> None:
    """Show the tokens there are, without what proves them."""
    from holdfast.cluster.joining.tokens import listed

    found = _with_client(home, listed)
    if output == "json":
        print_json([{"id": each.id, "expiration": each.expiration, "usages": each.usages} for each in found])
        return
    rows = [(each.id, each.expiration or "never", ",".join(each.usages), each.description) for each in found]
    for line in table(("TOKEN", "EXPIRES", "USAGES", "DESCRIPTION"), rows):
        click.echo(line)


@command.command("delete")
@home_option
@click.argument("token")
def delete(home: Home, token: str) -> None:
    """Take a token back, by its first half or the whole. Who has joined with it stays."""

    async def take_back(client: Client) -> bool:
        from holdfast.cluster.joining.tokens import delete

        return await delete(client, token)

    name = token.partition(".")[0]
    if not _with_client(home, take_back):
        raise Failure(f"there is no token {name}: holdfast node token list")
    click.echo(f"token {name} deleted")


def _server(home: Home) -> str:
    """HOST:PORT by which another machine reaches the API."""
    settings = saved.load(home.settings) or saved.Settings()
    if not settings.listen:
        raise Failure(
            "the API answers on loopback only, no other machine can reach it: "
            "holdfast down, then holdfast up --listen ADDRESS (0.0.0.0: all addresses of this machine)"
        )
    address = listening.advertised(settings.listen)
    if not address:
        raise Failure("this machine has no address that others could reach it by: ip address")
    return listening.host_and_port(address, settings.port)


def _with_client(home: Home, work: Callable[[Client], Awaitable[T]]) -> T:
    from holdfast.api.errors import ApiError
    from holdfast.cluster.connect import connect

    async def run() -> T:
        async with connect(home) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except ApiError as error:
        raise Failure(str(error)) from error
