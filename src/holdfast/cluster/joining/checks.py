"""What may keep a machine from joining: of its data directory, of the machine, of the cluster. Said before anything is
changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.api.core.machines import machine_of
from holdfast.api.resource import Manifest
from holdfast.cluster.home import Home
from holdfast.cluster.settings import Settings, networks
from holdfast.network.peers.plan import slices_of
from holdfast.network.pods.ranges import NODE_PREFIX, Network, overlap

from .facts import RUNTIME
from .refusal import CannotJoin


def check_home(home: Home, settings: Settings | None, name: str) -> None:
    """Whether this directory is new, or that node's. Raises CannotJoin.

    The cluster may be at another address by now: that it is the same one is known by who vouches for it.
    """
    if settings is None:
        return
    if not settings.is_joined:
        raise CannotJoin(f"{home.path} has a cluster of its own: choose another directory with --home")
    if name != settings.name:
        raise CannotJoin(
            f"{home.path} has joined as {settings.name}: choose another directory with --home, or give up what is in"
            f" this one, volumes too: holdfast down --purge --home {home.path}"
        )


def check_facts(facts: Mapping[str, str]) -> None:
    """Raises CannotJoin."""
    if facts.get("runtime") != RUNTIME:
        raise CannotJoin(
            f"the cluster's pods have no network that other machines reach (its runtime: {facts.get('runtime')}):"
            " it has to be started as root, with real containers"
        )


def check_routes(facts: Mapping[str, str], routed: Sequence[Network]) -> None:
    """Whether the cluster's ranges are free on a machine that is new to it. Raises CannotJoin."""
    ranges = [*networks(facts["podCIDR"]), *networks(facts["serviceCIDR"])]
    for network in routed:
        if network.prefixlen and any(overlap(network, each) for each in ranges):
            raise CannotJoin(
                f"this machine routes {network} already, and the cluster has {', '.join(map(str, ranges))}: what is"
                " there must go, or another cluster of this machine is up; see docs/nodes.md"
            )


def check_node(node: Manifest, name: str) -> None:
    """Whether the Node of that name is of a machine that has joined. Raises CannotJoin."""
    if machine_of(node) != name:
        raise CannotJoin(f"there is a node {name} already, on another machine: choose another name with --name")


def slice_number(node: Manifest, pods: Sequence[Network]) -> int:
    """Which slice the node has of each of the ranges. Raises CannotJoin if it is one of other ranges."""
    own = {slice.version: slice for slice in slices_of(node)}
    numbers = set()
    for network in pods:
        slice = own.get(network.version)
        if slice is None or slice.prefixlen != NODE_PREFIX[slice.version] or not overlap(slice, network):
            numbers.add(-1)
            continue
        distance = int(slice.network_address) - int(network.network_address)
        numbers.add(distance >> (slice.max_prefixlen - slice.prefixlen))
    if len(numbers) != 1 or -1 in numbers:
        name, has = node["metadata"]["name"], ",".join(map(str, own.values()))
        raise CannotJoin(
            f"the node {name} has {has} of the pods' ranges, and these are {','.join(map(str, pods))} by now:"
            " holdfast down here, then join again"
        )
    return numbers.pop()
