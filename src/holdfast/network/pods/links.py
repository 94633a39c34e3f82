"""Links, addresses and routes of pods, made through netlink (R80-R84). Blocking: to be called off the event loop.

Pods reach IPv4's gateway by ARP: it answers whatever link is asked on. IPv6 has nothing like that, so there the
machine's side of every link has one and the same link-local address. Neither end asks for the other, or whether
somebody else has its address: links have two ends only, and who asks too early waits for a second.

Every function may be repeated: what is there already is left as it is. All raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from holdfast.network.netlink import family, opened, refusal
from holdfast.world import linux

from .ranges import Address, Network

POD_SIDE = "eth0"
ENTRANCE = "fe80::1"
"""What pods send by IPv6 goes to this address of their link."""
_SCOPE_LINK = 253
_NO_DAD, _PERMANENT, _LOCAL = 0x02, 0x80, 2
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
    with opened() as netlink:
        if not netlink.link_lookup(ifname=name):
            peer = {"ifname": POD_SIDE, "net_ns_fd": netns_path}
            netlink.link("add", ifname=name, kind="veth", peer=peer)
        index, own_end = _index(netlink, name), _hardware_address(netlink, name)
        if has_ipv6:
            _set6(name, disable_ipv6=0, addr_gen_mode=1, accept_ra=0)
            _add_address(netlink, index, ENTRANCE, 64)
        netlink.link("set", index=index, state="up")
    pods_end = linux.in_network_namespace(netns_path, lambda: _set_up_inside(addresses, own_end, has_ipv6))
    with opened() as netlink:
        _look_until(lambda: netlink.get_links(index)[0].get_attr("IFLA_OPERSTATE") == "UP")
        for address, gateway in addresses:
            _replace_route(netlink, address, oif=index, prefsrc=str(gateway), **_scope_of(address))
            if address.version == 6:
                _know(netlink, index, str(address), pods_end)


def pass_loopback(name: str) -> None:
    """Lets the machine reach the pod from 127.0.0.1, through a service's node port (R92). Raises OSError."""
    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1\n")


def _set_up_inside(addresses: Sequence[tuple[Address, Address]], other_end: str, has_ipv6: bool) -> str:
    """Runs in the pod's network namespace; the hardware address there."""
    with opened() as netlink:
        loopback, link = _index(netlink, "lo"), _index(netlink, POD_SIDE)
        netlink.link("set", index=loopback, state="up")
        if has_ipv6:
            _set6(POD_SIDE, accept_dad=0, accept_ra=0)
        for address, _ in addresses:
            _add_address(netlink, link, str(address), address.max_prefixlen)
        netlink.link("set", index=link, state="up")
        if has_ipv6:
            _know(netlink, link, ENTRANCE, other_end)
        for address, gateway in addresses:
            entrance = ENTRANCE
            if address.version == 4:
                entrance = str(gateway)
                _replace_route(netlink, gateway, oif=link, scope=_SCOPE_LINK)
            netlink.route("replace", family=family(address), dst="default", gateway=entrance, oif=link)
        _look_until(lambda: all(_is_taken(netlink, address) for address, _ in addresses))
        return _hardware_address(netlink, POD_SIDE)


def detach(name: str) -> None:
    """Removes a pod's link with everything on it; nothing if there is none."""
    with opened() as netlink:
        for index in netlink.link_lookup(ifname=name):
            with contextlib.suppress(refusal()):
                netlink.link("del", index=index)


def add_gateway(address: Address, node: Network) -> None:
    """Puts the node's own address on the loopback link, where it answers whatever link is asked on.

    The node's other addresses lead there too, unless a pod has them: a pod that is gone is never looked for outside.
    """
    with opened() as netlink:
        loopback = _index(netlink, "lo")
        _add_address(netlink, loopback, str(address), address.max_prefixlen)
        _replace_route(netlink, node, oif=loopback, prefsrc=str(address), **_scope_of(address))


def remove_gateway(address: Address, node: Network) -> None:
    with opened() as netlink:
        loopback = _index(netlink, "lo")
        with contextlib.suppress(refusal()):
            netlink.route("del", family=family(address), dst=str(node), oif=loopback, **_scope_of(address))
        with contextlib.suppress(refusal()):
            netlink.addr("del", index=loopback, address=str(address), prefixlen=address.max_prefixlen)


def _add_address(netlink: Any, index: int, address: str, prefix: int) -> None:
    without_looking = {"flags": _NO_DAD} if ":" in address else {}
    with _already_there():
        netlink.addr("add", index=index, address=address, prefixlen=prefix, **without_looking)


def _know(netlink: Any, index: int, neighbour: str, hardware_address: str) -> None:
    """Spares the link the question who has the neighbour's address."""
    netlink.neigh(
        "replace", family=socket.AF_INET6, ifindex=index, dst=neighbour, lladdr=hardware_address, state=_PERMANENT
    )


def _look_until(holds: Callable[[], bool]) -> None:
    """Returns once it does, or after a while.

    The kernel passes packets to a new link, and takes those to a new address of IPv6, a moment later than it says:
    whoever sends some before loses them, and waits for a second.
    """
    for _ in range(MOST_LOOKS):
        with contextlib.suppress(refusal()):
            if holds():
                return
        os.sched_yield()


def _is_taken(netlink: Any, address: Address) -> bool:
    (route,) = netlink.route("get", family=family(address), dst=str(address))
    return bool(route["type"] == _LOCAL)


def _hardware_address(netlink: Any, name: str) -> str:
    (link,) = netlink.get_links(_index(netlink, name))
    return str(link.get_attr("IFLA_ADDRESS"))


def _replace_route(netlink: Any, to: Address | Network, **given: Any) -> None:
    destination = str(to) if "/" in str(to) else f"{to}/{to.max_prefixlen}"
    netlink.route("replace", family=family(to), dst=destination, **given)


def _scope_of(address: Address) -> dict[str, int]:
    """IPv6 has none."""
    return {"scope": _SCOPE_LINK} if address.version == 4 else {}


def _set6(link: str, **settings: int) -> None:
    """In the calling thread's network namespace."""
    for name, value in settings.items():
        Path(f"/proc/sys/net/ipv6/conf/{link}/{name}").write_text(f"{value}\n")


def _index(netlink: Any, name: str) -> int:
    """Raises OSError if there is no such link, or none any more."""
    for index in netlink.link_lookup(ifname=name):
        return int(index)
    raise OSError(errno.ENODEV, f"no link {name}")


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except refusal() as error:
        if error.code != errno.EEXIST:  # type: ignore[attr-defined]
            raise
