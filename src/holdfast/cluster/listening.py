"""Where the API server listens: on loopback always, and where `--listen` says for other machines.

Whoever reaches such an address reaches the API, and has to show a certificate or a token as everybody else.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LOOPBACK = "127.0.0.1"
EVERYWHERE, EVERYWHERE_4 = "::", "0.0.0.0"
TRIE, ADDRESSES6 = Path("/proc/net/fib_trie"), Path("/proc/net/if_inet6")
BACKLOG = 1024


class CannotListen(Exception):
    """The message says where, why and what to do."""


def chosen(given: Sequence[str]) -> tuple[str, ...]:
    """The addresses beyond loopback, each once, as `Settings.listen` has them. Raises ValueError with the reason."""
    found: dict[str, None] = {}
    for text in given:
        try:
            address = ip_address(text)
        except ValueError:
            raise ValueError(f"{text!r} is no IP address") from None
        if address.is_multicast or address.is_link_local:
            raise ValueError(f"{text} is an address that other machines cannot name")
        if not address.is_loopback:
            found[str(address)] = None
    return tuple(found)


def open_sockets(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Bound and listening, the first of them on loopback too. 0 picks a port, the same for all. Raises CannotListen."""
    first = next((each for each in (EVERYWHERE, EVERYWHERE_4) if each in addresses), LOOPBACK)
    opened = [_listen(first, port)]
    port = opened[0].getsockname()[1]
    try:
        for address in addresses:
            if not _covers(first, address):
                opened.append(_listen(address, port))
    except CannotListen:
        for listening in opened:
            listening.close()
        raise
    return opened


def _covers(first: str, address: str) -> bool:
    """A socket on all addresses leaves none for another on one of them."""
    return first in (address, EVERYWHERE) or (first == EVERYWHERE_4 and ":" not in address)


def _listen(address: str, port: int) -> socket.socket:
    """Before anything else, so that clients started now need not try again."""
    is_v6 = ":" in address
    try:
        listening = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"this machine has no IPv6 to listen on {address}: --listen {EVERYWHERE_4}") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_v6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != EVERYWHERE)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            cure = "`ip address` shows those it has, --listen 127.0.0.1 does without"
            raise CannotListen(f"{address} is no address of this machine: {cure}") from error
        taken = f"port {port} on {address} is taken: choose another with --port N, 0 picks one"
        raise CannotListen(taken) from error
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def takes_everything(addresses: Sequence[str]) -> bool:
    """Whether it listens on every IPv4 address of this machine, so that nobody else can on the same port."""
    return EVERYWHERE in addresses or EVERYWHERE_4 in addresses


def advertised(addresses: Sequence[str]) -> str:
    """The address by which other machines reach the API; empty if they do not.

    Of several the first; of all of them the one by which this machine reaches others.
    """
    if not addresses:
        return ""
    first = addresses[0]
    if not ip_address(first).is_unspecified:
        return first
    from .node_parts import host_address, host_address6

    address = host_address()
    if ip_address(address).is_loopback and first == EVERYWHERE:
        return host_address6()
    return "" if ip_address(address).is_loopback else address


def names(addresses: Sequence[str]) -> list[str]:
    """What the serving certificate has to name because of them, sorted: the machine's name, and its addresses."""
    if not addresses:
        return []
    found = {address for address in addresses if not ip_address(address).is_unspecified}
    if takes_everything(addresses):
        own = machine_addresses()
        found |= {str(each) for each in own if EVERYWHERE in addresses or each.version == 4}
    return sorted({*found, socket.gethostname()})


def machine_addresses(trie: Path = TRIE, addresses6: Path = ADDRESSES6) -> list[IPv4Address | IPv6Address]:
    """Those that are this machine's, but loopback and link-local ones."""
    found: set[IPv4Address | IPv6Address] = set()
    last = ""
    for line in _lines(trie):
        if line.startswith("|--"):
            last = line.split()[1]
        elif line.startswith("/32 host LOCAL"):
            found.add(IPv4Address(last))
    found |= {IPv6Address(int(line.split()[0], 16)) for line in _lines(addresses6) if line}
    return [each for each in found if not each.is_loopback and not each.is_link_local]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines()]
    except OSError:
        return []


def is_address(name: str) -> bool:
    """Of what `names` gives."""
    return name.count(":") > 1 or name.replace(".", "").isdigit()


def host_and_port(address: str, port: int) -> str:
    """As URLs have them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
