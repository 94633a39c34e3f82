"""`holdfast why`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from holdfast.api.errors import ApiError
from holdfast.client.kubeconfig import Connection, KubeconfigError, read_kubeconfig
from holdfast.client.remote import RemoteClient
from holdfast.cluster.connect import as_administrator
from holdfast.cluster.home import Home
from holdfast.cluster.why.asking import Question, Unclear, answer, parse_question
from holdfast.cluster.why.chain import Cause
from holdfast.cluster.why.evidence import Evidence, gather
from holdfast.world import real_world

from .output import Failure, bold, home_option, output_option, print_json


@click.command("why", short_help="Why something is not as wanted, and the cure.")
@home_option
@output_option
@click.option("-n", "--namespace", help="Where the object is (default: that of the kubeconfig, else default).")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Of another cluster; this one's if left out.")
@click.argument("what", metavar="KIND/NAME")
def command(home: Home, output: str, namespace: str | None, kubeconfig: Path | None, what: str) -> None:
    """Explain what is not as it is wanted: the causes, down to the first, and the command that cures it.

    \b
    holdfast why sts/web                 a set that does not get on
    holdfast why pod/web-0               a pod that is Pending, crashing, not ready, or does not go
    holdfast why pvc/data-web-0          a claim that is not bound
    holdfast why name/web-0.nginx        a name that does not resolve
    holdfast why svc/web                 a service that leads nowhere

    It reads objects and events only, so it explains any cluster: --kubeconfig ~/.kube/config.
    """
    try:
        connection = read_kubeconfig(kubeconfig) if kubeconfig is not None else as_administrator(home)
        question = parse_question(what, namespace or connection.namespace)
        where = question.dns_name.namespace if question.dns_name else namespace or connection.namespace
        found = answer(asyncio.run(_gather(connection, where)), question)
    except Unclear as error:
        raise click.UsageError(str(error)) from error
    except (ApiError, KubeconfigError) as error:
        raise Failure(str(error)) from error
    if output == "json":
        print_json({"object": what, "as_wanted": found is None, "causes": _as_data(found)})
    else:
        _show(what, question, found)


async def _gather(connection: Connection, namespace: str) -> Evidence:
    client = RemoteClient(connection)
    try:
        return await gather(client, namespace, real_world().clock.now())
    finally:
        await client.close()


def _as_data(found: Cause | None) -> list[dict[str, str]]:
    links = list(found.links()) if found is not None else []
    return [{"subject": link.subject, "says": link.says, "cure": link.cure} for link in links]


def _show(what: str, question: Question, found: Cause | None) -> None:
    if found is None:
        fine = "it resolves" if question.dns_name else "it is as it is wanted"
        click.echo(f"{bold(what)}  {click.style(fine, fg='green')}")
        return
    for depth, link in enumerate(found.links()):
        mark = f"{'   ' * (depth - 1)}└─ " if depth else ""
        click.echo(f"{mark}{bold(link.subject)}  {link.says}")
    if cure := found.first.cure:
        click.echo(f"{click.style('cure', fg='green')}  {cure}")
