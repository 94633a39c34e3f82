"""What there is of the pods' network, read cheaply enough to be looked at whenever something happened. Blocking."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
ROUTES = Path("/proc/net/route")
LINKS = Path("/sys/class/net")
_UP = 1


def broken(links: Mapping[str, IPv4Address], routes: Path = ROUTES, devices: Path = LINKS) -> list[str]:
    """Those of the links, each with its pod's address, that are gone, down or not routed to."""
    routed = set(_routes(routes))
    return [
        name
        for name, address in links.items()
        if not _is_up(devices / name) or (name, IPv4Network(address)) not in routed
    ]


def loops(node: IPv4Network, routes: Path = ROUTES) -> bool:
    """Whether the node's addresses lead to the loopback link where no pod has them."""
    return ("lo", node) in _routes(routes)


def _routes(table: Path) -> Iterator[tuple[str, IPv4Network]]:
    """Link and destination of every route."""
    for fields in map(str.split, table.read_text().splitlines()[1:]):
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        yield fields[0], IPv4Network((destination, mask.bit_count()))


def _is_up(device: Path) -> bool:
    try:
        return bool(int((device / "flags").read_text(), 16) & _UP)
    except OSError:
        return False


def is_own(address: IPv4Address) -> bool:
    """Whether this machine has the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def forwards(setting: Path = FORWARDING) -> bool:
    """Whether this machine passes on what is not for itself."""
    return setting.read_text().strip() == "1"
