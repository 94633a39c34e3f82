"""What there is of the pods' network, read cheaply enough to be looked at whenever something happened. Blocking."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
ROUTES = Path("/proc/net/route")
LINKS = Path("/sys/class/net")
_UP = 1


def broken(links: Mapping[str, IPv4Address], routes: Path = ROUTES, devices: Path = LINKS) -> list[str]:
    """Those of the links, each with its pod's address, that are gone, down or not routed to."""
    routed = set(_host_routes(routes.read_text().splitlines()[1:]))
    return [name for name, address in links.items() if not _is_up(devices / name) or (name, address) not in routed]


def _host_routes(lines: Iterable[str]) -> Iterable[tuple[str, IPv4Address]]:
    """Link and address of every route to one address only."""
    for fields in map(str.split, lines):
        if fields[7] == "FFFFFFFF":
            yield fields[0], IPv4Address(int.from_bytes(bytes.fromhex(fields[1]), "little"))


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
