"""Servers by the names of services: this machine's resolver does not know them, the cluster's DNS does (V95)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

ANSWERED_WITHIN_S = 2.0
_PORT = 53


async def address_of(name: str, servers: Sequence[str], domain: str) -> str:
    """The address of a name below the cluster's domain; empty for any other, or if it has none."""
    plain = name.rstrip(".")
    if not servers or _is_address(plain) or not plain.endswith((f".{domain}", ".svc")):
        return ""
    full = f"{plain}.{domain}" if plain.endswith(".svc") else plain
    for server in servers:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                if address := await _ask(full, server):
                    return address
        except (OSError, TimeoutError):
            continue
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _ask(name: str, server: str) -> str:
    from dnslib import QTYPE, DNSError, DNSRecord

    question = DNSRecord.question(name, "A")
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        await loop.sock_connect(link, (server, _PORT))
        await loop.sock_sendall(link, question.pack())
        data = await loop.sock_recv(link, 4096)
    try:
        answer = DNSRecord.parse(data)
    except DNSError:
        return ""
    found = [str(record.rdata) for record in answer.rr if record.rtype == QTYPE.A]
    return found[0] if found and answer.header.id == question.header.id else ""
