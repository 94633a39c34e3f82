"""Links, addresses, routes and neighbours of a network namespace, read and written. Blocking, for microseconds.

Source: rtnetlink(7) and the kernel's include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour,veth}.h.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from .netlink import CREATE, EXCLUSIVE, REPLACE, Attributes, Netlink, attribute, attributes
from .pods.ranges import Address, Network

STATIC, UNICAST, LOCAL = 4, 1, 2
"""Who made a route, if not the kernel and nobody says; kinds of routes."""
EVERYWHERE, ON_LINK = 0, 253
"""Scopes."""
NO_DAD = 0x02
"""Of an address: it is used at once, without the question whether somebody else has it."""

_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DEL_ADDRESS = 20, 21
_NEW_ROUTE, _DEL_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR = 28

_LINK, _ADDRESS, _ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBi"), struct.Struct("=BBBBBBBBI")
_NEIGHBOUR, _NUMBER = struct.Struct("=BxxxiHBB"), struct.Struct("=I")

_LINK_ADDRESS, _LINK_NAME, _LINK_STATE, _LINK_INFO, _LINK_NAMESPACE = 1, 3, 16, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IS_UP, _OPERATES = 1, 6
_ADDRESS_ADDRESS, _ADDRESS_LOCAL, _ADDRESS_FLAGS = 1, 2, 8
_ROUTE_TO, _ROUTE_LINK, _ROUTE_GATEWAY, _ROUTE_FROM, _ROUTE_TABLE = 1, 4, 5, 7, 15
_NEIGHBOUR_TO, _NEIGHBOUR_ADDRESS = 1, 2
_PERMANENT = 0x80
_MAIN = 254


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    address: str
    """Of the hardware; empty where there is none."""
    is_operating: bool


@dataclass(frozen=True, slots=True)
class Route:
    """In the main table."""

    to: Network
    link: int = 0
    gateway: Address | None = None
    source: Address | None = None
    """What this machine's own packets are sent from."""
    scope: int = EVERYWHERE
    protocol: int = STATIC
    kind: int = UNICAST


class RtNetlink(Netlink):
    """All raise OSError with the kernel's errno: ENODEV if there is no such link."""

    # -- links

    def link(self, which: str | int) -> Link:
        """By name or number."""
        index = which if isinstance(which, int) else 0
        name = b"" if isinstance(which, int) else attribute(_LINK_NAME, _text(which))
        answer = self.ask(_GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + name)
        found = attributes(answer, _LINK.size)
        state = found.get(_LINK_STATE, b"\0")[0]
        return Link(_LINK.unpack_from(answer)[2], found.get(_LINK_ADDRESS, b"").hex(":"), state == _OPERATES)

    def add_pair(self, name: str, peer: str, namespace: int) -> None:
        """Two ends of a cable: one here, the other one in the network namespace with that descriptor."""
        there = attribute(_LINK_NAME, _text(peer)) + attribute(_LINK_NAMESPACE, _NUMBER.pack(namespace))
        data = attribute(_VETH_PEER, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + there)
        info = attribute(_INFO_KIND, b"veth") + attribute(_INFO_DATA, data)
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_LINK_NAME, _text(name))
        self.order(_NEW_LINK, CREATE | EXCLUSIVE, body + attribute(_LINK_INFO, info))

    def set_up(self, index: int) -> None:
        self.order(_NEW_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _IS_UP, _IS_UP))

    def remove_link(self, index: int) -> None:
        self.order(_DEL_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))

    # -- addresses

    def add_address(self, index: int, address: Address, prefix: int, flags: int = 0) -> None:
        """FileExistsError if the link has it."""
        body = _held(index, address, prefix) + attribute(_ADDRESS_FLAGS, _NUMBER.pack(flags))
        self.order(_NEW_ADDRESS, CREATE | EXCLUSIVE, body)

    def remove_address(self, index: int, address: Address, prefix: int) -> None:
        self.order(_DEL_ADDRESS, 0, _held(index, address, prefix))

    # -- routes

    def replace_route(self, route: Route) -> None:
        self.order(_NEW_ROUTE, CREATE | REPLACE, _packed(route))

    def remove_route(self, route: Route) -> None:
        """ProcessLookupError if there is none."""
        self.order(_DEL_ROUTE, 0, _packed(route))

    def routes(self, version: int, protocol: int) -> list[Route]:
        """Those of the main table that were made by `protocol`."""
        asked = _ROUTE.pack(_family(version), 0, 0, 0, 0, protocol, 0, 0, 0)
        found = [_route(answer) for answer in self.dump(_GET_ROUTE, asked)]
        return [
            route
            for table, route in found
            if table == _MAIN and route.protocol == protocol and route.to.version == version
        ]

    def way_to(self, address: Address) -> Route:
        """How this machine would send there. OSError if it would not."""
        asked = _ROUTE.pack(_family(address.version), address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        _, route = _route(self.ask(_GET_ROUTE, asked + attribute(_ROUTE_TO, address.packed)))
        return route

    # -- neighbours

    def know(self, index: int, neighbour: Address, hardware_address: str) -> None:
        """Spares the link the question who has the neighbour's address."""
        body = _NEIGHBOUR.pack(_family(neighbour.version), index, _PERMANENT, 0, 0)
        body += attribute(_NEIGHBOUR_TO, neighbour.packed)
        body += attribute(_NEIGHBOUR_ADDRESS, bytes.fromhex(hardware_address.replace(":", "")))
        self.order(_NEW_NEIGHBOUR, CREATE | REPLACE, body)


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Ends the block without an error where there is no such link, or none any more."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _family(version: int) -> int:
    return int(socket.AF_INET if version == 4 else socket.AF_INET6)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _held(index: int, address: Address, prefix: int) -> bytes:
    header = _ADDRESS.pack(_family(address.version), prefix, 0, EVERYWHERE, index)
    return header + attribute(_ADDRESS_LOCAL, address.packed) + attribute(_ADDRESS_ADDRESS, address.packed)


def _packed(route: Route) -> bytes:
    to = route.to
    header = (_family(to.version), to.prefixlen, 0, 0, _MAIN, route.protocol, route.scope, route.kind, 0)
    body = _ROUTE.pack(*header) + attribute(_ROUTE_TO, to.network_address.packed)
    if route.link:
        body += attribute(_ROUTE_LINK, _NUMBER.pack(route.link))
    if route.gateway is not None:
        body += attribute(_ROUTE_GATEWAY, route.gateway.packed)
    if route.source is not None:
        body += attribute(_ROUTE_FROM, route.source.packed)
    return body


def _route(answer: bytes) -> tuple[int, Route]:
    """With its table."""
    family, prefix, _, _, table, protocol, scope, kind, _ = _ROUTE.unpack_from(answer)
    found = attributes(answer, _ROUTE.size)
    nowhere = bytes(4 if family == socket.AF_INET else 16)
    return _number(found, _ROUTE_TABLE, table), Route(
        ip_network((found.get(_ROUTE_TO, nowhere), prefix), strict=False),
        _number(found, _ROUTE_LINK, 0),
        ip_address(found[_ROUTE_GATEWAY]) if _ROUTE_GATEWAY in found else None,
        ip_address(found[_ROUTE_FROM]) if _ROUTE_FROM in found else None,
        scope,
        protocol,
        kind,
    )


def _number(found: Attributes, which: int, otherwise: int) -> int:
    return int(_NUMBER.unpack(found[which])[0]) if which in found else otherwise
