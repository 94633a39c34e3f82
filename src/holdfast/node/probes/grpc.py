"""The gRPC probe: one `Check` of the health protocol on a connection of its own, in plain HTTP/2 (N115).

Source: Kubernetes, pkg/probe/grpc/grpc.go; gRPC over HTTP/2; gRPC health checking protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from holdfast.node.backoff import in_words

from . import Answer, Result
from .http import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from h2.connection import H2Connection

PATH = "/grpc.health.v1.Health/Check"
FIRST_RETRY_S = 1.0
RETRY_FACTOR = 1.6
READ_BYTES = 64 << 10
FRAME_HEAD_BYTES = 5
SERVING = 1
STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNIMPLEMENTED, DEADLINE_EXCEEDED = "Unimplemented", "DeadlineExceeded"
CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", DEADLINE_EXCEEDED, "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", UNIMPLEMENTED, "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
)  # fmt: skip
"""By number."""
CODES_OF_HTTP = {
    400: "Internal",
    401: "Unauthenticated",
    403: "PermissionDenied",
    404: UNIMPLEMENTED,
    429: "Unavailable",
    502: "Unavailable",
    503: "Unavailable",
    504: "Unavailable",
}


class CallFailure(Exception):
    """The call came to nothing; `code` is one of `CODES`."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {description}")
        self.code = code
        self.description = description


@dataclass(slots=True)
class Reply:
    """What came back on the stream of the call."""

    headers: dict[str, str] = field(default_factory=dict)
    """Trailers included."""
    body: bytes = b""


async def check(host: str, port: int, service: str, timeout_s: float) -> Answer:
    """The probe's verdict; connecting and asking share the timeout."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    within = in_words(timeout_s)
    is_connected = False
    try:
        async with asyncio.timeout(timeout_s), _connected(host, port) as call:
            is_connected = True
            state = state_of(await call.ask(authority, request(service), timeout_s))
    except TimeoutError:
        if is_connected:
            return Answer(Result.FAILURE, f"timeout: health rpc did not complete within {within}")
        words = f'timeout: failed to connect service "{authority}" within {within}: context deadline exceeded'
        return Answer(Result.FAILURE, words)
    except CallFailure as failure:
        return Answer(Result.FAILURE, _words(failure, within))
    if state != SERVING:
        name = STATES[state] if state < len(STATES) else str(state)
        return Answer(Result.FAILURE, f'service unhealthy (responded with "{name}")')
    return Answer(Result.SUCCESS, "service healthy")


def _words(failure: CallFailure, within: str) -> str:
    if failure.code == UNIMPLEMENTED:
        lacks = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
        return f"{lacks}: {failure.description}"
    if failure.code == DEADLINE_EXCEEDED:
        return f"timeout: health rpc did not complete within {within}"
    return f"error: health rpc probe failed: {failure}"


def request(service: str) -> bytes:
    """A HealthCheckRequest, framed: not compressed, its length, the message."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def state_of(reply: Reply) -> int:
    """The number of the serving status. Raises CallFailure where there is none."""
    code, description = _outcome(reply.headers)
    if code != "OK":
        raise CallFailure(code, description)
    if len(reply.body) < FRAME_HEAD_BYTES:
        raise CallFailure("Internal", "cardinality violation: received no response message from non-streaming RPC")
    message = reply.body[FRAME_HEAD_BYTES:]
    # One field of one byte is all there is to the message; the status that is 0 is left out of it.
    return message[1] if len(message) > 1 and message[0] == 0x08 else 0


def _outcome(headers: Mapping[str, str]) -> tuple[str, str]:
    """Code and description, from the answer of a gRPC server or of any other."""
    status, kind = int(headers.get(":status", "0")), headers.get("content-type", "")
    problems = []
    if status != HTTPStatus.OK:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        problems.append(f"unexpected HTTP status code received from server: {status} ({phrase})")
    if not kind:
        problems.append("malformed header: missing HTTP content-type")
    elif not kind.startswith("application/grpc"):
        problems.append(f'transport: received unexpected content-type "{kind}"')
    if problems:
        return CODES_OF_HTTP.get(status, "Unknown"), "; ".join(problems)
    number = headers.get("grpc-status", "")
    if not number.isdigit():
        return "Internal", "server closed the stream without sending trailers"
    code = CODES[int(number)] if int(number) < len(CODES) else f"Code({number})"
    return code, unquote(headers.get("grpc-message", ""))


@asynccontextmanager
async def _connected(host: str, port: int) -> AsyncIterator[_Connection]:
    """A connection whose other side speaks HTTP/2; tried again until the caller's time is up."""
    pause_s = FIRST_RETRY_S
    while True:
        try:
            connection = _Connection(*await asyncio.open_connection(host, port))
            try:
                await connection.greet()
                break
            except BaseException:
                connection.close()
                raise
        except (OSError, CallFailure):
            await asyncio.sleep(pause_s)
            pause_s *= RETRY_FACTOR
    try:
        yield connection
    finally:
        connection.close()


class _Connection:
    """One HTTP/2 connection with one call on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._reader = reader
        self._writer = writer
        self._http: H2Connection = H2Connection(H2Configuration(header_encoding="utf-8"))

    async def greet(self) -> None:
        """Returns when the other side has said what it can. Raises OSError, CallFailure."""
        from h2.events import RemoteSettingsChanged

        self._http.initiate_connection()
        self._flush()
        while not any(isinstance(event, RemoteSettingsChanged) for event in await self._events()):
            pass

    async def ask(self, authority: str, message: bytes, timeout_s: float) -> Reply:
        """Raises CallFailure, also if the connection breaks."""
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, _headers(authority, timeout_s))
        self._http.send_data(stream, message, end_stream=True)
        self._flush()
        reply = Reply()
        try:
            while not self._take(reply, await self._events()):
                pass
        except OSError as error:
            raise CallFailure("Unavailable", f"error reading from server: {error}") from error
        return reply

    def _take(self, reply: Reply, events: list[Any]) -> bool:
        """Whether that was the end of it."""
        from h2 import events as happened

        for event in events:
            match event:
                case happened.ResponseReceived(headers=headers) | happened.TrailersReceived(headers=headers):
                    reply.headers.update({str(name): str(value) for name, value in headers})
                case happened.DataReceived(data=data):
                    reply.body += data
                case happened.StreamReset(error_code=code):
                    text = f"stream terminated by RST_STREAM with error code: {getattr(code, 'name', code)}"
                    raise CallFailure("Internal", text)
                case happened.ConnectionTerminated():
                    raise CallFailure("Unavailable", "closing transport due to: connection error: received goaway")
                case happened.StreamEnded():
                    return True
        return False

    async def _events(self) -> list[Any]:
        from h2.exceptions import ProtocolError

        data = await self._reader.read(READ_BYTES)
        if not data:
            raise CallFailure("Unavailable", "error reading from server: EOF")
        try:
            events = list(self._http.receive_data(data))
        except ProtocolError as error:
            raise CallFailure("Unavailable", f"connection error: {error}") from error
        self._flush()
        return events

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._writer.write(data)

    def close(self) -> None:
        """Nothing stays open behind a probe (N240)."""
        self._writer.transport.abort()


def _headers(authority: str, timeout_s: float) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("user-agent", USER_AGENT),
        ("te", "trailers"),
        ("grpc-timeout", f"{round(timeout_s * 1000)}m"),
    ]
