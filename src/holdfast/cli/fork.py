"""`holdfast fork`."""

from __future__ import annotations

import click

from holdfast.cluster.home import Home

from .output import home_option
from .snapshot import do, namespace_option, set_of, wait_option


@click.command("fork", short_help="A second set on copies of the first one's volumes.")
@home_option
@namespace_option
@wait_option
@click.argument("target", metavar="sts/NAME")
@click.argument("name", metavar="NEWNAME")
def command(home: Home, namespace: str, wait_s: float, target: str, name: str) -> None:
    """Make a second StatefulSet with a copy of the first one's data, as it is now.

    It has pods, claims and a governing service of its own. What is in its configuration and its data is the original's:
    members that look for each other by name find the original's, unless they are told otherwise.
    """
    set_name = set_of(target)
    do(home, namespace, wait_s, lambda sets: sets.fork(set_name, name))
