"""The one thing beside rules that services need of the machine: a route by which the host reaches their range (R84).

Blocking.
"""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Network
from pathlib import Path


def has_default_route(table: Path = Path("/proc/net/route")) -> bool:
    """Whether the host knows a way to any address at all."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return False
    return any(fields[1] == fields[7] == "00000000" for fields in map(str.split, lines))


def add_route(services: IPv4Network, gateway: str) -> None:
    """Lets the host send to cluster addresses, which its rules then translate. Raises OSError."""
    _route("replace", services, gateway)


def remove_route(services: IPv4Network, gateway: str) -> None:
    """Nothing if there is none."""
    with contextlib.suppress(OSError):
        _route("del", services, gateway)


def _route(verb: str, services: IPv4Network, gateway: str) -> None:
    from pyroute2.iproute.linux import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as netlink:
        try:
            netlink.route(verb, dst=str(services), oif=netlink.link_lookup(ifname="lo")[0], prefsrc=gateway)
        except NetlinkError as error:
            raise OSError(error.code, str(error)) from error
