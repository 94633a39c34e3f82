"""`holdfast down`."""

from __future__ import annotations

import click

from holdfast.cluster import kubeconfig, launch
from holdfast.cluster.home import Home

from .output import Failure, home_option, step


@click.command("down")
@home_option
@click.option("--purge", is_flag=True, help="Remove the data directory too: objects, volumes, images.")
def command(home: Home, purge: bool) -> None:
    """Stop the pods within their grace periods, then the daemon.

    Objects and volumes stay: the next `up` starts the same pods on the same data.
    """
    if not home.path.exists():
        click.echo(f"nothing to stop: there is no {home.path}")
        return
    try:
        stopped = launch.stop(home, step)
        if purge:
            kubeconfig.remove_from_users_own(home, kubeconfig.user_path())
            launch.purge(home)
    except (launch.LaunchFailed, OSError) as error:
        raise Failure(str(error)) from error
    click.echo(("stopped" if stopped else "was not running") + (f", removed {home.path}" if purge else ""))
