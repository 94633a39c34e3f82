"""The `holdfast` command. No logic of its own: it asks `cluster` and shows what comes back.

Exit status 0, 1 for a failure with one clear line on standard error, 2 for usage.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

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
    "service": "service",
    "doctor": "doctor",
}
"""Command name -> module of this package that defines `command`; loaded when it is asked for."""

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
ANOTHER = "choose another data directory with --home DIR or HOLDFAST_HOME"
CURES = {
    errno.EACCES: f"this user may not; run it as the user whose cluster it is, or {ANOTHER}",
    errno.EPERM: f"this user may not; run it as the user whose cluster it is, or {ANOTHER}",
    errno.EROFS: ANOTHER,
    errno.ENOTDIR: ANOTHER,
    errno.EEXIST: ANOTHER,
    errno.ENAMETOOLONG: ANOTHER,
}
"""Of what a machine may refuse, what helps."""


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
@click.pass_context
def group(context: click.Context) -> None:
    """Stateful Kubernetes workloads on this machine.

    \b
    holdfast up                      start a cluster (a second or so)
    kubectl apply -f my-set.yaml     use it as any Kubernetes
    holdfast status                  what runs, where, how healthy
    holdfast down                    stop it; data stays until `down --purge`

    New here? `holdfast demo` tells the whole story in under a minute.
    """
    from .output import is_plain

    if is_plain():
        context.color = False


def main() -> None:
    """The console script."""
    from holdfast.cluster.home import Damaged

    from .output import Failure, Interrupted

    _open_standard_streams()
    _complete_path()
    try:
        group.main(prog_name="holdfast", standalone_mode=False)
    except (Failure, Damaged) as failure:
        _end(str(failure))
    except OSError as error:
        if not (words := _in_words(error)):
            raise
        _end(words)
    except Interrupted as interrupted:
        _end(f"interrupted: {interrupted}", 130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _end("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _open_standard_streams() -> None:
    """Those that were closed: else the next files have their numbers, which mean something else to our children."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free


def _complete_path() -> None:
    """For this process and all that come of it: cron and others give little of it, and ordinary users no /usr/sbin."""
    given = [each for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*given, *PATH]))


def _end(words: str, status: int = 1) -> NoReturn:
    click.echo(f"holdfast: {words}", err=True)
    sys.exit(status)


def _in_words(error: OSError) -> str:
    """What the machine refused, and what to do; empty for what only we can have done wrong."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{place}: delete something on it, then run the same command again"
    if not error.filename:
        return ""
    cure = CURES.get(error.errno or 0, "")
    return f"{error.filename}: {error.strerror}" + (f": {cure}" if cure else "")
