"""UDP flows that go to where no endpoint is any more: found and forgotten, so that clients find another (D48, R94).

The kernel keeps sending the packets of a known UDP flow where the first one went. Blocking.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

_NETLINK_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 0x01, 0x04, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_ORIGINAL, _REPLY = 1, 2
_HEADER = struct.Struct("=IHHII")
_UDP = 17


@dataclass(frozen=True, slots=True)
class Flow:
    """A UDP flow: what the client sent to, and who is made to answer."""

    to: tuple[str, int]
    answered_by: tuple[str, int]
    tuple_bytes: bytes
    """The original direction, as the kernel wrote it."""


def forget(is_stale: Callable[[Flow], bool], family: int = socket.AF_INET) -> int:
    """Forgets the UDP flows of the family that are stale; how many. Raises OSError."""
    forgotten = 0
    with _connect() as kernel:
        for flow in [flow for flow in flows(_dump(kernel, family)) if is_stale(flow)]:
            payload = (
                _family(family) + struct.pack("=HH", 4 + len(flow.tuple_bytes), _ORIGINAL | _NESTED) + flow.tuple_bytes
            )
            kernel.send(_HEADER.pack(16 + len(payload), _DELETE, _REQUEST | _ACK, 2, 0) + payload)
            kernel.recv(65536)  # a flow that has just ended by itself is as good
            forgotten += 1
    return forgotten


@contextlib.contextmanager
def _connect() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        yield kernel


def _family(family: int) -> bytes:
    return struct.pack("=BBH", family, 0, 0)


def _dump(kernel: socket.socket, family: int) -> Iterator[bytes]:
    """The attributes of every flow that the kernel tracks."""
    payload = _family(family)
    kernel.send(_HEADER.pack(16 + len(payload), _GET, _REQUEST | _DUMP, 1, 0) + payload)
    while True:
        data = kernel.recv(1 << 18)
        at = 0
        while at < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, at)
            if kind == _ERROR:
                code = -struct.unpack_from("=i", data, at + 16)[0]
                raise OSError(code, os.strerror(code))
            if kind == _DONE:
                return
            yield data[at + 20 : at + length]
            at += (length + 3) & ~3


def flows(messages: Iterator[bytes]) -> Iterator[Flow]:
    """Those of UDP among the flows in the kernel's words."""
    for message in messages:
        attributes = dict(_attributes(message))
        original, reply = _ends(attributes[_ORIGINAL]), _ends(attributes[_REPLY])
        if original is not None and reply is not None:
            yield Flow(original[1], reply[0], attributes[_ORIGINAL])


def _ends(data: bytes) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """Source and destination, each with its port; None if this is not UDP. Of IPv6, addresses are 3 and 4."""
    parts = dict(_attributes(data))
    addresses, ports = list(_attributes(parts[1])), dict(_attributes(parts[2]))
    if ports[1][0] != _UDP:
        return None
    (_, source), (_, destination) = sorted(addresses)
    return _end(source, ports[2]), _end(destination, ports[3])


def _end(address: bytes, port: bytes) -> tuple[str, int]:
    return str(ip_address(address)), int.from_bytes(port[:2], "big")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
