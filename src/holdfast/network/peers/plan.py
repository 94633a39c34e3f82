"""Which routes a machine needs to the pods of the cluster's other machines, and why it cannot have one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_network

from holdfast.api.core.machines import machine_of
from holdfast.api.resource import Manifest
from holdfast.network.pods.ranges import Address, Network, overlap


@dataclass(frozen=True, slots=True)
class Here:
    """What a machine has to know of itself."""

    nodes: Sequence[str]
    """The names of its own nodes."""
    pods: Sequence[Network]
    """The cluster's ranges of pods, one for each family."""
    server: str = ""
    """The address by which it reaches the first machine, where that is known: on the link that they share."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A node of another machine."""

    node: Manifest
    slices: tuple[Network, ...]
    addresses: tuple[Address, ...]
    """Of its machine: any will do, the first one is the best."""

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])


class Far(Enum):
    """Why packets cannot be handed to an address as they are."""

    OWN = "own"
    """It is this machine's: its pods are reached already."""
    BEYOND = "beyond"
    """A router is between."""
    NOWHERE = "nowhere"
    """There is no way at all."""


Reach = int | Far
"""The number of the link on which an address is to be found, or why it is on none."""


@dataclass(frozen=True, slots=True)
class Route:
    """To `network`, by the machine at `gateway` on the link with that number; without one, to where nobody is."""

    network: Network
    gateway: Address | None = None
    link: int = 0


@dataclass(frozen=True, slots=True)
class Ways:
    routes: frozenset[Route]
    problems: Mapping[str, str]
    """By the name of the node whose pods cannot be reached, or not all: why."""


def peers(nodes: Iterable[Manifest], here: Here) -> list[Peer]:
    """The other machines' nodes that have a slice of the pods' ranges, the oldest first."""
    others = (node for node in nodes if node["metadata"]["name"] not in here.nodes)
    oldest_first = sorted(others, key=lambda node: (_created(node), node["metadata"]["name"]))
    return [Peer(node, slices, _addresses(node, here)) for node in oldest_first if (slices := slices_of(node))]


def slices_of(node: Manifest) -> tuple[Network, ...]:
    spec = node.get("spec") or {}
    return tuple(ip_network(each) for each in spec.get("podCIDRs") or [spec.get("podCIDR")] if each)


def _created(node: Manifest) -> str:
    return node["metadata"].get("creationTimestamp") or ""


def _addresses(node: Manifest, here: Here) -> tuple[Address, ...]:
    told = [
        each["address"] for each in (node.get("status") or {}).get("addresses") or () if each["type"] == "InternalIP"
    ]
    ours = [here.server] if here.server and not machine_of(node) else []
    return tuple(dict.fromkeys(ip_address(each) for each in (*ours, *told)))


def ways(others: Sequence[Peer], reached: Mapping[Address, Reach], here: Here) -> Ways:
    """`reached` says how each address of a peer is reached.

    The ranges as a whole lead to where nobody is: an address of a machine that is gone refuses at once, and nothing
    for it leaves by the way to the world.
    """
    routes = {Route(network) for network in here.pods}
    problems: dict[str, str] = {}
    taken: list[Network] = []
    for peer in others:
        for slice in peer.slices:
            found = _way(peer, slice, taken, reached, here)
            if isinstance(found, Route):
                routes.add(found)
            elif found:
                problems[peer.name] = found
        taken += peer.slices
    return Ways(frozenset(routes), problems)


def _way(
    peer: Peer, slice: Network, taken: Sequence[Network], reached: Mapping[Address, Reach], here: Here
) -> Route | str:
    """The route, or why there is none; empty if none is needed."""
    if not any(network.version == slice.version and slice.subnet_of(network) for network in here.pods):  # type: ignore[arg-type]
        ranges = ",".join(map(str, here.pods))
        return f"its pods' range {slice} is none of the cluster's, {ranges}: it has to leave and join again"
    if any(overlap(slice, other) for other in taken):
        return f"its pods' range {slice} is another node's, too: it has to leave and join again"
    candidates = [address for address in peer.addresses if address.version == slice.version]
    if not peer.addresses:
        return ""  # it has not told of itself yet, and has no pods
    if not candidates:
        return f"it tells of no address of IPv{slice.version} to reach {slice} by"
    if any(reached.get(address) is Far.OWN for address in candidates):
        return ""
    for address in candidates:
        found = reached.get(address, Far.NOWHERE)
        if isinstance(found, int):
            return Route(slice, address, found)
    text = " and ".join(map(str, candidates))
    if all(reached.get(address, Far.NOWHERE) is Far.NOWHERE for address in candidates):
        return f"there is no way to {text}"
    return f"{text} is behind a router: machines of a cluster have to share a link, for pods' packets go as they are"
