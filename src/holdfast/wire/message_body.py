"""A streamed answer to a client that asked for a WebSocket: each chunk is a text message (A121)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .messages import Body, Request, Streaming, Upgrade, chunks

if TYPE_CHECKING:
    from wsproto.connection import Connection


def in_messages(request: Request, streaming: Streaming) -> Upgrade:
    """The same answer as messages. Raises BadHandshake."""
    from .websocket import accept_headers

    def start(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        from wsproto.connection import Connection, ConnectionType

        frames = Connection(ConnectionType.SERVER)
        body = MessageBody(transport, framed=True, finished=_nothing, frames=frames)
        protocol = _Listener(body)
        streaming.start(body)
        if received:
            protocol.data_received(received)
        return protocol

    return Upgrade((*accept_headers(request), *streaming.headers), start)


def _nothing() -> None: ...


@dataclass(slots=True, eq=False, kw_only=True)
class MessageBody(Body):
    """The writing end: what would be a chunk is a message, and the end is a close frame."""

    frames: Connection

    def write(self, data: bytes) -> None:
        from wsproto.events import TextMessage

        if data and not self.closed and not self.transport.is_closing():
            self.transport.write(self.frames.send(TextMessage(data.decode("utf-8", "replace"))))

    def write_raw(self, framed: bytes) -> None:
        for data in chunks(framed):
            self.write(data)

    def end(self) -> None:
        if not self.closed:
            self.closed = True
            self.say_goodbye()

    def say_goodbye(self) -> None:
        from wsproto.connection import ConnectionState
        from wsproto.events import CloseConnection

        if self.frames.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self.transport.write(self.frames.send(CloseConnection(1000)))
        self.transport.close()


class _Listener(asyncio.Protocol):
    """Answers pings and closes; what else the client says is of no interest."""

    def __init__(self, body: MessageBody) -> None:
        self._body = body

    def data_received(self, data: bytes) -> None:
        from wsproto.events import CloseConnection, Ping
        from wsproto.utilities import ProtocolError

        body = self._body
        if body.transport.is_closing():
            return
        try:
            body.frames.receive_data(data)
            for event in body.frames.events():
                if isinstance(event, Ping):
                    if not body.paused:  # whoever reads so slowly needs no answer now
                        body.transport.write(body.frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    body.say_goodbye()
                    return
        except ProtocolError:
            body.transport.close()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._body.pause()

    def resume_writing(self) -> None:
        self._body.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._body.lost()
