"""`holdfast kubectl`."""

from __future__ import annotations

import os
import shutil

import click

from holdfast.cluster.home import Home, none_is_up

from .output import Failure, home_option

MISSING = (
    "there is no kubectl on this machine; on Debian: apt-get install kubernetes-client, "
    "elsewhere see https://kubernetes.io/docs/tasks/tools/"
)


PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("kubectl", context_settings=PASS_THROUGH, add_help_option=False)
@home_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(home: Home, arguments: tuple[str, ...]) -> None:
    """Run the real kubectl against this cluster.

    `holdfast kubectl get pods` is `kubectl --kubeconfig $(holdfast kubeconfig) get pods`.
    """
    if not home.kubeconfig.exists() and arguments in (("--help",), ("-h",)):
        click.echo(click.get_current_context().get_help())
        return
    if not home.kubeconfig.exists():
        raise Failure(none_is_up(home))
    program = shutil.which("kubectl")
    if program is None:
        raise Failure(MISSING)
    os.execve(program, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(home.kubeconfig)})
