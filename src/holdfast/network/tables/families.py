"""What is said otherwise for IPv6 than for IPv4, to nftables and to the kernel."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    """As in the API."""
    number: socket.AddressFamily
    word: str
    """nftables' name for the family, and for what a packet has of it."""
    address: str
    """nftables' type of an address."""
    loopback: str
    local: str
    """What is said of packets for any address of this machine that node ports are to be had at.

    ::1 is none of them: the kernel takes packets from and to it nowhere but on the loopback link.
    """
    unreachable: str
    """What is answered where nobody listens, but to TCP."""

    def at(self, address: str, port: int) -> str:
        return f"{address}:{port}" if self.word == "ip" else f"[{address}]:{port}"


FAMILIES = {
    4: Family(
        name="IPv4",
        number=socket.AF_INET,
        word="ip",
        address="ipv4_addr",
        loopback="127.0.0.0/8",
        local="fib daddr type local",
        unreachable="icmp port-unreachable",
    ),
    6: Family(
        name="IPv6",
        number=socket.AF_INET6,
        word="ip6",
        address="ipv6_addr",
        loopback="::1",
        local="ip6 daddr != ::1 fib daddr type local",
        unreachable="icmpv6 port-unreachable",
    ),
}
"""By version of IP."""
