"""The `holdfast` command. No logic of its own: it asks `cluster` and shows what comes back.

Exit status 0, 1 for a failure with one clear line on standard error, 2 for usage.
"""

from __future__ import annotations

import errno
import sys

import click

from holdfast import __version__

COMMANDS = {
    "up": "up",
    "down": "down",
    "status": "status",
    "kubeconfig": "kubeconfig",
    "kubectl": "kubectl",
    "demo": "demo",
    "image": "image",
    "node": "node",
    "forward": "forward",
    "dns": "dns",
    "snapshot": "snapshot",
    "fork": "fork",
    "why": "why",
    "page": "page",
    "doctor": "doctor",
}
"""Command name -> module of this package that defines `command`; loaded when it is asked for."""


class LazyGroup(click.Group):
    """Loads a command's module only when that command runs, so that `holdfast up` starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"{__name__}.{COMMANDS[cmd_name]}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="holdfast")
def group() -> None:
    """Stateful Kubernetes workloads on this machine.

    \b
    holdfast up                      start a cluster (a second or so)
    kubectl apply -f my-set.yaml     use it as any Kubernetes
    holdfast status                  what runs, where, how healthy
    holdfast down                    stop it; data stays until `down --purge`

    New here? `holdfast demo` tells the whole story in under a minute.
    """


def main() -> None:
    """The console script."""
    from .output import Failure

    try:
        group.main(prog_name="holdfast", standalone_mode=False)
    except Failure as failure:
        click.echo(f"holdfast: {failure}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" ({error.filename})" if error.filename else ""
        click.echo(
            f"holdfast: the disk is full{place}: delete something on it, then run the same command again", err=True
        )
        sys.exit(1)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        click.echo("holdfast: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
