"""The cluster's range of pod addresses: chosen at its start, held against other clusters of this machine."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Network

from holdfast.network.pods import ranges
from holdfast.network.pods.state import is_own

IP_FREEBIND = 15
DNS_PORT = 53

Hold = socket.socket
"""What keeps a range from other clusters, for as long as it is open and its process lives."""


def hold(network: IPv4Network) -> Hold | None:
    """None if another cluster has it. The kernel lets go of an abstract address with its process, leaving no file."""
    if not _nameserver_fits(str(ranges.gateway(ranges.node_range(network, 0)))):
        return None
    holding = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holding.bind(f"\0holdfast-pods-{network}")
    except OSError:
        holding.close()
        return None
    return holding


def _nameserver_fits(address: str) -> bool:
    """Whether nothing answers where the pods' nameserver is to be. Where only root may know, it fits."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
            probe.bind((address, DNS_PORT))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def is_left(network: IPv4Network) -> bool:
    """Whether the pods' gateway is on this machine: agents that were killed leave it, and their pods go on."""
    return is_own(ranges.gateway(ranges.node_range(network, 0)))


def choose(
    saved: str,
    in_use: bool,
    routed: Callable[[], list[IPv4Network]] = ranges.routed,
    hold: Callable[[IPv4Network], Hold | None] = hold,
    is_left: Callable[[IPv4Network], bool] = is_left,
) -> tuple[IPv4Network, Hold | None]:
    """The range and what holds it. `saved` is the last start's; with `in_use` its pods run, and it stays.

    It stays too where it `is_left` by agents that were killed and no other cluster holds it. Otherwise a range that
    somebody took meanwhile is given up for the next that is free. Raises NoRangeLeft.
    """
    if saved and in_use:
        return IPv4Network(saved), hold(IPv4Network(saved))
    if saved and is_left(IPv4Network(saved)) and (holding := hold(IPv4Network(saved))) is not None:
        return IPv4Network(saved), holding
    taken = routed()
    wanted = [IPv4Network(saved)] if saved else []
    while True:
        network = ranges.choose(taken, wanted)
        if (holding := hold(network)) is not None:
            return network, holding
        taken.append(network)
