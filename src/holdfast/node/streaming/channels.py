"""Channels inside WebSocket messages: exec and attach (A167-A173, A342), logs (A163)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from holdfast.wire.pipe import Pipe
from holdfast.wire.websocket import CLOSE_WITHIN_S, WebSocket

from .command import Channel, Wanted
from .outcome import Status

CLOSE_CHANNEL = 255
"""v5: the byte behind names the channel that the client has closed."""


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """A way to put channels into messages."""

    name: str
    is_base64: bool = False
    status_is_json: bool = True
    can_half_close: bool = False

    def encode(self, channel: int, data: bytes) -> bytes | str:
        if self.is_base64:
            return str(channel) + base64.b64encode(data).decode()
        return bytes((channel,)) + data

    def decode(self, message: bytes | str) -> tuple[int, bytes] | None:
        """The channel and its data; None for what is neither.

        Text and bytes are the same here, as they are upstream: Python clients send what is a string as text.
        """
        data = message.encode() if isinstance(message, str) else message
        if not data:
            return None
        if not self.is_base64:
            return data[0], data[1:]
        with contextlib.suppress(binascii.Error, ValueError):
            return int(data[:1]), base64.b64decode(data[1:], validate=True)
        return None


V1 = Subprotocol("channel.k8s.io", status_is_json=False)
COMMAND = (
    Subprotocol("v5.channel.k8s.io", can_half_close=True),
    Subprotocol("v4.channel.k8s.io"),
    V1,
    Subprotocol("v4.base64.channel.k8s.io", is_base64=True),
    Subprotocol("base64.channel.k8s.io", is_base64=True, status_is_json=False),
)
FORWARD_DEFAULT = Subprotocol("v4.channel.k8s.io")
FORWARD = (FORWARD_DEFAULT, Subprotocol("v4.base64.channel.k8s.io", is_base64=True))
LOG_DEFAULT = Subprotocol("binary.k8s.io")
LOG = (LOG_DEFAULT, Subprotocol("base64.binary.k8s.io", is_base64=True))


def choose(offered: Sequence[str], supported: Sequence[Subprotocol], default: Subprotocol) -> Subprotocol | None:
    """The first of the offered that is supported, `default` if none is offered; None if nothing fits (A168)."""
    if not offered:
        return default
    by_name = {subprotocol.name: subprotocol for subprotocol in supported}
    return next((by_name[name] for name in offered if name in by_name), None)


class WebSocketCommandClient:
    """A `CommandClient` on channels. `run` has to be running meanwhile."""

    def __init__(self, socket: WebSocket, subprotocol: Subprotocol, wanted: Wanted) -> None:
        self._socket = socket
        self._subprotocol = subprotocol
        self._stdin = Pipe()
        self._sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue(100)
        self._gone = asyncio.Event()
        self._wants_stdin = wanted.stdin
        # A167: clients take it for the sign that the server is ready.
        lowest = Channel.STDOUT if wanted.stdout else Channel.STDERR if wanted.stderr else Channel.ERROR
        socket.send_now(subprotocol.encode(lowest, b""))

    async def run(self) -> None:
        """Takes the client's messages apart until it has gone."""
        self._socket.on_end(self._let_go)
        try:
            while (message := await self._socket.receive()) is not None:
                if decoded := self._subprotocol.decode(message):
                    await self._take(*decoded)
        finally:
            self._gone.set()
            self._stdin.end()

    def _let_go(self) -> None:
        """The client has gone: do not wait any longer for a program that does not read."""
        if self._stdin.is_full:
            self._stdin.end()

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == Channel.STDIN and self._wants_stdin:
            await self._stdin.put(data)
        elif channel == Channel.RESIZE:
            for size in sizes(data):
                if not self._sizes.full():
                    self._sizes.put_nowait(size)
        elif channel == CLOSE_CHANNEL and self._subprotocol.can_half_close and data == bytes((Channel.STDIN,)):
            self._stdin.end()

    async def read_stdin(self) -> bytes:
        return await self._stdin.get()

    async def next_size(self) -> tuple[int, int] | None:
        return await self._sizes.get()

    async def write(self, channel: Channel, data: bytes) -> None:
        await self._socket.send(self._subprotocol.encode(channel, data))

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def finish(self, status: Status) -> None:
        if text := status_text(status, is_json=self._subprotocol.status_is_json):
            self._socket.send_now(self._subprotocol.encode(Channel.ERROR, text))
        self._socket.close()
        self._stdin.end()
        # `run` goes on reading until the client has answered: closing over unread bytes would reset
        # the connection, and the client lose what it has not read yet.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._gone.wait()
        self._socket.end()


def status_text(status: Status, *, is_json: bool) -> bytes:
    """What goes out on the error channel: nothing for success in the versions before JSON."""
    if is_json:
        return json.dumps(status, separators=(",", ":")).encode()
    return b"" if status["status"] == "Success" else str(status["message"]).encode()


def sizes(data: bytes) -> list[tuple[int, int]]:
    """The terminal sizes in `data`, JSON objects one behind the other; what is not one is passed over.

    Names count in any case, as for upstream's decoder: the JavaScript client writes them in lower case.
    """
    decoder = json.JSONDecoder()
    text = data.decode("utf-8", "replace").strip()
    found = []
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            break
        text = text[end:].lstrip()
        if isinstance(value, dict):
            size = {name.lower(): number for name, number in value.items()}
            width, height = size.get("width"), size.get("height")
            if isinstance(width, int) and isinstance(height, int) and 0 < width < 65536 and 0 < height < 65536:
                found.append((width, height))
    return found


async def send_log(socket: WebSocket, subprotocol: Subprotocol, pieces: AsyncIterator[bytes]) -> None:
    """Each piece is a message of its own, without a channel."""
    with contextlib.suppress(ConnectionError):
        async for piece in pieces:
            await socket.send(base64.b64encode(piece).decode() if subprotocol.is_base64 else piece)
