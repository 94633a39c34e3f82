"""Ports of services on this machine's own addresses, where the services themselves are in another network (R73).

With root, the kernel's rules do this. Without, somebody has to listen out here and carry everything inside; the rules
in there take it on to a pod, which sees the node as its client.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Callable, Iterable

from .outside import Outside

log = logging.getLogger(__name__)

PIECE_BYTES = 64 << 10
CONNECT_WITHIN_S = 10.0
IDLE_S = 60.0
"""A UDP client that is silent for so long, and to whom nobody speaks, is forgotten."""
MOST_CLIENTS = 1000
"""Of one UDP port at a time; what others send is lost, as UDP may be."""

Port = tuple[str, int]
"""("tcp", 30080)"""
Address = tuple[str, int]


class NodePorts:
    """Carries connections and datagrams to `inside`, the node's address in the pods' network."""

    def __init__(self, outside: Outside, inside: str) -> None:
        self._outside = outside
        self._inside = inside
        self._open: dict[Port, asyncio.Server | asyncio.DatagramTransport] = {}
        self._refused: set[Port] = set()
        self._wanted: frozenset[Port] = frozenset()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def want(self, ports: Iterable[Port]) -> None:
        """From now on these, and no others; connections that are carried already go on."""
        wanted = frozenset(port for port in ports if port[0] in ("tcp", "udp"))
        if wanted != self._wanted:
            self._wanted = wanted
            task = asyncio.ensure_future(self._change())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _change(self) -> None:
        async with self._changing:
            for port in self._open.keys() - self._wanted:
                self._open.pop(port).close()
            self._refused &= self._wanted
            for port in sorted(self._wanted - self._open.keys()):
                try:
                    await (self._listen(port) if port[0] == "tcp" else self._hear(port))
                except OSError as error:
                    self._refuse(port, error)

    def _refuse(self, port: Port, error: OSError) -> None:
        if port not in self._refused:
            self._refused.add(port)
            log.warning("a node port cannot be had on this machine port=%s/%s error=%r", port[1], port[0], str(error))

    async def _listen(self, port: Port) -> None:
        made = await self._outside(functools.partial(_bound, port))
        self._open[port] = await asyncio.start_server(functools.partial(self._carry, port[1]), sock=made)

    async def _hear(self, port: Port) -> None:
        made = await self._outside(functools.partial(_bound, port))
        loop = asyncio.get_running_loop()
        clients = functools.partial(_Clients, (self._inside, port[1]))
        self._open[port], _ = await loop.create_datagram_endpoint(clients, sock=made)

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


def _bound(port: Port) -> socket.socket:
    """A socket on every IPv4 address of the machine. Raises OSError."""
    protocol, number = port
    if protocol == "tcp":
        return socket.create_server(("", number), backlog=1024)
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.bind(("", number))
    except OSError:
        made.close()
        raise
    return made


class _Clients(asyncio.DatagramProtocol):
    """One UDP port out here: each client has a socket of its own inside, by which answers find back."""

    def __init__(self, inside: Address) -> None:
        self._inside = inside
        self._flows: dict[Address, _Flow] = {}
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        flow = self._flows.get(addr)
        if flow is None:
            if len(self._flows) >= MOST_CLIENTS:
                return
            answer = functools.partial(self._answer, addr)
            flow = self._flows[addr] = _Flow(answer, lambda: self._flows.pop(addr, None))
            flow.start(self._inside)
        flow.send(data)

    def _answer(self, addr: Address, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        for flow in list(self._flows.values()):
            flow.end()


class _Flow(asyncio.DatagramProtocol):
    """What one client says, and what it is answered."""

    def __init__(self, answer: Callable[[bytes], None], ended: Callable[[], object]) -> None:
        self._answer = answer
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._opening: asyncio.Task[object] | None = None
        self._idle = self._loop.call_later(IDLE_S, self.end)

    def start(self, inside: Address) -> None:
        self._opening = self._loop.create_task(
            self._loop.create_datagram_endpoint(lambda: self, remote_addr=inside), name="udp flow"
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        for data in self._waiting:
            self.send(data)
        self._waiting.clear()

    def send(self, data: bytes) -> None:
        self._stay()
        if self._transport is None:
            self._waiting.append(data)
        else:
            self._transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._stay()
        self._answer(data)

    def _stay(self) -> None:
        self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_S, self.end)

    def end(self) -> None:
        self._idle.cancel()
        self._ended()
        if self._transport is not None:
            self._transport.close()
        elif self._opening is not None:
            self._opening.cancel()


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
