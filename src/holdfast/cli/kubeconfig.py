"""`holdfast kubeconfig`."""

from __future__ import annotations

import click

from holdfast.cluster.home import Home, none_is_up

from .output import Failure, home_option


@click.command("kubeconfig", short_help="Print the path of the kubeconfig.")
@home_option
def command(home: Home) -> None:
    """Print the path of the kubeconfig: export KUBECONFIG=$(holdfast kubeconfig)"""
    if not home.kubeconfig.exists():
        raise Failure(none_is_up(home))
    click.echo(str(home.kubeconfig))
