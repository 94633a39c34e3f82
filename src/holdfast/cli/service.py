"""`holdfast service`."""

from __future__ import annotations

import click

from holdfast.cluster.boot import Boot, NotDone
from holdfast.cluster.home import Home

from .output import Failure, home_option, step


@click.group("service")
def command() -> None:
    """Have systemd start the cluster with the machine.

    And again should it die, whatever it dies of.

    \b
    holdfast up --listen 192.168.1.5     how it is to be, once
    holdfast service install             from now on it is there
    systemctl restart holdfast           a new daemon, after an upgrade; the pods go on
    systemctl stop holdfast              stops the pods in order, as does the machine's shutdown

    As root for the machine, else by the user's own systemd. Another --home has another unit.
    """


@command.command("install")
@home_option
def install(home: Home) -> None:
    """Write the unit, enable it, start it. What is up already goes on, and is watched from now on."""
    boot = Boot(home)
    try:
        boot.install(step)
    except NotDone as error:
        raise Failure(str(error)) from error
    later = boot.waits_for_a_login()
    if later:
        step(f"it starts when you log in, and stops when you log out; with the machine: {later}")
    click.echo(f"{boot.unit.name} is up, and starts with {'you' if later else 'the machine'}: {boot.command('status')}")


@command.command("remove")
@home_option
def remove(home: Home) -> None:
    """Stop it, as `systemctl stop` does, and take the unit away. State stays: `holdfast up` starts it as ever."""
    boot = Boot(home)
    try:
        was_there = boot.remove()
    except NotDone as error:
        raise Failure(str(error)) from error
    click.echo(f"stopped, removed {boot.file}" if was_there else f"nothing to remove: there is no {boot.file}")


@command.command("show")
@home_option
def show(home: Home) -> None:
    """Print the unit that `install` writes; changes nothing."""
    click.echo(Boot(home).unit.text(), nl=False)
