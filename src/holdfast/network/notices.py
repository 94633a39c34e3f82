"""What the kernel tells of changes to rules, links, addresses and routes, whoever makes them.

Sockets belong to the network namespace of the thread that makes them. They never block.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_RCVBUFFORCE = 33
_LARGEST = 1 << 18
_HEADER = struct.Struct("=IHHII")

_RULES_GROUP = 7
_OF_RULES, _GENERATION = 10, 15
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

_LINKS = 1
_ADDRESSES, _ROUTES, _SYSCTLS = (5, 9), (7, 11), (24, 25)
"""Of IPv4 and of IPv6."""
_NEW_LINK, _NEW_SYSCTL = 16, 80
_GONE = (17, 21, 25)
"""Links, addresses, routes."""
_UP = 1
_LINK_OF_SYSCTL, _OF_ALL_LINKS = slice(8, 12), struct.pack("=i", -1)


class _Notices:
    """A socket that listens to groups of one kind of netlink."""

    def __init__(self, kind: int, groups: tuple[int, ...], buffer_bytes: int) -> None:
        """Raises OSError where the kernel has no such notices."""
        self.lost = False
        """Whether more came than could be kept, since this was last set to False."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, kind)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            with contextlib.suppress(PermissionError):  # beyond the machine's limit
                self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, buffer_bytes)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        """Type and body of everything that has come."""
        while True:
            try:
                data = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost = True
                continue
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                yield kind, data[at + _HEADER.size : at + length]
                at += max(_HEADER.size, (length + 3) & ~3)


Kind = TypeVar("Kind", bound=_Notices)


def told_by_kernel(make: Callable[[], Kind]) -> Kind | None:
    """None on kernels that do not tell: what is gone is then found later, by looking."""
    try:
        return make()
    except OSError as error:
        log.info("the kernel does not tell of changes: they are looked for error=%r", str(error))
        return None


class RuleNotices(_Notices):
    """Of changes to one table of rules, or to those of one name in several families of addresses."""

    def __init__(self, table: str, families: Collection[int] = _FAMILIES) -> None:
        super().__init__(_NETLINK_NETFILTER, (_RULES_GROUP,), 4 << 20)
        self._table = table.encode() + b"\0"
        self._families = frozenset(families)
        self._touched = False

    def drain(self) -> int:
        """How many transactions have changed the table since the last call."""
        count = 0
        for kind, body in self._messages():
            if kind >> 8 != _OF_RULES:
                continue
            if kind & 0xFF == _GENERATION:  # ends a transaction
                count += self._touched
                self._touched = False
            elif body[0] in self._families and _first_text(body[4:]) == self._table:
                self._touched = True
        return count


def _first_text(attributes: bytes) -> bytes:
    """The first attribute, which names the table in every notice of a change."""
    (length,) = struct.unpack_from("=H", attributes)
    return attributes[4:length]


class LinkNotices(_Notices):
    """Of what may have cut off a pod: a link, address or route that went, a link taken down, a changed sysctl."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE, (_LINKS, *_ADDRESSES, *_ROUTES, *_SYSCTLS), 1 << 20)

    def drain(self) -> int:
        """How many there were since the last call."""
        return sum(_is_loss(kind, body) for kind, body in self._messages())


def _is_loss(kind: int, body: bytes) -> bool:
    if kind == _NEW_LINK:
        (flags,) = struct.unpack_from("=I", body, 8)
        return not flags & _UP
    return kind in _GONE or (kind == _NEW_SYSCTL and body[_LINK_OF_SYSCTL] == _OF_ALL_LINKS)
