"""What there is of the pods' network, read cheaply enough to be looked at whenever something happened. Blocking."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .links import ENTRANCE
from .ranges import Address, Network, overlap, routes

ROUTES, ROUTES6 = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
ADDRESSES6 = Path("/proc/net/if_inet6")
_UP = 1
_GET_FLAGS, _REQUEST = 0x8913, struct.Struct("16sH22x")
"""An ioctl of any socket, and what it reads and writes: the link's name and its flags."""


def broken(
    links: Mapping[str, Sequence[Address]],
    tables: tuple[Path, Path] = (ROUTES, ROUTES6),
    addresses: Path = ADDRESSES6,
    is_up: Callable[[str], bool] | None = None,
) -> list[str]:
    """Those of the links, each with its pod's addresses, that are gone, down, not routed to or without entrance."""
    is_up = is_up or _is_up
    routed = {(link, str(network)) for link, network in routes(*tables)}
    entrances = _entrances(addresses) if any(each.version == 6 for held in links.values() for each in held) else set()
    return [
        name
        for name, held in links.items()
        if not is_up(name)
        or any((name, f"{address}/{address.max_prefixlen}") not in routed for address in held)
        or (name not in entrances and any(address.version == 6 for address in held))
    ]


def loops(node: Network, tables: tuple[Path, Path] = (ROUTES, ROUTES6)) -> bool:
    """Whether the node's addresses lead to the loopback link where no pod has them."""
    return ("lo", node) in routes(*tables)


def is_in_use(pods: Network, tables: tuple[Path, Path] = (ROUTES, ROUTES6)) -> bool:
    """Whether any node of the cluster is here. The range as a whole leads there on every machine (`network.peers`)."""
    return any(link == "lo" and overlap(pods, network) for link, network in routes(*tables) if _is_part(network, pods))


def _is_part(network: Network, pods: Network) -> bool:
    return network.version == pods.version and network.prefixlen > pods.prefixlen


def _entrances(addresses: Path) -> set[str]:
    """The links that have the address by which pods leave."""
    wanted = ENTRANCE.packed.hex()
    lines = (line.split() for line in addresses.read_text().splitlines())
    return {fields[-1] for fields in lines if fields[0] == wanted}


def _is_up(link: str) -> bool:
    """In the calling thread's network namespace: /sys may show another's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _GET_FLAGS, _REQUEST.pack(link.encode(), 0))
        except OSError:
            return False
        return bool(_REQUEST.unpack(answer)[1] & _UP)


def is_own(address: Address) -> bool:
    """Whether this machine has the address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True
