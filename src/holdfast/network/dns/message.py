"""DNS messages on the wire, by dnslib. Imported when a server starts, not before: the library is slow to load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dnslib

from .names import Name
from .records import NEGATIVE_TTL_S, TTL_S, Answer, Record

SMALLEST_UDP, LARGEST_UDP = 512, 4096
OWN_UDP = 1232
"""What is offered to clients: fits any path without fragments."""

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_TRANSFERS = (251, 252)


@dataclass(frozen=True, slots=True)
class Question:
    """A query that can be answered."""

    name: Name
    type: str
    """As text; types that dnslib does not know are `TYPE123`."""
    record: dnslib.DNSRecord


def parse(data: bytes) -> Question | bytes | None:
    """The question; the refusal to send; or None where silence is the answer."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    try:
        record = dnslib.DNSRecord.parse(data)
        (question,) = record.questions
        labels = tuple(label.decode("ascii", "replace").lower() for label in question.qname.label)
    except (dnslib.DNSError, ValueError, TypeError, IndexError, KeyError):
        return bare_refusal(data, FORMERR)
    if record.header.opcode != 0 or question.qclass != 1 or question.qtype in _TRANSFERS:
        return bare_refusal(data, NOTIMP)
    return Question(labels, str(dnslib.QTYPE.get(question.qtype)), record)


def bare_refusal(data: bytes, code: int) -> bytes:
    """A header only: for what could not be read."""
    flags = (0x80 | (data[2] & 0x79)) << 8 | 0x80 | code
    return data[:2] + flags.to_bytes(2, "big") + bytes(8)


def refuse(question: Question, code: int) -> bytes:
    """An answer without records."""
    reply = _reply(question, is_authoritative=False)
    reply.header.rcode = code
    return bytes(reply.pack())


def encode(question: Question, answer: Answer, domain: Name, limit: int, extra: Sequence[dnslib.RR] = ()) -> bytes:
    """The answer of the zone `domain`; with `limit` bytes exceeded, only the sign to ask again over TCP (D64).

    `extra` are further answers, from elsewhere.
    """
    reply = _reply(question, is_authoritative=True)
    asked = question.record.questions[0].qname
    for record in answer.records:
        reply.add_answer(_encoded(record, asked if record.name == question.name else None, domain))
    for rr in extra:
        reply.add_answer(rr)
    for record in answer.additional:
        reply.add_ar(_encoded(record, None, domain))
    if not answer.records and not extra:
        reply.header.rcode = NOERROR if answer.exists else NXDOMAIN
        reply.add_auth(_soa(domain))
    return fit(reply, limit)


def fit(reply: dnslib.DNSRecord, limit: int) -> bytes:
    packed = bytes(reply.pack())
    if len(packed) <= limit:
        return packed
    short = dnslib.DNSRecord(reply.header, q=reply.questions[0])
    short.header.tc = 1
    for rr in reply.ar:
        if rr.rtype == dnslib.QTYPE.OPT:
            short.add_ar(rr)
    return bytes(short.pack())


def udp_limit(question: Question) -> int:
    """What the client can take over UDP: 512 bytes unless it says more."""
    for rr in question.record.ar:
        if rr.rtype == dnslib.QTYPE.OPT:
            return max(SMALLEST_UDP, min(int(rr.edns_len), LARGEST_UDP))
    return SMALLEST_UDP


def query(name: Name, type: str, id: int) -> bytes:
    """A question to a resolver."""
    record = dnslib.DNSRecord.question(".".join(name) or ".", type)
    record.header.id = id
    record.header.rd = 1
    return bytes(record.pack())


def answers_of(data: bytes) -> list[dnslib.RR]:
    """The answers of a resolver; none if it refused or cannot be understood."""
    try:
        record = dnslib.DNSRecord.parse(data)
    except dnslib.DNSError:
        return []
    return list(record.rr)


def _reply(question: Question, *, is_authoritative: bool) -> dnslib.DNSRecord:
    asked = question.record
    header = dnslib.DNSHeader(id=asked.header.id, qr=1, aa=int(is_authoritative), rd=asked.header.rd, ra=1, bitmap=None)
    reply = dnslib.DNSRecord(header, q=asked.questions[0])
    if any(rr.rtype == dnslib.QTYPE.OPT for rr in asked.ar):
        reply.add_ar(dnslib.EDNS0(udp_len=OWN_UDP))
    return reply


def _encoded(record: Record, asked: dnslib.DNSLabel | None, domain: Name) -> dnslib.RR:
    """Under the name as it was asked for, in the client's upper and lower case."""
    if record.type == "SOA":
        return _soa(domain)
    name = asked if asked is not None else _label(record.name)
    return dnslib.RR(name, getattr(dnslib.QTYPE, record.type), ttl=TTL_S, rdata=_data(record))


def _data(record: Record) -> dnslib.RD:
    match record.type:
        case "A":
            return dnslib.A(record.data[0])
        case "AAAA":
            return dnslib.AAAA(record.data[0])
        case "SRV":
            priority, weight, port, target = record.data
            return dnslib.SRV(priority, weight, port, _label(target))
        case "CNAME":
            return dnslib.CNAME(_label(record.data[0]))
        case "PTR":
            return dnslib.PTR(_label(record.data[0]))
        case "NS":
            return dnslib.NS(_label(record.data[0]))
        case _:
            return dnslib.TXT(record.data[0])


def soa_times() -> tuple[int, ...]:
    """Serial number, and seconds: to refresh, to retry, to expire, to remember what does not exist."""
    return (1, 7200, 1800, 86400, NEGATIVE_TTL_S)


def _soa(domain: Name) -> dnslib.RR:
    data = dnslib.SOA(_label(("ns", "dns", *domain)), _label(("hostmaster", *domain)), soa_times())
    return dnslib.RR(_label(domain), dnslib.QTYPE.SOA, ttl=NEGATIVE_TTL_S, rdata=data)


def _label(name: Iterable[str]) -> dnslib.DNSLabel:
    return dnslib.DNSLabel([label.encode("ascii", "replace") for label in name])
