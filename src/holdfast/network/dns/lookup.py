"""Names as a pod looks them up, asked from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dnslib

NDOTS = 5
"""With fewer dots than these a name is tried below the search domains first, as pods do (D66)."""
PORT = 53
WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    type: str
    ttl_s: int
    data: str


def candidates(name: str, namespace: str, domain: str) -> Iterator[str]:
    """The full names that a pod of the namespace tries, in order."""
    if name.endswith("."):
        yield name.rstrip(".")
        return
    below = [f"{name}.{search}" for search in (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)]
    yield from [*below, name] if name.count(".") < NDOTS else [name, *below]


def look_up(server: str, name: str, type: str, namespace: str, domain: str) -> list[Found]:
    """What the server answers to the first name that has an answer; none if no name has. Raises OSError."""
    for candidate in candidates(name, namespace, domain):
        reply = _ask(server, candidate, type)
        if reply.rr:
            return [
                Found(str(rr.rname).rstrip("."), str(dnslib.QTYPE.get(rr.rtype)), int(rr.ttl), str(rr.rdata))
                for rr in reply.rr
            ]
    return []


def _ask(server: str, name: str, type: str) -> dnslib.DNSRecord:
    query = dnslib.DNSRecord.question(name, type)
    reply = dnslib.DNSRecord.parse(query.send(server, PORT, timeout=WITHIN_S))
    if reply.header.tc:
        reply = dnslib.DNSRecord.parse(query.send(server, PORT, tcp=True, timeout=WITHIN_S))
    return reply
