"""Ports of services on this machine's own addresses, where the services themselves are in another network (R73).

With root, the kernel's rules do this. Without, somebody has to listen out here and carry every connection inside; the
rules in there take it on to a pod, which sees the node as its client. TCP only.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Iterable

from .outside import Outside

log = logging.getLogger(__name__)

PIECE_BYTES = 64 << 10
CONNECT_WITHIN_S = 10.0

Port = tuple[str, int]
"""("tcp", 30080)"""


class NodePorts:
    """Carries connections to `inside`, the node's address in the pods' network."""

    def __init__(self, outside: Outside, inside: str) -> None:
        self._outside = outside
        self._inside = inside
        self._open: dict[int, asyncio.Server] = {}
        self._refused: set[int] = set()
        self._wanted: frozenset[int] = frozenset()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def want(self, ports: Iterable[Port]) -> None:
        """From now on these, and no others; what is carried already goes on."""
        wanted = frozenset(number for protocol, number in ports if protocol == "tcp")
        if wanted != self._wanted:
            self._wanted = wanted
            task = asyncio.ensure_future(self._change())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _change(self) -> None:
        async with self._changing:
            for number in self._open.keys() - self._wanted:
                self._open.pop(number).close()
            self._refused &= self._wanted
            for number in sorted(self._wanted - self._open.keys()):
                await self._listen(number)

    async def _listen(self, number: int) -> None:
        try:
            made = await self._outside(functools.partial(socket.create_server, ("", number), backlog=1024))
        except OSError as error:
            if number not in self._refused:
                self._refused.add(number)
                log.warning("a node port cannot be had on this machine port=%s error=%r", number, str(error))
            return
        self._open[number] = await asyncio.start_server(functools.partial(self._carry, number), sock=made)

    async def _carry(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                to_read, to_write = await asyncio.open_connection(self._inside, number)
        except OSError:
            _reset(writer)
            return
        try:
            await asyncio.gather(_copy(reader, to_write), _copy(to_read, writer))
        finally:
            writer.close()
            to_write.close()

    async def close(self) -> None:
        self.want(())
        await asyncio.gather(*self._tasks)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of this direction, which is passed on; a connection that breaks breaks the other too."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """As a machine does on which nobody listens."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
