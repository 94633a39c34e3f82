"""One client's connection to a server: requests in, answers out, in order, whatever the client does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

from .messages import Answer, Body, Handler, Headers, Limits, Request, Response, Streaming, Upgrade
from .reader import Phase, Refusal, RequestReader

log = logging.getLogger(__name__)

JOIN_BYTES = 64 << 10
"""Head and body leave in one write below this size."""
SLICE_BYTES = 128 << 10
"""Larger bodies leave in writes of this size, so that encrypting one does not hold the loop."""
LINGER_S = 2.0
"""How long a refused client may go on sending: closing at once would reset the connection under the answer."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY = frozenset({204, 304})
_heads: dict[tuple[int, str], bytes] = {}


class Owner(Protocol):
    """What a connection asks of its server."""

    handler: Handler
    limits: Limits
    too_large: Callable[[Request], Response]
    failed: Callable[[Request, Exception], Response]
    closing: bool

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def handed_over(self, transport: asyncio.Transport) -> None: ...


class Connection(asyncio.Protocol):
    """Answers requests one at a time; while one is under way, later bytes wait, and beyond a limit are not read."""

    __slots__ = (
        "_address",
        "_answering",
        "_backlog",
        "_backlog_bytes",
        "_body",
        "_certificate",
        "_der",
        "_ended",
        "_eof",
        "_loop",
        "_owner",
        "_reader",
        "_reading_paused",
        "_request",
        "_rest",
        "_task",
        "_transport",
        "_write_paused",
        "deadline",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(owner.limits)
        self._transport: asyncio.Transport
        self._address = ""
        self._certificate: dict[str, Any] | None = None
        self._der: bytes | None = None
        self._answering = False
        self._request: Request
        self._task: asyncio.Task[None] | None = None
        self._body: Body | None = None
        self._rest: memoryview | None = None
        self._backlog: list[bytes] = []
        self._backlog_bytes = 0
        self._reading_paused = False
        self._write_paused = False
        self._ended = False
        self._eof = False
        self.deadline: float | None = None
        """When the server may drop the connection, in the loop's time; None while it may take for ever."""

    @property
    def is_busy(self) -> bool:
        return self._answering

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.set_write_buffer_limits(high=self._owner.limits.buffer_bytes)
        self._address = self.peer_address
        if tls := transport.get_extra_info("ssl_object"):
            self._certificate = tls.getpeercert() or None
            self._der = tls.getpeercert(True) if self._certificate else None
        self.deadline = self._loop.time() + self._owner.limits.head_s
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # lingering: the client has not seen yet that it was refused
        if self._answering or self._write_paused:
            self._backlog.append(data)
            self._backlog_bytes += len(data)
            if self._backlog_bytes > self._owner.limits.backlog_bytes and not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
            return
        phase = self._reader.phase
        self._reader.feed(data)
        self._advance()
        if not self._answering and self._reader.phase is not phase:
            self._set_deadline()

    def eof_received(self) -> bool:
        """A client that only closed its sending half still gets its answers; a stream ends with it.

        On a plain socket a client that has left looks the same, so its request runs on; TLS has no half-closing.
        """
        if self._transport.get_extra_info("ssl_object") is not None:
            return False
        if self._body is not None or self._ended:
            return False
        self._eof = self._answering or self._write_paused
        return self._eof

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._answering = False
        self._backlog.clear()
        self._rest = None
        self._owner.closed(self)
        if self._task is not None:
            self._task.cancel()
        if self._body is not None:
            body, self._body = self._body, None
            body.lost()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._body is not None:
            self._body.pause()
        else:
            self.deadline = self._loop.time() + self._owner.limits.stalled_s

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._body is not None:
            self._body.resume()
            return
        self.deadline = None
        if self._rest is not None:
            self._send_rest()
        if not self._answering:
            self._set_deadline()
            self._advance()

    # Requests

    def _advance(self) -> None:
        """Answers what is ready, until something has to be waited for."""
        reader = self._reader
        while not self._answering and not self._ended and not self._write_paused:
            if reader.ready:
                self._answer(reader.ready.popleft())
            elif self._backlog and reader.refusal is None:
                data = b"".join(self._backlog)
                self._backlog.clear()
                self._backlog_bytes = 0
                reader.feed(data)
            else:
                break
        if self._answering or self._ended or self._write_paused:
            return
        if reader.refusal is not None:
            self._refuse(reader.refusal)
            return
        if self._eof:
            self._transport.close()
            return
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if reader.wants_continue:
            reader.wants_continue = False
            self._write(_CONTINUE)

    def _answer(self, request: Request) -> None:
        request.peer_certificate, request.peer_der = self._certificate, self._der
        request.peer_address = self._address
        self._answering = True
        self._request = request
        self.deadline = None
        try:
            answer = self._owner.handler(request)
        except Exception as error:
            answer = self._failed(error)
        if isinstance(answer, Response):
            self._respond(answer)
        elif isinstance(answer, Streaming | Upgrade):
            self._carry_out(answer)
        else:
            self._task = self._loop.create_task(self._await(answer))

    async def _await(self, answer: Awaitable[Answer]) -> None:
        try:
            result = await answer
        except Exception as error:
            result = self._failed(error)
        self._task = None
        if self._ended:
            return
        try:
            self._carry_out(result)
        except Exception:
            log.exception("answer failed: %s %s", self._request.method, self._request.path)
            self._transport.abort()
            return
        if not self._answering:
            self._advance()

    def _failed(self, error: Exception) -> Response:
        log.error("request failed: %s %s", self._request.method, self._request.path, exc_info=error)
        return self._owner.failed(self._request, error)

    # Answers

    def _carry_out(self, answer: Answer) -> None:
        match answer:
            case Response():
                self._respond(answer)
            case Streaming() if self._request.upgrade == "websocket":
                self._stream_in_messages(answer)
            case Streaming():
                self._stream(answer)
            case Upgrade():
                self._hand_over(answer)

    def _respond(self, response: Response) -> None:
        head = self._head(response.status, response.content_type, response.headers)
        body = response.body
        if response.status not in _NO_BODY:
            head += b"Content-Length: %d\r\n\r\n" % len(body)
        else:
            head += b"\r\n"
            body = b""
        if self._request.method == "HEAD":
            body = b""
        if len(body) <= JOIN_BYTES:
            self._write(head + body)
            self._finished()
        else:
            self._write(head)
            self._rest = memoryview(body)
            self._send_rest()

    def _send_rest(self) -> None:
        rest = self._rest
        while rest is not None and not self._write_paused:
            self._write(rest[:SLICE_BYTES])
            rest = self._rest = rest[SLICE_BYTES:] if len(rest) > SLICE_BYTES else None
        if rest is None:
            self._finished()

    def _stream(self, streaming: Streaming) -> None:
        request, length = self._request, streaming.length
        if request.http10 and length is None:
            request.keep_alive = False
        is_chunked = length is None and not request.http10
        head = self._head(streaming.status, streaming.content_type, streaming.headers)
        if length is not None:
            head += b"Content-Length: %d\r\n\r\n" % length
        else:
            head += b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"\r\n"
        if request.method == "HEAD":
            self._write(head)
            self._finished()
            return
        body = Body(self._transport, is_chunked, self._stream_ended, head, self._write_paused)
        self._body = body
        try:
            streaming.start(body)
        except Exception:
            log.exception("stream failed: %s %s", request.method, request.path)
            body.abort()
        body.flush()

    def _stream_in_messages(self, streaming: Streaming) -> None:
        from .message_body import in_messages
        from .websocket import BadHandshake

        try:
            upgrade = in_messages(self._request, streaming)
        except BadHandshake as error:
            self._respond(Response(400, f"{error}\n".encode(), "text/plain; charset=utf-8"))
        else:
            self._hand_over(upgrade)

    def _stream_ended(self) -> None:
        self._body = None
        self._finished()
        # Not at once: the next request must not be handled inside this one's last write.
        self._loop.call_soon(self._advance)

    def _hand_over(self, upgrade: Upgrade) -> None:
        request = self._request
        if not request.upgrade:
            log.error("upgrade of a request that asked for none: %s %s", request.method, request.path)
            self._respond(self._owner.failed(request, RuntimeError("not a request to upgrade")))
            return
        rest = self._reader.rest + b"".join(self._backlog)
        self._ended = True
        self._answering = False
        self.deadline = None
        self._backlog.clear()
        transport = self._transport
        self._write(b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % _lines(upgrade.headers))
        self._owner.closed(self)
        self._owner.handed_over(transport)
        transport.set_protocol(upgrade.start(transport, rest))
        if self._reading_paused:
            transport.resume_reading()

    def _write(self, data: bytes | memoryview) -> None:
        if not self._transport.is_closing():  # uvloop raises between a failure and connection_lost
            self._transport.write(data)

    def _finished(self) -> None:
        """The answer is with the transport."""
        self._answering = False
        if not self._request.keep_alive or self._owner.closing:
            self._ended = True
            self.deadline = self._loop.time() + self._owner.limits.stalled_s
            self._transport.close()
            return
        if self._request.upgrade:
            self._reader.go_on()
        self._set_deadline()

    def _refuse(self, refusal: Refusal) -> None:
        """The last answer on this connection: what follows cannot be told apart from the bad request."""
        request = refusal.too_large
        if request is not None:
            request.peer_certificate, request.peer_der = self._certificate, self._der
            response = self._owner.too_large(request)
        else:
            response = Response(refusal.status, f"{refusal.text}\n".encode(), "text/plain; charset=utf-8")
        self._request = request or Request("", "", "", {})
        self._request.keep_alive = False
        head = self._head(response.status, response.content_type, response.headers)
        self._write(b"%bContent-Length: %d\r\n\r\n" % (head, len(response.body)) + response.body)
        self._ended = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._reading_paused:
            self._transport.resume_reading()
        self.deadline = self._loop.time() + LINGER_S

    def _head(self, status: int, content_type: str, headers: Headers) -> bytes:
        head = _heads.get((status, content_type))
        if head is None:
            head = _preformat(status, content_type)
        if headers:
            head += _lines(headers)
        request = self._request
        if not request.keep_alive or self._owner.closing:
            return head + b"Connection: close\r\n"
        if request.http10:
            return head + b"Connection: keep-alive\r\n"
        return head

    def _set_deadline(self) -> None:
        limits, phase = self._owner.limits, self._reader.phase
        if self._write_paused:
            seconds = limits.stalled_s
        elif phase is Phase.IDLE:
            seconds = limits.idle_s
        else:
            seconds = limits.head_s if phase is Phase.HEAD else limits.body_s
        self.deadline = self._loop.time() + seconds

    # The server's

    @property
    def is_idle(self) -> bool:
        """Nothing has been asked since the last answer, or ever."""
        is_waiting = self._reader.phase is Phase.IDLE and not self._answering
        return is_waiting and not self._write_paused and not self._ended

    def close(self) -> None:
        """Ends the connection once what it is answering is answered; a stream ends at once."""
        if self._body is not None:
            self._transport.close()
            body, self._body = self._body, None
            body.lost()
        elif not self._answering:
            self._transport.close()

    @property
    def peer_address(self) -> str:
        """The client's IP address; empty on a unix socket."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def turn_away(self) -> None:
        """Ends the connection; what has come already is not read."""
        self._ended = True
        self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()


def _preformat(status: int, content_type: str) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    head = f"HTTP/1.1 {status} {phrase}\r\n".encode()
    if content_type:
        head += _lines((("Content-Type", content_type),))
    if len(_heads) < 1000:
        _heads[status, content_type] = head
    return head


def _lines(headers: Headers) -> bytes:
    """Head lines; a line break inside a value would let its author write headers, so it becomes a space."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        text = "".join([f"{name}: {' '.join(value.split())}\r\n" for name, value in headers])
    return text.encode("latin-1", "replace")
