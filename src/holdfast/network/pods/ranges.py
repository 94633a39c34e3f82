"""Which addresses pods get: ranges for the cluster that nothing here routes, and slices of them for each node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PODS = {4: "10.{}.0.0/16", 6: "fd00:10:{}::/56"}
SERVICES = {4: "10.{}.0.0/16", 6: "fd00:10:{}::/112"}
"""What the ranges of a cluster look like, by version of IP."""
FIRST_PODS, FIRST_SERVICES = 244, 96
"""As most clusters have it."""
NODE_PREFIX = {4: 24, 6: 64}
"""By version."""
MOST_NODES_HERE = 64
"""So many of a range's slices are the first machine's, whether it has so many nodes or not."""


class NoRangeLeft(Exception):
    """Every candidate overlaps with something this machine routes already."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one node has of one of the cluster's ranges of pods."""

    pods: Network
    """The whole range."""
    node: Network

    @property
    def gateway(self) -> Address:
        return gateway(self.node)


def candidates(shape: str, first: int) -> Iterator[Network]:
    """The one with the number `first`, as most clusters have it; then its neighbours, upwards and around."""
    for step in range(256):
        yield ip_network(shape.format((first + step) % 256))


def choose(taken: Iterable[Network], offered: Iterable[Network]) -> Network:
    """The first of those offered that overlaps with nothing in `taken`. Raises NoRangeLeft."""
    used = [network for network in taken if network.prefixlen > 0]
    candidate = None
    for candidate in offered:
        if not any(overlap(candidate, network) for network in used):
            return candidate
    like = PODS[4].format("x") if candidate is None or candidate.version == 4 else "fd00:10:x::"
    raise NoRangeLeft(f"no {like} is free on this machine")


def overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def node_slices(cluster: Iterable[Network], number: int) -> tuple[Slice, ...]:
    """What node `number` has, of each of the cluster's ranges."""
    return tuple(Slice(pods, node_range(pods, number)) for pods in cluster)


def node_range(cluster: Network, number: int) -> Network:
    """The slice of node `number`, counted from 0. Raises ValueError beyond the last."""
    prefix = NODE_PREFIX[cluster.version]
    slices = 1 << (prefix - cluster.prefixlen)
    if not 0 <= number < slices:
        raise ValueError(f"{cluster} has room for {slices} nodes")
    size = 1 << (cluster.max_prefixlen - prefix)
    return ip_network((int(cluster.network_address) + number * size, prefix))


def gateway(node: Network) -> Address:
    """The node's own address among its pods': the first."""
    return node.network_address + 1


def routed(
    table: Path = Path("/proc/net/route"),
    local: Path = Path("/proc/net/fib_trie"),
    table6: Path = Path("/proc/net/ipv6_route"),
) -> list[Network]:
    """What this machine routes now, its own addresses included."""
    found: list[Network] = [network for _, network in routes(table, table6)]
    previous = ""
    for line in _lines(local):
        if "/32 host LOCAL" in line:
            found.append(IPv4Network(previous.split()[-1]))
        previous = line
    return found


def routes(table: Path, table6: Path) -> Iterator[tuple[str, Network]]:
    """Link and destination of every route. That table of IPv6 has the addresses of this machine too."""
    for fields in map(str.split, _lines(table)[1:]):
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        yield fields[0], IPv4Network((destination, mask.bit_count()))
    for fields in map(str.split, _lines(table6)):
        yield fields[-1], IPv6Network((int(fields[0], 16), int(fields[1], 16)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
