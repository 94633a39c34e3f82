"""`holdfast page`."""

from __future__ import annotations

import webbrowser

import click

from holdfast.api.errors import ApiError
from holdfast.cluster.connect import as_administrator
from holdfast.cluster.home import Home

from .output import Failure, home_option, output_option, print_json


@click.command("page")
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
        raise Failure(f"{error}: run `holdfast up`") from error
    url = f"{connection.server}/ui/#token={connection.token}"
    if output == "json":
        print_json({"url": url})
    else:
        click.echo(url)
    if opens and not webbrowser.open(url):
        raise Failure("this machine has no browser that could be started: open the address above in yours")
