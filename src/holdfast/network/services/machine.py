"""The one thing beside rules that services need of the machine: a route by which the host reaches their range (R84).

Blocking.
"""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from pathlib import Path

from holdfast.network.pods.ranges import Network, routes
from holdfast.network.rtnetlink import Route, RtNetlink

ROUTES, ROUTES6 = Path("/proc/net/route"), Path("/proc/net/ipv6_route")


def has_default_route(version: int, tables: tuple[Path, Path] = (ROUTES, ROUTES6)) -> bool:
    """Whether the host knows a way to any address at all. IPv6 lists one that leads nowhere."""
    return any(
        network.version == version and not network.prefixlen and link != "lo" for link, network in routes(*tables)
    )


def add_route(services: Network, gateway: str) -> None:
    """Lets the host send to cluster addresses, which its rules then translate. Raises OSError."""
    with RtNetlink() as netlink:
        netlink.replace_route(Route(services, netlink.link("lo").index, source=ip_address(gateway)))


def remove_route(services: Network, gateway: str) -> None:
    """Nothing if there is none."""
    with contextlib.suppress(OSError), RtNetlink() as netlink:
        netlink.remove_route(Route(services, netlink.link("lo").index, source=ip_address(gateway)))
