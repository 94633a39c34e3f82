"""The functions for addresses and networks in CEL: `ip`, `cidr` (A212).

Source: Kubernetes, k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address, ip_interface
from typing import Any

from holdfast.api.errors import show

from .go_addresses import Address, Network, parse_address, parse_network
from .signatures import Function, Opaque, member, plain

IP = Opaque("net.IP", "ip")
CIDR = Opaque("net.CIDR", "cidr")

_BROADCAST = "255.255.255.255"


def declared() -> Iterator[Function]:
    yield plain("isIP", "bool", ["string"], lambda given: _is(_address, given))
    yield plain("ip.isCanonical", "bool", ["string"], lambda given: str(_address(given)) == given)
    yield plain("ip", IP, ["string"], lambda given: _ip(_address(given)))
    yield plain("string", "string", [IP], lambda ip: ip["ip"])
    yield member("family", "int", [IP], lambda ip: ip_address(ip["ip"]).version)
    for name, holds in _KINDS_OF_ADDRESSES.items():
        yield member(name, "bool", [IP], lambda ip, holds=holds: holds(ip_address(ip["ip"])))
    yield plain("isCIDR", "bool", ["string"], lambda given: _is(_network, given))
    yield plain("cidr", CIDR, ["string"], lambda given: _cidr(_network(given)))
    yield plain("string", "string", [CIDR], lambda cidr: cidr["cidr"])
    yield member("ip", IP, [CIDR], lambda cidr: _ip(_known(cidr).ip))
    yield member("masked", CIDR, [CIDR], lambda cidr: _cidr(ip_interface(_known(cidr).network)))
    yield member("prefixLength", "int", [CIDR], lambda cidr: _known(cidr).network.prefixlen)
    yield member("containsIP", "bool", [CIDR, "string"], lambda cidr, ip: _address(ip) in _known(cidr).network)
    yield member("containsIP", "bool", [CIDR, IP], lambda cidr, ip: ip_address(ip["ip"]) in _known(cidr).network)
    yield member("containsCIDR", "bool", [CIDR, "string"], lambda cidr, other: _covers(_known(cidr), _network(other)))
    yield member("containsCIDR", "bool", [CIDR, CIDR], lambda cidr, other: _covers(_known(cidr), _known(other)))


_KINDS_OF_ADDRESSES: dict[str, Callable[[Address], bool]] = {
    "isUnspecified": lambda ip: ip.is_unspecified,
    "isLoopback": lambda ip: ip.is_loopback,
    "isLinkLocalMulticast": lambda ip: _is_link_local_multicast(ip),
    "isLinkLocalUnicast": lambda ip: ip.is_link_local,
    "isGlobalUnicast": lambda ip: (
        not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local or str(ip) == _BROADCAST)
    ),
}


def _is_link_local_multicast(ip: Address) -> bool:
    if isinstance(ip, IPv6Address):
        return ip.is_multicast and ip.packed[1] & 0x0F == 2
    return ip.packed[:3] == bytes((224, 0, 0))


def _address(given: str) -> Address:
    """Raises ValueError."""
    try:
        address = parse_address(given)
    except ValueError as error:
        raise ValueError(f"IP Address {show(given)} parse error during conversion from string: {error}") from None
    if "%" in given:
        raise ValueError(f"IP address {show(given)} with zone value is not allowed")
    _refuse_mapped(address, given)
    return address


def _network(given: str) -> Network:
    """Raises ValueError, which says twice where it comes from, as upstream's does."""
    said = "network address parse error during conversion from string: "
    try:
        network = parse_network(given)
    except ValueError as error:
        raise ValueError(f"{said}{said}{error}") from None
    try:
        _refuse_mapped(network.ip, given)
    except ValueError as error:
        raise ValueError(f"{said}{error}") from None
    return network


def _refuse_mapped(address: Address, given: str) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {show(given)} is not allowed")


def _is(read: Callable[[str], Any], given: str) -> bool:
    try:
        read(given)
    except ValueError:
        return False
    return True


def _ip(address: Address) -> dict[str, str]:
    return {"ip": str(address)}


def _cidr(network: Network) -> dict[str, str]:
    return {"cidr": network.with_prefixlen}


def _known(cidr: Any) -> Network:
    return ip_interface(cidr["cidr"])


def _covers(cidr: Network, other: Network) -> bool:
    outer, inner = cidr.network, other.network
    return outer.version == inner.version and outer.prefixlen <= inner.prefixlen and other.ip in outer
