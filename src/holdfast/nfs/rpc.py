"""ONC RPC over TCP (RFC 5531): calls on one connection, answered in any order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from .xdr import Garbled, Reader, opaque, u32

PROGRAM, VERSION = 100003, 4
NULL, COMPOUND = 0, 1
_LAST_FRAGMENT = 0x80000000
_MOST_BYTES = 4 << 20
_AUTH_SYS = 1
_MOST_GROUPS = 16
_PRIVILEGED = range(1023, 664, -1)
"""Source ports of which servers know that only root can use them; most exports insist (`secure`)."""
_UNANSWERED_MS = 60_000


class Disconnected(Exception):
    """The connection ended before the answer came: nobody knows whether the call was carried out."""


class Refused(Exception):
    """The server does not take such calls: wrong version, or the credentials."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """AUTH_SYS: who the caller says it is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def encode(self, machine: str) -> bytes:
        groups = self.groups[:_MOST_GROUPS]
        body = u32(0) + opaque(machine) + u32(self.uid) + u32(self.gid) + u32(len(groups)) + b"".join(map(u32, groups))
        return u32(_AUTH_SYS) + opaque(body)


ROOT = Credentials(0, 0)


class Connection:
    """One TCP connection. `lost` is called once when it has ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: Callable[[], None]) -> None:
        self._reader = reader
        self._writer = writer
        self._lost = lost
        self._machine = os.uname().nodename
        self._xid = int.from_bytes(os.urandom(4), "big")
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        return not self._reading.done()

    async def call(self, procedure: int, arguments: bytes, credentials: Credentials) -> Reader:
        """The results. Raises Disconnected, Refused."""
        if not self.is_open:
            raise Disconnected
        self._xid = xid = (self._xid + 1) & 0xFFFFFFFF
        head = struct.pack(">IIIIII", xid, 0, 2, PROGRAM, VERSION, procedure)
        credential = credentials.encode(self._machine)
        length = len(head) + len(credential) + 8 + len(arguments)
        answer = self._waiting[xid] = asyncio.get_running_loop().create_future()
        try:
            self._writer.writelines((u32(_LAST_FRAGMENT | length), head, credential, bytes(8), arguments))
            return _results(await answer)
        finally:
            self._waiting.pop(xid, None)

    async def close(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        try:
            while True:
                message = await self._message()
                answer = self._waiting.get(int.from_bytes(message[:4], "big"))
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except (OSError, EOFError, Garbled):
            pass
        finally:
            self._writer.transport.abort()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Disconnected())
            self._lost()

    async def _message(self) -> bytes:
        fragments: list[bytes] = []
        while True:
            mark = int.from_bytes(await self._reader.readexactly(4), "big")
            length = mark & ~_LAST_FRAGMENT
            if length + sum(map(len, fragments)) > _MOST_BYTES:
                raise Garbled("an answer longer than was asked for")
            fragments.append(await self._reader.readexactly(length))
            if mark & _LAST_FRAGMENT:
                return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _results(message: bytes) -> Reader:
    """What follows the head of an accepted, successful reply. Raises Refused."""
    reader = Reader(message)
    reader.u32()
    if reader.u32() != 1:
        raise Garbled("a call where an answer was expected")
    if reader.u32() != 0:
        raise Refused("access denied by server" if reader.u32() == 1 else "the server speaks another version of RPC")
    reader.u32()
    reader.opaque()
    if status := reader.u32():
        raise Refused("Protocol not supported" if status in (1, 2, 3) else f"the server refused the call ({status})")
    return reader


async def connect(host: str, port: int, *, privileged: bool, lost: Callable[[], None]) -> Connection:
    """Raises OSError (socket.gaierror where the name is not known)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    for family, kind, protocol, _, address in found:
        link = socket.socket(family, kind, protocol)
        try:
            _prepare(link, privileged=privileged)
            await loop.sock_connect(link, address)
            reader, writer = await asyncio.open_connection(sock=link)
        except OSError as error:
            link.close()
            failure = error
        except BaseException:
            link.close()
            raise
        else:
            return Connection(reader, writer, lost)
    raise failure


def _prepare(link: socket.socket, *, privileged: bool) -> None:
    link.setblocking(False)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
    if privileged:
        _bind_low(link)


def _bind_low(link: socket.socket) -> None:
    """To a privileged port, if this process may and one is free."""
    anywhere = "::" if link.family == socket.AF_INET6 else "0.0.0.0"
    start = int.from_bytes(os.urandom(2), "big") % len(_PRIVILEGED)
    for offset in range(len(_PRIVILEGED)):
        try:
            link.bind((anywhere, _PRIVILEGED[(start + offset) % len(_PRIVILEGED)]))
        except PermissionError:
            return
        except OSError:
            continue
        return
