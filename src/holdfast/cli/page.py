"""`holdfast page`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from holdfast.api.errors import ApiError
from holdfast.cluster.connect import as_administrator
from holdfast.cluster.home import Home
from holdfast.cluster.private_files import write_private

from .output import Failure, home_option, output_option, print_json


@click.command("page", short_help="Every set on a time line, live, in the browser.")
@home_option
@output_option
@click.option("--open", "opens", is_flag=True, help="Have the browser of this machine show it.")
def command(home: Home, output: str, opens: bool) -> None:
    """Print the address of the page that shows every set's pods on a time line, live.

    The address holds the administrator's token, behind the # that browsers keep to themselves: hand it to nobody.
    The certificate is this cluster's own, so the browser asks once whether to trust it, unless it knows ca.crt.
    """
    try:
        connection = as_administrator(home)
    except ApiError as error:
        raise Failure(str(error)) from error
    url = f"{connection.server}/ui/#token={connection.token}"
    if output == "json":
        print_json({"url": url})
    else:
        click.echo(url)
    if opens and not webbrowser.open(_leading_to(url, home).as_uri()):
        raise Failure("this machine has no browser that could be started: open the address above in yours")


def _leading_to(url: str, home: Home) -> Path:
    """A file of this user's that sends the browser on: what is on its command line, all users of a machine can read."""
    path = home.run / "page.html"
    write_private(path, f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">\n'.encode())
    return path
