"""`holdfast kubeconfig`."""

from __future__ import annotations

import click

from holdfast.cluster.home import Home

from .output import Failure, home_option


@click.command("kubeconfig", short_help="Print the path of the kubeconfig.")
@home_option
def command(home: Home) -> None:
    """Print the path of the kubeconfig: export KUBECONFIG=$(holdfast kubeconfig)"""
    if not home.kubeconfig.exists():
        raise Failure(f"no cluster in {home.path} yet: run `holdfast up`")
    click.echo(str(home.kubeconfig))
