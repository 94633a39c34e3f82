"""`holdfast status`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from holdfast.api.errors import ApiError
from holdfast.client import Client
from holdfast.cluster import launch, overview
from holdfast.cluster.home import Home

from .output import Failure, home_option, output_option, print_json

if TYPE_CHECKING:
    from rich.table import Table


@click.command("status")
@home_option
@output_option
def command(home: Home, output: str) -> None:
    """Show what runs, where, how healthy; per StatefulSet every ordinal with its claim, volume and address."""
    found = launch.running(home)
    if found is None:
        if output == "json":
            print_json({"daemon": None, "nodes": [], "statefulsets": []})
            raise SystemExit(1)
        raise Failure(f"no cluster is up in {home.path}: run `holdfast up`")
    try:
        state = asyncio.run(_gather(home))
    except ApiError as error:
        raise Failure(f"the API at {found.url} does not answer: {error}") from error
    agents = launch.agents_pid(home)
    state = {"daemon": {"pid": found.pid, "url": found.url, "agents_pid": agents, "home": str(home.path)}, **state}
    if output == "json":
        print_json(state)
    else:
        _show(state)


async def _gather(home: Home) -> dict[str, Any]:
    from holdfast.cluster.connect import connect

    client: Client
    async with connect(home) as client:
        return await overview.gather(client)


def _show(state: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    daemon = state["daemon"]
    console.print(f"[bold]holdfast[/] {daemon['url']}  pid {daemon['pid']}  {daemon['home']}")
    for node in state["nodes"]:
        health = "[green]Ready[/]" if node["ready"] else "[red]NotReady[/]"
        cordoned = "" if node["schedulable"] else "  [yellow]cordoned[/]"
        console.print(f"node {node['name']}  {health}{cordoned}  {node['runtime']}  {node['pods']} pods")
    show_sets(state["statefulsets"])
    if not state["statefulsets"]:
        console.print("no StatefulSets yet: kubectl apply -f yours.yaml")


def show_sets(statefulsets: list[dict[str, Any]]) -> None:
    """One table per set, its ordinals as rows."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for statefulset in statefulsets:
        console.print()
        console.print(_title(statefulset))
        console.print(_ordinals(statefulset))


def _title(statefulset: dict[str, Any]) -> str:
    colour = "green" if statefulset["ready"] == statefulset["replicas"] else "yellow"
    ready = f"[{colour}]{statefulset['ready']}/{statefulset['replicas']} ready[/]"
    return f"[bold]{statefulset['namespace']}/{statefulset['name']}[/]  {ready}  revision {statefulset['revision']}"


def _ordinals(statefulset: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("POD", "STATUS", "READY", "RESTARTS", "ADDRESS", "NODE", "CLAIM", "VOLUME"):
        table.add_column(column, no_wrap=True, overflow="ignore")
    for row in statefulset["ordinals"]:
        claims = row["claims"] or [{"name": "-", "volume": "-"}]
        table.add_row(
            row["pod"],
            row["phase"],
            "yes" if row["ready"] else "no",
            str(row["restarts"]),
            row["address"] or "-",
            row["node"] or "-",
            "\n".join(claim["name"] for claim in claims),
            "\n".join(claim["volume"] or claim["phase"] for claim in claims),
        )
    return table
