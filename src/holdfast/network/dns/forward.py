"""Asking the host's resolvers: a bounded number of questions at a time, each for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.world import World

ATTEMPT_S = 1.5
MOST_AT_ONCE = 256

Address = tuple[str, int]


class Forwarder:
    def __init__(self, upstreams: Sequence[Address], world: World) -> None:
        self._upstreams = tuple(upstreams)
        self._random = world.random
        self._under_way = 0

    @property
    def has_upstreams(self) -> bool:
        return bool(self._upstreams)

    async def ask(self, query: bytes, *, is_udp: bool) -> bytes | None:
        """The first reply of the upstreams, asked in turn, under the query's own id; None if there is none."""
        if self._under_way >= MOST_AT_ONCE:
            return None
        self._under_way += 1
        try:
            for upstream in self._upstreams:
                try:
                    async with asyncio.timeout(ATTEMPT_S):
                        return await (self._over_udp if is_udp else self._over_tcp)(query, upstream)
                except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
                    continue
            return None
        finally:
            self._under_way -= 1

    async def _over_udp(self, query: bytes, upstream: Address) -> bytes:
        """From a port and with an id of its own: neither can be guessed by who wants to forge the reply."""
        loop = asyncio.get_running_loop()
        id = self._random.getrandbits(16).to_bytes(2, "big")
        transport, protocol = await loop.create_datagram_endpoint(lambda: _Exchange(id), remote_addr=upstream)
        try:
            transport.sendto(id + query[2:])
            reply = await protocol.reply
        finally:
            transport.close()
        return query[:2] + reply[2:]

    async def _over_tcp(self, query: bytes, upstream: Address) -> bytes:
        reader, writer = await asyncio.open_connection(*upstream)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
        finally:
            writer.close()


class _Exchange(asyncio.DatagramProtocol):
    """One question under way; datagrams that are not its reply are dropped."""

    def __init__(self, id: bytes) -> None:
        self._id = id
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if data[:2] == self._id and len(data) >= 12 and data[2] & 0x80 and not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)
