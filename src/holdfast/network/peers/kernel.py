"""Routes to other machines, read and written through netlink. Blocking: to be called off the event loop.

They are told from all others by their protocol, so that one which is no longer wanted is found after any crash.
All raise OSError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from holdfast.network import rtnetlink
from holdfast.network.pods.ranges import Address, Network
from holdfast.network.rtnetlink import EVERYWHERE, LOCAL, ON_LINK, UNICAST, RtNetlink, unless_gone

from .plan import Far, Reach, Route

PROTOCOL = 104
"""The mark of our routes: a number that nobody has in /etc/iproute2/rt_protos."""


def reach(addresses: Iterable[Address]) -> dict[Address, Reach]:
    """How this machine would send to each. Sends nothing."""
    with RtNetlink() as netlink:
        return {address: _reach(netlink, address) for address in addresses}


def _reach(netlink: RtNetlink, address: Address) -> Reach:
    try:
        found = netlink.way_to(address)
    except OSError:
        return Far.NOWHERE
    if found.kind == LOCAL:
        return Far.OWN
    if found.kind != UNICAST:
        return Far.NOWHERE
    if found.gateway is not None:
        return Far.BEYOND
    return found.link or Far.NOWHERE


def present(pods: Sequence[Network]) -> set[Route]:
    """Those of our routes that are there, for these ranges of pods."""
    with RtNetlink() as netlink:
        loopback = _loopback(netlink)
        found = [
            Route(each.to, each.gateway, each.link if each.gateway or each.link != loopback else 0)
            for version in {network.version for network in pods}
            for each in netlink.routes(version, PROTOCOL)
        ]
    return {route for route in found if any(_is_in(route.network, network) for network in pods)}


def put(route: Route) -> None:
    """In the place of another of ours to the same addresses."""
    with RtNetlink() as netlink:
        netlink.replace_route(_described(netlink, route))


def remove(route: Route) -> None:
    """Nothing if it is not there."""
    with RtNetlink() as netlink, contextlib.suppress(ProcessLookupError), unless_gone():
        netlink.remove_route(_described(netlink, route))


def _described(netlink: RtNetlink, route: Route) -> rtnetlink.Route:
    if route.gateway is not None:
        return rtnetlink.Route(route.network, route.link, route.gateway, protocol=PROTOCOL)
    scope = ON_LINK if route.network.version == 4 else EVERYWHERE
    return rtnetlink.Route(route.network, _loopback(netlink), scope=scope, protocol=PROTOCOL)


def _loopback(netlink: RtNetlink) -> int:
    return netlink.link("lo").index


def _is_in(network: Network, of: Network) -> bool:
    return network.version == of.version and network.subnet_of(of)  # type: ignore[arg-type]
