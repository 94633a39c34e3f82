"""Joining: credentials, what the cluster is like, a Node with its slice of the pods' range, a process of agents."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass

from holdfast import __version__
from holdfast.api.core.machines import MACHINE
from holdfast.api.core.node import NODES
from holdfast.api.errors import AlreadyExists, ApiError, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.remote import RemoteClient
from holdfast.cluster import settings as saved
from holdfast.cluster.agents_process import AgentsProcess
from holdfast.cluster.certificates import pair
from holdfast.cluster.choice import CannotRun, decide
from holdfast.cluster.connect import as_node
from holdfast.cluster.home import Home
from holdfast.cluster.settings import Settings, host_name, networks
from holdfast.network.peers.telling import CONDITION
from holdfast.network.pods import ranges
from holdfast.node.capabilities import probe_containers
from holdfast.world import World

from . import facts
from .checks import check_facts, check_home, check_node, check_routes, slice_number
from .discovery import url_of
from .refusal import CannotJoin

Report = Callable[[str], None]

LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `holdfast node --join`."""

    server: str
    """`HOST:PORT` of the API server."""
    token: str = ""
    ca_hash: str = ""
    """Both for the first time only: later the node has credentials of its own."""
    name: str = ""
    """Of the node; default: the one of before, else this machine's host name."""
    wait_s: float = 60.0


async def join(home: Home, asked: Asked, world: World, report: Report) -> Settings:
    """Returns when the Node is Ready: what this machine is by then. Raises CannotJoin.

    May be repeated: what runs is found, what is missing is made.
    """
    url, before = url_of(asked.server), saved.load(home.settings)
    name = asked.name or (before.name if before is not None and before.is_joined else host_name())
    check_home(home, before, name)
    home.make()
    _check_machine(home)
    try:
        async with asyncio.timeout(asked.wait_s):
            await _credentials(home, url, asked, name, world)
            return await _join(home, url, name, before, world, report)
    except TimeoutError:
        raise CannotJoin(f"not Ready after {asked.wait_s:g} s; see {home.logs / 'agents.log'}") from None
    except ApiError as error:
        raise CannotJoin(f"the API server at {url} says: {error}") from error


def _check_machine(home: Home) -> None:
    try:
        found = decide(Settings(runtime="oci"), in_use=False, probe=functools.partial(probe_containers, home.path))
    except CannotRun as error:
        raise CannotJoin(str(error)) from error
    if found.is_rootless:
        raise CannotJoin("a machine joins as root only: without, nobody beyond it could reach its pods")


async def _credentials(home: Home, url: str, asked: Asked, name: str, world: World) -> None:
    is_known = pair(home, f"node-{name}").exists and home.ca_certificate.exists()
    if not is_known and not (asked.token and asked.ca_hash):
        raise CannotJoin(
            "to join for the first time takes --token and --ca-hash: `holdfast node token`, on the machine of the API"
            " server, prints the whole command"
        )
    from .credentials import obtain

    # Also of a machine that has some: one that is about to end is renewed.
    await obtain(url.removeprefix("https://"), asked.token, asked.ca_hash, name, home, world)


async def _join(home: Home, url: str, name: str, before: Settings | None, world: World, report: Report) -> Settings:
    client = RemoteClient(as_node(home, url, name))
    try:
        known = await _facts(client, report)
        if before is None:
            check_routes(known, ranges.routed())
        node = await _node(client, name, world)
        settings = facts.joined_settings(known, url, name, slice_number(node, networks(known["podCIDR"])))
        saved.save(home.settings, settings)
        await _at_work(home, settings, world)
        await _until_ready(client, name, world, report)
    finally:
        await client.close()
    return settings


async def _facts(client: Client, report: Report) -> dict[str, str]:
    try:
        known = await facts.read(client)
    except NotFound:
        raise CannotJoin("the cluster's holdfast is older than joining: start it with this version") from None
    check_facts(known)
    if known.get("version") != __version__:
        report(f"the cluster's holdfast is {known.get('version')}, this one is {__version__}: better have one version")
    return known


async def _node(client: Client, name: str, world: World) -> Manifest:
    """The Node of this machine, with its slices."""
    labels = {MACHINE: name, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    try:
        await client.create(
            NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}
        )
    except AlreadyExists:
        check_node(await client.get(NODES, name), name)
    while not (node := await client.get(NODES, name))["spec"].get("podCIDRs"):
        await world.clock.sleep(LOOK_EVERY_S)
    return node


async def _at_work(home: Home, settings: Settings, world: World) -> None:
    """Returns when the agent has registered and knows its pods; one that is at work already is left alone."""
    agents = AgentsProcess(home, settings, settings.server, world.clock)
    agents.start()
    agents.release()
    started, over = asyncio.ensure_future(agents.started()), asyncio.ensure_future(agents.over())
    try:
        await asyncio.wait({started, over}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            raise CannotJoin(f"the node's agent ended while starting; see {home.logs / 'agents.log'}")
    finally:
        started.cancel()
        over.cancel()


async def _until_ready(client: Client, name: str, world: World, report: Report) -> None:
    """Also returns if other machines' pods cannot be reached, having said so."""
    while True:
        node = await client.get(NODES, name)
        conditions = {each["type"]: each for each in (node.get("status") or {}).get("conditions") or ()}
        if conditions.get("Ready", {}).get("status") == "True" and CONDITION in conditions:
            if conditions[CONDITION]["status"] == "True":
                report(f"no pods will be scheduled here: {conditions[CONDITION]['message']}")
            return
        await world.clock.sleep(LOOK_EVERY_S)
