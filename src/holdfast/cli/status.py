"""`holdfast status`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from holdfast.api.errors import ApiError
from holdfast.client import Client
from holdfast.cluster import launch, overview
from holdfast.cluster import settings as saved
from holdfast.cluster.boot import Boot
from holdfast.cluster.home import Home, none_is_up

from .output import Failure, bold, home_option, output_option, print_json, table

HEADER = ("POD", "STATUS", "READY", "RESTARTS", "ADDRESS", "NODE", "CLAIM", "VOLUME")


@click.command("status", short_help="What runs, where, how healthy, pod by pod.")
@home_option
@output_option
def command(home: Home, output: str) -> None:
    """Show what runs, where, how healthy; per StatefulSet every ordinal with its claim, volume and address."""
    settings = saved.load(home.settings)
    if settings is not None and settings.is_joined:
        _show_joined(home, settings, output)
        return
    found = launch.running(home)
    if found is None:
        if output == "json":
            print_json({"daemon": None, "nodes": [], "statefulsets": [], "service": _service(home)})
            raise SystemExit(1)
        raise Failure(none_is_up(home))
    try:
        state = asyncio.run(_gather(home))
    except ApiError as error:
        raise Failure(f"the API at {found.url} does not answer: {error}") from error
    agents = launch.agents_pid(home)
    daemon = {"pid": found.pid, "url": found.url, "agents_pid": agents, "home": str(home.path)}
    state = {"daemon": daemon, **state}
    if output == "json":
        print_json({**state, "service": _service(home)})
    else:
        _show(home, state)


def _show_joined(home: Home, settings: saved.Settings, output: str) -> None:
    """What a machine that has joined knows of itself; a program finds the same members as elsewhere."""
    from holdfast.client.remote import RemoteClient
    from holdfast.cluster.connect import as_node

    async def ask() -> dict[str, Any]:
        client = RemoteClient(as_node(home, settings.server, settings.name))
        try:
            return await overview.node_alone(client, settings.name)
        finally:
            await client.close()

    agents = launch.agents_pid(home)
    try:
        nodes = [asyncio.run(ask())]
    except ApiError as error:
        raise Failure(f"the API at {settings.server} does not answer for {settings.name}: {error}") from error
    if output == "json":
        print_json(
            {
                "daemon": None,
                "server": settings.server,
                "agents_pid": agents,
                "nodes": nodes,
                "statefulsets": [],
                "service": _service(home),
            }
        )
        return
    work = f"pid {agents}" if agents else click.style("not at work", fg="red")
    click.echo(f"{bold('holdfast')} a machine of {settings.server}  {work}  {home.path}")
    _show_service(home)
    _show_nodes(nodes)


def _service(home: Home) -> dict[str, Any] | None:
    found = Boot(home).find()
    return None if found is None else asdict(found)


def _show_service(home: Home) -> None:
    boot = Boot(home)
    found = boot.find()
    if found is None:
        return
    started = "started at boot" if found.enabled else click.style("not started at boot", fg="yellow")
    watched = "watched" if found.active else click.style("not watched", fg="yellow")
    cure = "" if found.active else f": {boot.command('start')}"
    click.echo(f"{started} and {watched} by {found.unit}{cure}")


async def _gather(home: Home) -> dict[str, Any]:
    from holdfast.cluster.connect import connect

    client: Client
    async with connect(home) as client:
        return await overview.gather(client)


def _show(home: Home, state: dict[str, Any]) -> None:
    daemon = state["daemon"]
    click.echo(f"{bold('holdfast')} {daemon['url']}  pid {daemon['pid']}  {daemon['home']}")
    _show_service(home)
    _show_nodes(state["nodes"])
    show_sets(state["statefulsets"])
    if not state["statefulsets"]:
        click.echo("no StatefulSets yet: kubectl apply -f yours.yaml")


def _show_nodes(nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        health = click.style("Ready", fg="green") if node["ready"] else click.style("NotReady", fg="red")
        cordoned = "" if node["schedulable"] else click.style("  cordoned", fg="yellow")
        at = f"  {node['address']}" if node["machine"] else ""
        click.echo(f"node {node['name']}  {health}{cordoned}  {node['runtime']}  {node['pods']} pods{at}")


def show_sets(statefulsets: list[dict[str, Any]]) -> None:
    """One table per set, its ordinals as rows."""
    for statefulset in statefulsets:
        click.echo()
        click.echo(_title(statefulset))
        for line in table(HEADER, _rows(statefulset)):
            click.echo(line)


def _title(statefulset: dict[str, Any]) -> str:
    ready, replicas = statefulset["ready"], statefulset["replicas"]
    state = click.style(f"{ready}/{replicas} ready", fg="green" if ready == replicas else "yellow")
    title = f"{bold(statefulset['namespace'] + '/' + statefulset['name'])}  {state}  revision {statefulset['revision']}"
    return f"{title}  names {statefulset['names']}" if statefulset["names"] else title


def _rows(statefulset: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row per ordinal, and one more for each further claim of it."""
    for row in statefulset["ordinals"]:
        first, *others = row["claims"] or [{"name": "-", "volume": "-", "phase": ""}]
        yield (
            row["pod"],
            row["phase"],
            "yes" if row["ready"] else "no",
            str(row["restarts"]),
            row["address"] or "-",
            row["node"] or "-",
            first["name"],
            first["volume"] or first["phase"],
        )
        for claim in others:
            yield ("", "", "", "", "", "", claim["name"], claim["volume"] or claim["phase"])
