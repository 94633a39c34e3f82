"""`holdfast doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from holdfast.cluster.home import Home
from holdfast.node.capabilities import Capabilities, Capability, probe

from .output import home_option, output_option, print_json


@click.command("doctor", short_help="What this machine can do; what adds the rest.")
@home_option
@output_option
def command(home: Home, output: str) -> None:
    """Find out what this machine can do, what is missing, and the command that adds it.

    The exit status is 1 if real containers cannot run here.
    """
    found = probe(home.path if home.path.exists() else None)
    if output == "json":
        checks = [asdict(item) for item in found.items]
        print_json({"runtime": found.runtime, "rootless": found.is_rootless, "checks": checks})
    else:
        _show(found)
    raise SystemExit(1 if found.missing_for_containers else 0)


def _show(found: Capabilities) -> None:
    for item in found.items:
        click.echo(_line(item))
    click.echo()
    if not found.missing_for_containers:
        how = " without root, within the limits above" if found.is_rootless else ""
        click.echo(f"Real containers run here{how}: holdfast up")
        return
    missing = ", ".join(item.name for item in found.missing_for_containers)
    click.echo(f"Real containers cannot run here: {missing}. `holdfast up` falls back to plain processes.")


def _line(item: Capability) -> str:
    if item.ok:
        return f"{_mark('ok', 'green')} {item.name:<16} {item.serves}"
    words = f" ({item.detail})" if item.detail else ""
    first = f"{_mark('missing', 'red' if item.required else 'yellow')} {item.name:<16} {item.serves}{words}"
    return f"{first}\n{'':<8}cure: {item.cure}"


def _mark(text: str, colour: str) -> str:
    return click.style(f"{text:<7}", fg=colour)
