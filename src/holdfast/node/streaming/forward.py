"""Port-forward: connections to a pod's loopback, over SPDY streams or WebSocket channels (A183-A185, N208)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from holdfast.node.runtime import RuntimeFailure
from holdfast.wire.duplex import ByteStream
from holdfast.wire.pipe import Pipe
from holdfast.wire.spdy import SpdyConnection, SpdyStream
from holdfast.wire.websocket import CLOSE_WITHIN_S, WebSocket

from .channels import Subprotocol

SPDY_VERSION = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
"""The WebSocket subprotocol whose messages carry a SPDY connection."""
PAIR_WITHIN_S = 30.0
SLICE_BYTES = 32 << 10

Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def choose_version(offered: str) -> str:
    """Empty if ours is not among the versions offered."""
    return SPDY_VERSION if SPDY_VERSION in [name.strip() for name in offered.split(",")] else ""


@dataclass(frozen=True, slots=True)
class Target:
    """The pod whose ports are dialled."""

    namespace: str
    name: str
    uid: str
    dial: Dial

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises ConnectionError with the text for the client."""
        try:
            return await self.dial(port)
        except (OSError, RuntimeFailure) as error:
            name = f"{self.name}_{self.namespace}"
            text = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
            raise ConnectionError(f"error forwarding port {port} to pod {name}, uid {self.uid}: {text}") from error


class SpdyForwarder:
    """Pairs the streams of one client and carries each pair to a port."""

    def __init__(self, stream: ByteStream, target: Target) -> None:
        self.connection = SpdyConnection(stream, self.opened)
        self._target = target
        self._unpaired: dict[tuple[str, str], SpdyStream] = {}
        self._forwards: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client has gone."""
        try:
            await self.connection.run()
        finally:
            for forward in self._forwards:
                forward.cancel()
            if self._forwards:
                await asyncio.wait(self._forwards)

    def opened(self, stream: SpdyStream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind not in ("data", "error"):
            stream.reset()
            return
        # Without an id of the request, the data stream is the one opened next after its error stream.
        request_id = stream.headers.get("requestid") or str(stream.id if kind == "error" else stream.id - 2)
        other = self._unpaired.pop((request_id, "error" if kind == "data" else "data"), None)
        if other is None:
            self._unpaired[request_id, kind] = stream
            asyncio.get_running_loop().call_later(PAIR_WITHIN_S, self._expire, request_id, kind, stream)
            return
        data, error = (stream, other) if kind == "data" else (other, stream)
        forward = asyncio.create_task(self._forward(data, error))
        self._forwards.add(forward)
        forward.add_done_callback(self._forwards.discard)

    def _expire(self, request_id: str, kind: str, stream: SpdyStream) -> None:
        if self._unpaired.get((request_id, kind)) is stream:
            del self._unpaired[request_id, kind]
            stream.reset()

    async def _forward(self, data: SpdyStream, error: SpdyStream) -> None:
        try:
            port = int(data.headers.get("port", ""))
            if not 0 < port < 65536:
                raise ValueError
        except ValueError:
            await _say(error, f"unable to parse {data.headers.get('port', '')!r} as a port")
            data.reset()
            return
        try:
            reader, writer = await self._target.connect(port)
        except ConnectionError as failure:
            await _say(error, str(failure))
            data.reset()
            return
        try:
            await _join(data, reader, writer)
        finally:
            writer.close()
            data.end()
            error.end()  # clients wait for it


async def _say(error: SpdyStream, text: str) -> None:
    with contextlib.suppress(ConnectionError):
        await error.write(text.encode())
    error.end()


async def _join(data: SpdyStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies both ways until the port's side ends, or the client gives the stream up."""

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await data.read():
                writer.write(piece)
                await writer.drain()
            if data.is_reset:
                writer.transport.abort()
            elif writer.can_write_eof():
                writer.write_eof()

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(SLICE_BYTES):
                await data.write(piece)
        sending.cancel()


class ChannelForwarder:
    """Ports on channels: 2i for the data of port i, 2i + 1 for its errors (A185, A343)."""

    def __init__(self, socket: WebSocket, subprotocol: Subprotocol, target: Target, ports: Sequence[int]) -> None:
        self._socket = socket
        self._subprotocol = subprotocol
        self._target = target
        self._ports = ports
        self._inputs = [Pipe() for _ in ports]
        for index, port in enumerate(ports):
            for channel in (2 * index, 2 * index + 1):
                socket.send_now(subprotocol.encode(channel, struct.pack("<H", port)))

    async def run(self) -> None:
        """Until the client has gone or every port's connection has ended."""
        self._socket.on_end(self._let_go)
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive())
            forwards = [group.create_task(self._forward(index)) for index in range(len(self._ports))]
            await asyncio.wait(forwards)
            self._socket.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await asyncio.wait((receiving,))
            receiving.cancel()
        self._socket.end()

    def _let_go(self) -> None:
        """The client has gone: do not wait any longer for ports that do not read."""
        for pipe in self._inputs:
            if pipe.is_full:
                pipe.end()

    async def _receive(self) -> None:
        try:
            while (message := await self._socket.receive()) is not None:
                decoded = self._subprotocol.decode(message)
                if decoded and decoded[0] % 2 == 0 and decoded[0] // 2 < len(self._inputs):
                    await self._inputs[decoded[0] // 2].put(decoded[1])
        finally:
            for pipe in self._inputs:
                pipe.end()

    async def _forward(self, index: int) -> None:
        try:
            reader, writer = await self._target.connect(self._ports[index])
        except ConnectionError as failure:
            with contextlib.suppress(ConnectionError):
                await self._socket.send(self._subprotocol.encode(2 * index + 1, str(failure).encode()))
            self._inputs[index].end()
            return
        try:
            await self._join(index, reader, writer)
        finally:
            self._inputs[index].end()
            writer.close()

    async def _join(self, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                while piece := await self._inputs[index].get():
                    writer.write(piece)
                    await writer.drain()
                writer.transport.abort()  # an input only ends with the client

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(SLICE_BYTES):
                    await self._socket.send(self._subprotocol.encode(2 * index, piece))
            sending.cancel()
