"""The cluster's ranges of addresses: chosen at its start, held against other clusters of this machine.

A range of pods may be another one with the next start; one of services never is, since services keep their addresses.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.network.pods import ranges
from holdfast.network.pods.ranges import Address, Network
from holdfast.network.pods.state import is_own

log = logging.getLogger(__name__)

FREEBIND = {4: (socket.IPPROTO_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
"""Lets a socket have an address that does not exist yet, by version of IP."""
DNS_PORT = 53
PODS, SERVICES = "pods", "services"
OF_AGENTS = "/agents"
"""Ends the name under which the agents hold a range: they route services while the daemon is away."""

Hold = socket.socket
"""What keeps a range from other clusters, for as long as it is open and its process lives."""
Networks = tuple[Network, ...]
"""Of IPv4, and of IPv6 where the cluster has it."""


def hold(what: str, network: Network, is_ours: bool = False) -> Hold | None:
    """None if another cluster has it. If it `is_ours` already, agents that hold it are ours too."""
    if what == PODS and not _nameserver_fits(ranges.gateway(ranges.node_range(network, 0))):
        return None
    if not is_ours:
        agents = hold_name(what, network, OF_AGENTS)
        if agents is None:
            return None
        agents.close()
    return hold_name(what, network)


def hold_name(what: str, network: Network, by: str = "") -> Hold | None:
    """The kernel lets go of an abstract address with its process, leaving no file."""
    holding = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holding.bind(f"\0holdfast-{what}-{network}{by}")
    except OSError:
        holding.close()
        return None
    return holding


def _nameserver_fits(address: Address) -> bool:
    """Whether nothing answers where the pods' nameserver is to be. Where only root may know, it fits."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(*FREEBIND[address.version], 1)
            probe.bind((str(address), DNS_PORT))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def is_left(network: Network) -> bool:
    """Whether the pods' gateway is on this machine: agents that were killed leave it, and their pods go on."""
    return is_own(ranges.gateway(ranges.node_range(network, 0)))


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is of ranges, of this cluster and of others."""

    routed: Callable[[], list[Network]] = ranges.routed
    hold: Callable[[str, Network, bool], Hold | None] = hold
    is_left: Callable[[Network], bool] = is_left
    is_apart: bool = False
    """Whether the cluster's pods are in a network of their own: what is left there cannot be another cluster's."""


def choose_pods(
    saved: Networks, versions: Sequence[int], in_use: bool, machine: Machine | None = None
) -> tuple[Networks, list[Hold]]:
    """The ranges and what holds them. `saved` are the last start's; with `in_use` their pods run, and they stay.

    They stay too where they are left by agents that were killed and no other cluster holds them, or can be who left
    them. Otherwise a range that somebody took meanwhile is given up for the next that is free. Raises NoRangeLeft.
    """
    machine = machine or Machine()
    found: list[Network] = []
    holds: list[Hold] = []
    for version in versions:
        last = next((network for network in saved if network.version == version), None)
        left = last is not None and not in_use and machine.is_left(last)
        holding = machine.hold(PODS, last, True) if last is not None and (in_use or left) else None
        if last is None or (holding is None and not in_use and not (left and machine.is_apart)):
            wanted = [last] if last is not None else []
            offered = ranges.candidates(ranges.PODS[version], _number(found, ranges.FIRST_PODS))
            last, holding = _free(PODS, [*wanted, *offered], machine.routed(), machine)
        found.append(last)
        holds += [holding] if holding is not None else []
    return tuple(found), holds


def choose_services(
    saved: Networks, versions: Sequence[int], pods: Networks, machine: Machine | None = None
) -> tuple[Networks, list[Hold]]:
    """The ranges and what holds them: those of the first start, for good. Raises NoRangeLeft."""
    machine = machine or Machine()
    found: list[Network] = []
    holds: list[Hold] = []
    for version in versions:
        last = next((network for network in saved if network.version == version), None)
        if last is not None:
            holding = machine.hold(SERVICES, last, True)
            if holding is None:
                log.warning("from this machine services may be those of another cluster range=%s", last)
        else:
            offered = ranges.candidates(ranges.SERVICES[version], _number(found, ranges.FIRST_SERVICES))
            last, holding = _free(SERVICES, offered, [*machine.routed(), *pods], machine)
        found.append(last)
        holds += [holding] if holding is not None else []
    return tuple(found), holds


def _free(what: str, offered: Iterable[Network], taken: list[Network], machine: Machine) -> tuple[Network, Hold]:
    offered = [*offered]
    while True:
        network = ranges.choose(taken, offered)
        if (holding := machine.hold(what, network, False)) is not None:
            return network, holding
        taken.append(network)


def _number(found: Sequence[Network], otherwise: int) -> int:
    """Where to begin to look: the ranges of one cluster are alike, where that is to be had."""
    return found[0].network_address.packed[1] if found else otherwise
