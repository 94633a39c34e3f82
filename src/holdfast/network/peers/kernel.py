"""Routes to other machines, read and written through netlink. Blocking: to be called off the event loop.

They are told from all others by their protocol, so that one which is no longer wanted is found after any crash.
All raise OSError.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from holdfast.network.netlink import family, opened, refusal
from holdfast.network.pods.ranges import Address, Network

from .plan import Far, Reach, Route

PROTOCOL = 104
"""The mark of our routes: a number that nobody has in /etc/iproute2/rt_protos."""
_UNICAST, _LOCAL = 1, 2
_GATEWAY, _OUT, _TABLE, _DESTINATION = "RTA_GATEWAY", "RTA_OIF", "RTA_TABLE", "RTA_DST"
_MAIN = 254
_SCOPE_LINK = 253


def reach(addresses: Iterable[Address]) -> dict[Address, Reach]:
    """How this machine would send to each. Sends nothing."""
    with opened() as netlink:
        return {address: _reach(netlink, address) for address in addresses}


def _reach(netlink: Any, address: Address) -> Reach:
    try:
        (found,) = netlink.route("get", family=family(address), dst=str(address))
    except refusal():
        return Far.NOWHERE
    if found["type"] == _LOCAL:
        return Far.OWN
    if found["type"] != _UNICAST:
        return Far.NOWHERE
    if found.get_attr(_GATEWAY) is not None:
        return Far.BEYOND
    link = found.get_attr(_OUT)
    return Far.NOWHERE if link is None else int(link)


def present(pods: Sequence[Network]) -> set[Route]:
    """Those of our routes that are there, for these ranges of pods."""
    with opened() as netlink:
        loopback = _loopback(netlink)
        found = {_read(each, loopback) for network in pods for each in netlink.get_routes(family=family(network))}
    return {route for route in found if route is not None and any(_is_in(route.network, network) for network in pods)}


def _read(message: Any, loopback: int) -> Route | None:
    """None if it is not ours."""
    if message["proto"] != PROTOCOL or message.get_attr(_TABLE) not in (None, _MAIN):
        return None
    network = ip_network(f"{message.get_attr(_DESTINATION)}/{message['dst_len']}")
    gateway, link = message.get_attr(_GATEWAY), message.get_attr(_OUT)
    if gateway is None:
        return Route(network) if link == loopback else Route(network, None, link or 0)
    return Route(network, ip_address(gateway), link)


def put(route: Route) -> None:
    """In the place of another of ours to the same addresses."""
    with opened() as netlink:
        netlink.route("replace", **_described(netlink, route))


def remove(route: Route) -> None:
    """Nothing if it is not there."""
    with opened() as netlink:
        try:
            netlink.route("del", **_described(netlink, route))
        except refusal() as error:
            if error.code not in (errno.ESRCH, errno.ENODEV):  # type: ignore[attr-defined]
                raise


def _described(netlink: Any, route: Route) -> dict[str, Any]:
    words: dict[str, Any] = {"family": family(route.network), "dst": str(route.network), "proto": PROTOCOL}
    if route.gateway is not None:
        return {**words, "gateway": str(route.gateway), "oif": route.link}
    scope = {"scope": _SCOPE_LINK} if route.network.version == 4 else {}
    return {**words, "oif": _loopback(netlink), **scope}


def _loopback(netlink: Any) -> int:
    return int(netlink.link_lookup(ifname="lo")[0])


def _is_in(network: Network, of: Network) -> bool:
    return network.version == of.version and network.subnet_of(of)  # type: ignore[arg-type]
