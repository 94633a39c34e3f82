"""WebSocket connections (RFC 6455) after the handshake, and the handshake itself; frames are wsproto's work."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .client import HttpClient, HttpResponse
from .duplex import ByteStream, Duplex
from .messages import Request

if TYPE_CHECKING:
    from wsproto.connection import Connection

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

MOST_MESSAGE_BYTES = 1 << 20
"""A longer message ends the connection with 1009. Clients of Kubernetes send 32 KiB at most."""

SLICE_BYTES = 16 << 10
"""What is taken apart in one go."""

CLOSE_WITHIN_S = 5.0
"""How long the other side may take to answer a close frame."""


class BadHandshake(Exception):
    """The request is no proper WebSocket handshake."""


def offered_subprotocols(request: Request) -> list[str]:
    """In the client's order of preference."""
    header = request.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in header.split(",") if name.strip()]


def accept_headers(request: Request, subprotocol: str = "") -> list[tuple[str, str]]:
    """The headers of the 101. Raises BadHandshake."""
    if request.method != "GET":
        raise BadHandshake("the method is not GET")
    if request.headers.get("sec-websocket-version") != "13":
        raise BadHandshake("unsupported version: 13 not found in 'Sec-Websocket-Version' header")
    key = request.headers.get("sec-websocket-key", "")
    try:
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_valid = False
    if not is_valid:
        raise BadHandshake("'Sec-WebSocket-Key' header must be the base64 of 16 bytes")
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_token(key))]
    if subprotocol:
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    return headers


def accept_token(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _ACCEPT_GUID).digest()).decode()


class WebSocket:
    """Messages over a byte stream. Pings are answered while reading.

    `receive` must be called all the time by one task, for the sake of pings and the closing handshake.
    """

    def __init__(self, stream: ByteStream, *, is_client: bool = False) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._stream = stream
        self._frames: Connection = Connection(ConnectionType.CLIENT if is_client else ConnectionType.SERVER)
        self._messages: deque[bytes | str] = deque()
        self._parts: list[bytes | str] = []
        self._parts_size = 0
        self._is_over = False
        self._has_answered = False
        self._unfed = b""
        self.close_code = 1006
        """Of the other side's closing; 1006 if it just went away."""

    async def receive(self) -> bytes | str | None:
        """The next message; None once the other side has closed or is gone."""
        while not self._messages:
            if self._is_over:
                return None
            if self._unfed:
                await asyncio.sleep(0)  # thousands of tiny frames must not hold everybody else up
            else:
                self._unfed = await self._stream.read()
                self._is_over = not self._unfed
            piece, self._unfed = self._unfed[:SLICE_BYTES], self._unfed[SLICE_BYTES:]
            if piece:
                self._feed(piece)
                await self._settle()
        return self._messages.popleft()

    async def _settle(self) -> None:
        """Whoever pings without reading the answers is not read from."""
        if self._has_answered and not self._is_over:
            with contextlib.suppress(ConnectionError):
                await self._stream.write(b"")
        self._has_answered = False

    def _feed(self, data: bytes) -> None:
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
        from wsproto.utilities import ProtocolError

        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, BytesMessage | TextMessage):
                    self._take(event.data, event.message_finished)
                elif isinstance(event, Ping):
                    self._has_answered = True
                    self._stream.write_now(self._frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self.close_code = event.code
                    self._is_over = True
                    self._answer_close()
        except ProtocolError as error:
            self._is_over = True
            self.close(1002, str(error))

    def _take(self, data: bytes | bytearray | str, is_last: bool) -> None:
        if data or not self._parts:  # empty fragments may come without end
            self._parts.append(data if isinstance(data, str) else bytes(data))
        self._parts_size += len(data)
        if self._parts_size > MOST_MESSAGE_BYTES:
            self._is_over = True
            self.close(1009, "message too big")
        elif is_last:
            parts, self._parts, self._parts_size = self._parts, [], 0
            if len(parts) == 1:
                self._messages.append(parts[0])
            else:
                empty = "" if isinstance(parts[0], str) else b""
                self._messages.append(empty.join(parts))  # type: ignore[arg-type]

    def _answer_close(self) -> None:
        from wsproto.connection import ConnectionState
        from wsproto.events import CloseConnection

        if self._frames.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            # OPEN: wsproto found the frames malformed, and its event says with which code to close.
            code = 1000 if self._frames.state is ConnectionState.REMOTE_CLOSING else self.close_code
            self._stream.write_now(self._frames.send(CloseConnection(code)))
        self._stream.close()

    async def send(self, message: bytes | str) -> None:
        """Returns when there is room for more. Raises ConnectionError once either side has closed."""
        await self._stream.write(self._framed(message))

    def send_now(self, message: bytes | str) -> None:
        """For what must not wait; goes nowhere once either side has closed."""
        with contextlib.suppress(ConnectionError):
            self._stream.write_now(self._framed(message))

    def _framed(self, message: bytes | str) -> bytes:
        from wsproto.events import BytesMessage, TextMessage
        from wsproto.utilities import LocalProtocolError

        try:
            if isinstance(message, str):
                return self._frames.send(TextMessage(message))
            return self._frames.send(BytesMessage(message))
        except LocalProtocolError as error:
            raise ConnectionResetError("the WebSocket is closed") from error

    async def ping(self, payload: bytes = b"") -> None:
        """Raises ConnectionError."""
        from wsproto.events import Ping
        from wsproto.utilities import LocalProtocolError

        try:
            data = self._frames.send(Ping(payload))
        except LocalProtocolError as error:
            raise ConnectionResetError("the WebSocket is closed") from error
        await self._stream.write(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Sends a close frame. The one who reads ends the connection when the other side has answered."""
        from wsproto.connection import ConnectionState
        from wsproto.events import CloseConnection

        if self._frames.state is ConnectionState.OPEN:
            self._stream.write_now(self._frames.send(CloseConnection(code, reason[:100] or None)))

    def on_end(self, callback: Callable[[], None]) -> None:
        """`callback` runs once when the connection has ended, though messages may not have been received yet."""
        self._stream.on_end(callback)

    def end(self) -> None:
        """Ends the connection, whether or not the other side has answered the close frame."""
        self._stream.close()

    def abort(self) -> None:
        self._stream.abort()


class MessageStream:
    """A `ByteStream` inside the binary messages of a WebSocket; where messages begin and end means nothing."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._unsent = b""

    async def read(self) -> bytes:
        while (message := await self._socket.receive()) is not None:
            if isinstance(message, str):
                self._socket.close(1003, "binary messages only")
            elif message:
                return message
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)

    def write_now(self, data: bytes) -> None:
        self._socket.send_now(data)

    def on_end(self, callback: Callable[[], None]) -> None:
        self._socket.on_end(callback)

    def close(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()


async def connect(
    client: HttpClient,
    target: str,
    chance: random.Random,
    *,
    subprotocols: Sequence[str] = (),
    headers: Sequence[tuple[str, str]] = (),
    timeout: float | None = None,
) -> tuple[WebSocket | None, HttpResponse]:
    """Opens a WebSocket at `target`; none, and the answer with its body, if the server refuses.

    Raises ConnectionFailed.
    """
    key = base64.b64encode(chance.randbytes(16)).decode()
    asked = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        *headers,
    ]
    if subprotocols:
        asked.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    sockets: list[WebSocket] = []

    def start(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        duplex = Duplex(transport, received)
        sockets.append(WebSocket(duplex, is_client=True))
        return duplex

    response = await client.upgrade("GET", target, asked, start, timeout)
    if not sockets:
        return None, response
    if response.headers.get("sec-websocket-accept") != accept_token(key):
        sockets[0].abort()
        return None, response
    return sockets[0], response
