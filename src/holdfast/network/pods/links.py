"""Links, addresses and routes of pods, made through netlink (R80-R84). Blocking: to be called off the event loop.

Every function may be repeated: what is there already is left as it is. All raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from holdfast.world import linux

POD_SIDE = "eth0"
_SCOPE_LINK = 253


def link_name(cluster: str, pod_uid: str) -> str:
    """The machine's side of a pod's link: at most 15 characters, not shared by two pods or clusters."""
    return f"hf{hashlib.sha256(f'{cluster}/{pod_uid}'.encode()).hexdigest()[:10]}"


def attach(name: str, netns_path: str, address: IPv4Address, gateway: IPv4Address) -> None:
    """Links the network namespace pinned at `netns_path` to this one and routes `address` to it."""
    with _netlink() as netlink:
        if not netlink.link_lookup(ifname=name):
            peer = {"ifname": POD_SIDE, "net_ns_fd": netns_path}
            netlink.link("add", ifname=name, kind="veth", peer=peer)
    linux.in_network_namespace(netns_path, lambda: _set_up_inside(address, gateway))
    with _netlink() as netlink:
        index = _index(netlink, name)
        netlink.link("set", index=index, state="up")
        netlink.route("replace", dst=f"{address}/32", oif=index, prefsrc=str(gateway), scope=_SCOPE_LINK)


def pass_loopback(name: str) -> None:
    """Lets the machine reach the pod from 127.0.0.1, through a service's node port (R92). Raises OSError."""
    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1\n")


def _set_up_inside(address: IPv4Address, gateway: IPv4Address) -> None:
    """Runs in the pod's network namespace."""
    with _netlink() as netlink:
        loopback, link = _index(netlink, "lo"), _index(netlink, POD_SIDE)
        netlink.link("set", index=loopback, state="up")
        with _already_there():
            netlink.addr("add", index=link, address=str(address), prefixlen=32)
        netlink.link("set", index=link, state="up")
        netlink.route("replace", dst=f"{gateway}/32", oif=link, scope=_SCOPE_LINK)
        netlink.route("replace", dst="default", gateway=str(gateway), oif=link)


def detach(name: str) -> None:
    """Removes a pod's link with everything on it; nothing if there is none."""
    with _netlink() as netlink:
        for index in netlink.link_lookup(ifname=name):
            with contextlib.suppress(_error()):
                netlink.link("del", index=index)


def add_gateway(address: IPv4Address, node: IPv4Network) -> None:
    """Puts the node's own address on the loopback link, where it answers whatever link is asked on.

    The node's other addresses lead there too, unless a pod has them: a pod that is gone is never looked for outside.
    """
    with _netlink() as netlink:
        loopback = _index(netlink, "lo")
        with _already_there():
            netlink.addr("add", index=loopback, address=str(address), prefixlen=32)
        netlink.route("replace", dst=str(node), oif=loopback, prefsrc=str(address), scope=_SCOPE_LINK)


def remove_gateway(address: IPv4Address, node: IPv4Network) -> None:
    with _netlink() as netlink:
        loopback = _index(netlink, "lo")
        with contextlib.suppress(_error()):
            netlink.route("del", dst=str(node), oif=loopback, scope=_SCOPE_LINK)
        with contextlib.suppress(_error()):
            netlink.addr("del", index=loopback, address=str(address), prefixlen=32)


@contextlib.contextmanager
def _netlink() -> Iterator[Any]:
    """A netlink socket in the calling thread's network namespace. What the kernel refuses is an OSError."""
    from pyroute2.iproute.linux import IPRoute

    try:
        with IPRoute() as netlink:
            yield netlink
    except _error() as error:
        raise OSError(error.code, str(error)) from error  # type: ignore[attr-defined]


def _index(netlink: Any, name: str) -> int:
    """Raises OSError if there is no such link, or none any more."""
    for index in netlink.link_lookup(ifname=name):
        return int(index)
    raise OSError(errno.ENODEV, f"no link {name}")


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except _error() as error:
        if error.code != errno.EEXIST:  # type: ignore[attr-defined]
            raise


def _error() -> type[Exception]:
    from pyroute2.netlink.exceptions import NetlinkError

    kind: type[Exception] = NetlinkError
    return kind
