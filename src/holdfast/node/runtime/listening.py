"""Which TCP ports are open in a network namespace, asked of the kernel without touching a program (R152)."""

from __future__ import annotations

import os
import socket
import struct

from holdfast.world import linux

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_LISTEN = 1 << 10
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_LONGEST = 64 << 10


class ListeningPorts:
    """One netlink socket, made inside the namespace once; asking it costs some tens of microseconds."""

    def __init__(self, netns: str) -> None:
        """`netns` is the path the namespace is pinned at; empty for this process's own. Raises OSError."""
        self._socket = linux.in_network_namespace(netns, _socket) if netns else _socket()

    def ports(self, address: str = "") -> frozenset[int]:
        """Those that listen beyond loopback; with an IPv4 `address`, on that one or on all. Raises OSError."""
        own = socket.inet_aton(address) if address else b""
        return frozenset(self._listeners(socket.AF_INET, own) | self._listeners(socket.AF_INET6, own))

    def close(self) -> None:
        self._socket.close()

    def _listeners(self, family: int, own: bytes) -> set[int]:
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _LISTEN)
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        self._socket.send(header + body)
        ports: set[int] = set()
        while True:
            data = self._socket.recv(_LONGEST)
            position = 0
            while position < len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, position)
                if kind == _DONE:
                    return ports
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", data, position + _HEADER.size)[0]
                    raise OSError(number, os.strerror(number))
                _add(ports, family, own, data[position + _HEADER.size : position + length])
                position += (length + 3) & ~3


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    made.settimeout(1.0)
    return made


def _add(ports: set[int], family: int, own: bytes, message: bytes) -> None:
    """One `inet_diag_msg`: four bytes, then source and destination port and the source address."""
    (port,) = struct.unpack_from("!H", message, 4)
    address = message[8:12] if family == socket.AF_INET else message[8:24]
    if own:
        counts = address == own or not any(address)
    elif family == socket.AF_INET:
        counts = address[0] != 127
    else:
        counts = address != b"\0" * 15 + b"\1"
    if counts:
        ports.add(port)
