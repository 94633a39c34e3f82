"""`holdfast down`."""

from __future__ import annotations

import asyncio

import click

from holdfast.cluster import kubeconfig, launch
from holdfast.cluster import settings as saved
from holdfast.cluster.boot import Boot, NotDone
from holdfast.cluster.home import Home

from .output import Failure, Interrupted, home_option, step


@click.command("down")
@home_option
@click.option(
    "--purge",
    is_flag=True,
    help="Remove the data directory too: objects, volumes, images; its unit (`holdfast service`) goes with it.",
)
def command(home: Home, purge: bool) -> None:
    """Stop the pods within their grace periods, then the daemon.

    Objects and volumes stay: the next `up` starts the same pods on the same data. A machine that has joined a cluster
    leaves it: its Node is deleted, its pods go elsewhere; their volumes stay here, and wait for it to join again.
    """
    if not home.path.exists():
        click.echo(f"nothing to stop: there is no {home.path}")
        return
    settings = saved.load(home.settings)
    try:
        stopped = _stop(home)
        has_left = _leave(home, settings) if settings is not None and settings.is_joined else ""
        removed = _purge(home) if purge else ""
    except (launch.LaunchFailed, NotDone) as error:
        raise Failure(str(error)) from error
    click.echo(("stopped" if stopped else "was not running") + has_left + removed)
    if (found := Boot(home).find()) is not None and found.enabled:
        step(f"{found.unit} starts it again with the machine; not any more: holdfast service remove")


def _stop(home: Home) -> bool:
    try:
        return launch.stop(home, step)
    except KeyboardInterrupt as error:
        raise Interrupted("the pods go on ending; `holdfast down` again waits for them") from error


def _purge(home: Home) -> str:
    """What was removed."""
    Boot(home).forget()
    try:
        kubeconfig.remove_from_users_own(home, kubeconfig.user_path())
    except (OSError, RuntimeError) as error:
        click.echo(f"holdfast: left your own kubeconfig alone: {error}", err=True)
    foreign = launch.purge(home)
    return f", removed {home.path}" + (f" but what is not holdfast's in it: {', '.join(foreign)}" if foreign else "")


def _leave(home: Home, settings: saved.Settings) -> str:
    """What came of it. A cluster that is away must not keep its machines from going."""
    from holdfast.cluster.joining.leave import leave

    if problem := asyncio.run(leave(home, settings)):
        click.echo(f"holdfast: its Node stays (kubectl delete node {settings.name}): {problem}", err=True)
        return ""
    return f", {settings.name} has left {settings.server}"
