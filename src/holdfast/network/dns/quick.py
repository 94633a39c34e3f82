"""The questions that nearly all queries are, read and answered by hand: addresses of one name (R100, R101).

`message` does the same for every other question, at thirty times the cost. What is not plain here is left to it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from . import message
from .message import LARGEST_UDP, NXDOMAIN, OWN_UDP, SMALLEST_UDP
from .names import Name
from .records import TTL_S, Answer

_HEADER = 12
_ONE_QUESTION = (b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\0\0\0\1")
"""The counts of a query, without and with a further record: that of EDNS."""
_TYPES = {b"\0\x01\0\x01": "A", b"\0\x1c\0\x01": "AAAA"}
"""Of class IN."""
_OPTIONS = struct.Struct("!BHHIH")
_OPTIONS_TYPE = 41
_LONGEST_NAME, _LONGEST_LABEL = 255, 63
_RECURSION_DESIRED = 0x01
_ANSWER, _TRUNCATED, _AVAILABLE = 0x8400, 0x0200, 0x0080
"""A reply with authority; cut short; recursion is to be had."""
_SIZES = {"A": 4, "AAAA": 16}
_BEFORE_ADDRESS = 12
"""Bytes of a record that points to the question, without its address."""
_TO_QUESTION = b"\xc0\x0c"
"""Points to the name that was asked for."""
_OWN_OPTIONS = _OPTIONS.pack(0, _OPTIONS_TYPE, OWN_UDP, 0, 0)


@dataclass(frozen=True, slots=True)
class Quick:
    """A query that can be answered here."""

    name: Name
    type: str
    end: int
    """Where the question ends in the message."""
    has_options: bool
    limit: int
    """What the client can take over UDP, in bytes."""


def parse(data: bytes) -> Quick | None:
    """None for whatever is not plain: `message.parse` then knows."""
    if len(data) < _HEADER or data[2] & ~_RECURSION_DESIRED or data[4:_HEADER] not in _ONE_QUESTION:
        return None
    labels, at = [], _HEADER
    while at < len(data) and (length := data[at]):
        label = data[at + 1 : at + 1 + length]
        if length > _LONGEST_LABEL or not label.isascii() or b"." in label:
            return None
        labels.append(label.decode().lower())
        at += 1 + length
    end = at + 5
    type = _TYPES.get(bytes(data[at + 1 : end]))
    if type is None or at - _HEADER >= _LONGEST_NAME:
        return None
    if data[11] == 0:
        return Quick(tuple(labels), type, end, False, SMALLEST_UDP) if end == len(data) else None
    if len(data) < end + _OPTIONS.size:
        return None
    root, kind, size, flags, length = _OPTIONS.unpack_from(data, end)
    if root or kind != _OPTIONS_TYPE or flags >> 16 or end + _OPTIONS.size + length != len(data):
        return None
    return Quick(tuple(labels), type, end, True, max(SMALLEST_UDP, min(size, LARGEST_UDP)))


def most(query: Quick, limit: int) -> int:
    """How many addresses fit into a reply of `limit` bytes."""
    taken = query.end + (len(_OWN_OPTIONS) if query.has_options else 0)
    return max(0, (limit - taken) // (_BEFORE_ADDRESS + _SIZES[query.type]))


def encode(query: Quick, data: bytes, answer: Answer, domain: Name) -> bytes | None:
    """The reply to the query in `data`; None if it holds more than addresses of the very name.

    An answer that was cut goes with the sign to ask again over TCP; who cannot, has some of the addresses (D64).
    """
    records: list[bytes] = []
    family = socket.AF_INET if query.type == "A" else socket.AF_INET6
    head = _TO_QUESTION + data[query.end - 4 : query.end] + struct.pack("!IH", TTL_S, _SIZES[query.type])
    for record in answer.records:
        if record.type != query.type or record.name != query.name:
            return None
        records.append(head + socket.inet_pton(family, record.data[0]))
    if answer.additional:
        return None
    flags = _ANSWER | (data[2] & _RECURSION_DESIRED) << 8 | _AVAILABLE | (answer.is_cut and _TRUNCATED)
    flags |= 0 if answer.exists else NXDOMAIN
    authority = b"" if records or answer.is_cut else _soa(query, domain)
    options = _OWN_OPTIONS if query.has_options else b""
    counts = struct.pack("!HHHHH", flags, 1, len(records), bool(authority), query.has_options)
    return b"".join((data[:2], counts, data[_HEADER : query.end], *records, authority, options))


def _soa(query: Quick, domain: Name) -> bytes:
    """As it follows a question that ends with the domain: its name is there already."""
    to_domain = struct.pack("!H", 0xC000 | (query.end - 4 - 1 - sum(1 + len(label) for label in domain)))
    times = message.soa_times()
    data = b"\x02ns\x03dns" + to_domain + b"\x0ahostmaster" + to_domain + struct.pack("!IIIII", *times)
    return to_domain + struct.pack("!HHIH", 6, 1, times[-1], len(data)) + data
