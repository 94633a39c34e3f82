"""Which addresses pods get: a range for the cluster that nothing on this machine routes, a slice for each node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from pathlib import Path

PREFERRED = "10.244.0.0/16"
NODE_PREFIX = 24


class NoRangeLeft(Exception):
    """Every candidate overlaps with something this machine routes already."""


def candidates() -> Iterator[IPv4Network]:
    """10.244.0.0/16 first, as most clusters have it; then its neighbours, upwards and around."""
    first = IPv4Network(PREFERRED)
    second = int(first.network_address) >> 16 & 0xFF
    for step in range(256):
        yield IPv4Network(f"10.{(second + step) % 256}.0.0/16")


def choose(taken: Iterable[IPv4Network], wanted: Iterable[IPv4Network] = ()) -> IPv4Network:
    """The first of `wanted` and the candidates that overlaps with nothing in `taken`. Raises NoRangeLeft."""
    used = [network for network in taken if network.prefixlen > 0]
    for candidate in chain(wanted, candidates()):
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise NoRangeLeft("no 10.x.0.0/16 is free on this machine")


def node_range(cluster: IPv4Network, number: int) -> IPv4Network:
    """The slice of node `number`, counted from 0. Raises ValueError beyond the last."""
    slices = 1 << (NODE_PREFIX - cluster.prefixlen)
    if not 0 <= number < slices:
        raise ValueError(f"{cluster} has room for {slices} nodes")
    size = 1 << (32 - NODE_PREFIX)
    return IPv4Network((int(cluster.network_address) + number * size, NODE_PREFIX))


def gateway(node: IPv4Network) -> IPv4Address:
    """The node's own address among its pods': the first."""
    return node.network_address + 1


def routed(table: Path = Path("/proc/net/route"), local: Path = Path("/proc/net/fib_trie")) -> list[IPv4Network]:
    """What this machine routes now, its own addresses included."""
    found = []
    for line in _lines(table)[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        found.append(IPv4Network((destination, mask.bit_count())))
    previous = ""
    for line in _lines(local):
        if "/32 host LOCAL" in line:
            found.append(IPv4Network(previous.split()[-1]))
        previous = line
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
