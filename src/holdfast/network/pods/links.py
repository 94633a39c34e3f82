"""Links, addresses and routes of pods, made through netlink (R80-R84). Blocking: to be called off the event loop.

Pods reach IPv4's gateway by ARP: it answers whatever link is asked on. IPv6 has nothing like that, so there the
machine's side of every link has one and the same link-local address. Neither end asks for the other, or whether
somebody else has its address: links have two ends only, and who asks too early waits for a second.

Every function may be repeated: what is there already is left as it is. All raise OSError.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_network
from pathlib import Path

from holdfast.network.rtnetlink import EVERYWHERE, LOCAL, NO_DAD, ON_LINK, Link, Route, RtNetlink, unless_gone
from holdfast.world import linux

from .ranges import Address, Network

POD_SIDE = "eth0"
ENTRANCE = IPv6Address("fe80::1")
"""What pods send by IPv6 goes to this address of their link."""
ANYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
MOST_LOOKS = 1000
"""At a third of a millisecond each."""


def link_name(cluster: str, pod_uid: str) -> str:
    """The machine's side of a pod's link: at most 15 characters, not shared by two pods or clusters."""
    return f"hf{hashlib.sha256(f'{cluster}/{pod_uid}'.encode()).hexdigest()[:10]}"


def attach(name: str, netns_path: str, addresses: Sequence[tuple[Address, Address]]) -> None:
    """Links the network namespace pinned at `netns_path` to this one and routes addresses to it.

    With each of them comes the gateway of its family.
    """
    has_ipv6 = any(address.version == 6 for address, _ in addresses)
    with RtNetlink() as netlink:
        own_end = _pair(netlink, name, netns_path)
        if has_ipv6:
            _set6(name, disable_ipv6=0, addr_gen_mode=1, accept_ra=0)
            _add_address(netlink, own_end.index, ENTRANCE, 64)
        else:
            _give_no_address6(name)
        netlink.set_up(own_end.index)
        pods_end = linux.in_network_namespace(netns_path, lambda: _set_up_inside(addresses, own_end.address, has_ipv6))
        _look_until(lambda: netlink.link(own_end.index).is_operating)
        for address, gateway in addresses:
            netlink.replace_route(_way(address, own_end.index, gateway))
            if address.version == 6:
                netlink.know(own_end.index, address, pods_end)


def _pair(netlink: RtNetlink, name: str, netns_path: str) -> Link:
    """The machine's end."""
    with unless_gone():
        return netlink.link(name)
    namespace = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        netlink.add_pair(name, POD_SIDE, namespace)
    finally:
        os.close(namespace)
    return netlink.link(name)


def pass_loopback(name: str) -> None:
    """Lets the machine reach the pod from 127.0.0.1, through a service's node port (R92). Raises OSError."""
    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1\n")


def _set_up_inside(addresses: Sequence[tuple[Address, Address]], other_end: str, has_ipv6: bool) -> str:
    """Runs in the pod's network namespace; the hardware address there."""
    with RtNetlink() as netlink:
        link = netlink.link(POD_SIDE)
        netlink.set_up(netlink.link("lo").index)
        if has_ipv6:
            _set6(POD_SIDE, accept_dad=0, accept_ra=0)
        for address, _ in addresses:
            _add_address(netlink, link.index, address, address.max_prefixlen)
        netlink.set_up(link.index)
        if has_ipv6:
            netlink.know(link.index, ENTRANCE, other_end)
        for address, gateway in addresses:
            entrance = gateway if address.version == 4 else ENTRANCE
            if address.version == 4:
                netlink.replace_route(Route(ip_network(gateway), link.index, scope=ON_LINK))
            netlink.replace_route(Route(ANYWHERE[address.version], link.index, entrance))
        _look_until(lambda: all(netlink.way_to(address).kind == LOCAL for address, _ in addresses))
        return link.address


def detach(name: str) -> None:
    """Removes a pod's link with everything on it; nothing if there is none."""
    with RtNetlink() as netlink, unless_gone():
        netlink.remove_link(netlink.link(name).index)


def add_gateway(address: Address, node: Network) -> None:
    """Puts the node's own address on the loopback link, where it answers whatever link is asked on.

    The node's other addresses lead there too, unless a pod has them: a pod that is gone is never looked for outside.
    """
    with RtNetlink() as netlink:
        loopback = netlink.link("lo").index
        _add_address(netlink, loopback, address, address.max_prefixlen)
        netlink.replace_route(_way(node, loopback, address))


def remove_gateway(address: Address, node: Network) -> None:
    """What is not there any more is not missed."""
    with RtNetlink() as netlink:
        loopback = netlink.link("lo").index
        with contextlib.suppress(OSError):
            netlink.remove_route(_way(node, loopback))
        with contextlib.suppress(OSError):
            netlink.remove_address(loopback, address, address.max_prefixlen)


def _way(to: Address | Network, link: int, source: Address | None = None) -> Route:
    """On the link itself. IPv6 has no scopes."""
    return Route(ip_network(to), link, source=source, scope=ON_LINK if to.version == 4 else EVERYWHERE)


def _add_address(netlink: RtNetlink, index: int, address: Address, prefix: int) -> None:
    with contextlib.suppress(FileExistsError):
        netlink.add_address(index, address, prefix, NO_DAD if address.version == 6 else 0)


def _look_until(holds: Callable[[], bool]) -> None:
    """Returns once it does, or after a while. TimeoutError if the kernel does not even answer.

    The kernel passes packets to a new link, and takes those to a new address of IPv6, a moment later than it says:
    whoever sends some before loses them, and waits for a second.
    """
    for _ in range(MOST_LOOKS):
        try:
            if holds():
                return
        except TimeoutError:
            raise
        except OSError:
            pass
        os.sched_yield()


def _give_no_address6(link: str) -> None:
    """Not even one of the link: browsers drop all they are loading when an address of the machine comes or goes."""
    with contextlib.suppress(FileNotFoundError):  # machines without IPv6
        _set6(link, addr_gen_mode=1)


def _set6(link: str, **settings: int) -> None:
    """In the calling thread's network namespace."""
    for name, value in settings.items():
        Path(f"/proc/sys/net/ipv6/conf/{link}/{name}").write_text(f"{value}\n")
