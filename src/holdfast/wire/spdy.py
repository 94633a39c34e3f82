"""SPDY/3.1 as Kubernetes' clients speak it (A176-A182): streams over one connection, no flow control, no priorities.

`Session` is the framing without I/O, `SpdyConnection` runs one over a byte stream.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from .duplex import ByteStream
from .pipe import Pipe


class Kind(IntEnum):
    """Of a control frame; others are passed over."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    PING = 6
    GOAWAY = 7
    HEADERS = 8


PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6

FIN = 1
SLICE_BYTES = 32 << 10
"""The most data that is sent in one frame."""
MOST_CONTROL_BYTES = 1 << 20
MOST_HEADER_BYTES = 16 << 10
"""Of one header block, decompressed. Kubernetes' have some hundred, and every open stream keeps its own."""
MOST_STREAMS = 2000
MOST_WAITING_BYTES = 128 << 10
"""Of one stream, before the whole connection has to wait for its reader."""

# A180: the words of the dictionary, each with its length in front; then text without lengths.
_PLAIN_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_WORDS = [*_PLAIN_WORDS.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _TEXT.encode()


class ProtocolError(Exception):
    """The other side does not speak SPDY/3.1: the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Opened:
    stream_id: int
    headers: Mapping[str, str]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Replied:
    stream_id: int


@dataclass(frozen=True, slots=True)
class Data:
    stream_id: int
    data: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Pinged:
    id: int


@dataclass(frozen=True, slots=True)
class GoingAway:
    last_stream_id: int


Event = Opened | Replied | Data | Reset | Pinged | GoingAway


class Session:
    """Frames of both directions; every method but `feed` returns bytes to send, in the order of the calls."""

    def __init__(self, *, is_client: bool = False) -> None:
        self._next_id = 1 if is_client else 2
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
        self._received = bytearray()
        self._data_left = 0
        self._data_stream = 0
        self._data_is_last = False

    def feed(self, data: bytes) -> list[Event]:
        """What the bytes complete; data frames are passed on in the pieces in which they come. Raises ProtocolError."""
        events: list[Event] = []
        buffer = self._received
        buffer += data
        at = 0
        while True:
            if self._data_left:
                piece = bytes(buffer[at : at + self._data_left])
                if not piece:
                    break
                at += len(piece)
                self._data_left -= len(piece)
                events.append(Data(self._data_stream, piece, self._data_is_last and not self._data_left))
                continue
            if len(buffer) - at < 8:
                break
            first, second = struct.unpack_from(">II", buffer, at)
            flags, length = second >> 24, second & 0xFFFFFF
            if first & 0x80000000:
                if length > MOST_CONTROL_BYTES:
                    raise ProtocolError(f"control frame of {length} bytes")
                if len(buffer) - at < 8 + length:
                    break
                body = bytes(buffer[at + 8 : at + 8 + length])
                at += 8 + length
                if event := self._control(first, flags, body):
                    events.append(event)
            else:
                at += 8
                self._data_stream, self._data_left, self._data_is_last = first, length, bool(flags & FIN)
                if not length:
                    events.append(Data(first, b"", self._data_is_last))
        del buffer[:at]
        return events

    def _control(self, first: int, flags: int, body: bytes) -> Event | None:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != 3:
            raise ProtocolError(f"SPDY version {version}")
        try:
            match kind:
                case Kind.SYN_STREAM:
                    (stream_id,) = struct.unpack_from(">I", body)
                    return Opened(stream_id & 0x7FFFFFFF, self._headers(body[10:]), bool(flags & FIN))
                case Kind.SYN_REPLY:
                    self._headers(body[4:])
                    return Replied(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
                case Kind.RST_STREAM:
                    stream_id, status = struct.unpack(">II", body)
                    return Reset(stream_id & 0x7FFFFFFF, status)
                case Kind.PING:
                    return Pinged(struct.unpack(">I", body)[0])
                case Kind.GOAWAY:
                    return GoingAway(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
                case Kind.HEADERS:
                    self._headers(body[4:])  # of no use, but it moves the compression on
        except (struct.error, zlib.error, IndexError) as error:
            raise ProtocolError(f"malformed control frame {kind}: {error}") from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        """One header block; the compression goes on from block to block."""
        plain = self._inflate.decompress(block, MOST_HEADER_BYTES)
        if self._inflate.unconsumed_tail:
            raise ProtocolError("header block too large")
        (count,) = struct.unpack_from(">I", plain)
        at = 4
        texts = []
        for _ in range(2 * min(count, len(plain))):
            (size,) = struct.unpack_from(">I", plain, at)
            if at + 4 + size > len(plain):
                raise ProtocolError("truncated header block")
            texts.append(plain[at + 4 : at + 4 + size].decode("utf-8", "replace"))
            at += 4 + size
        return {name.lower(): value.replace("\0", ", ") for name, value in zip(texts[::2], texts[1::2], strict=True)}

    def _block(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for pair in headers.items():
            for text in pair:
                encoded = text.encode()
                plain += struct.pack(">I", len(encoded)) + encoded
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def open(self, headers: Mapping[str, str], *, is_last: bool = False) -> tuple[int, bytes]:
        """A new stream's id, and SYN_STREAM."""
        stream_id = self._next_id
        self._next_id += 2
        lower = {name.lower(): value for name, value in headers.items()}
        body = struct.pack(">IIBB", stream_id, 0, 0, 0) + self._block(lower)
        return stream_id, _control_frame(Kind.SYN_STREAM, body, FIN if is_last else 0)

    def reply(self, stream_id: int) -> bytes:
        return _control_frame(Kind.SYN_REPLY, struct.pack(">I", stream_id) + self._block({}))

    @staticmethod
    def data(stream_id: int, data: bytes, *, is_last: bool = False) -> bytes:
        return struct.pack(">II", stream_id, (FIN << 24 if is_last else 0) | len(data)) + data

    @staticmethod
    def reset(stream_id: int, status: int) -> bytes:
        return _control_frame(Kind.RST_STREAM, struct.pack(">II", stream_id, status))

    @staticmethod
    def ping(id: int) -> bytes:
        return _control_frame(Kind.PING, struct.pack(">I", id))

    @staticmethod
    def go_away(last_stream_id: int, status: int = 0) -> bytes:
        return _control_frame(Kind.GOAWAY, struct.pack(">II", last_stream_id, status))


def _control_frame(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80030000 | kind, flags << 24 | len(body)) + body


class SpdyStream:
    """One stream of a connection: reading and writing end independently."""

    def __init__(self, connection: SpdyConnection, stream_id: int, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self.id = stream_id
        self.headers = headers
        self.is_reset = False
        """The other side has given it up."""
        self.incoming = Pipe(MOST_WAITING_BYTES)
        self._sent_end = False

    async def read(self) -> bytes:
        """What has arrived, at least one byte; none at the end."""
        return await self.incoming.get()

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more. Raises ConnectionError once the stream or the connection has ended."""
        for at in range(0, len(data), SLICE_BYTES):
            if self._sent_end or self.is_reset:
                raise ConnectionResetError(f"stream {self.id} is closed")
            await self._connection.stream.write(Session.data(self.id, data[at : at + SLICE_BYTES]))

    def end(self) -> None:
        """No more is written."""
        if not self._sent_end:
            self._sent_end = True
            if not self.is_reset:
                self._connection.stream.write_now(Session.data(self.id, b"", is_last=True))
            self._connection.forget_if_over(self)

    def reset(self, status: int = CANCEL) -> None:
        """Gives the stream up in both directions."""
        if not self.is_over:
            self._connection.stream.write_now(Session.reset(self.id, status))
            self.lose()
            self._connection.forget_if_over(self)

    @property
    def is_over(self) -> bool:
        return self.incoming.has_ended and self._sent_end

    def lose(self) -> None:
        """The connection's: nothing goes or comes any more."""
        self.is_reset = self._sent_end = True
        self.incoming.end()


class SpdyConnection:
    """Runs a session over a byte stream; `opened` is called with each stream that the other side opens."""

    def __init__(
        self, stream: ByteStream, opened: Callable[[SpdyStream], None] | None = None, *, is_client: bool = False
    ) -> None:
        self.stream = stream
        self._session = Session(is_client=is_client)
        self._opened = opened
        self._is_client = is_client
        self._streams: dict[int, SpdyStream] = {}
        self._last_id = 0
        self.is_over = False

    async def run(self) -> None:
        """Reads until the connection ends or is not SPDY; then every stream has ended."""
        self.stream.on_end(self._let_go)
        try:
            while data := await self.stream.read():
                for event in self._session.feed(data):
                    await self._take(event)
        except ProtocolError:
            self.stream.write_now(Session.go_away(self._last_id, 1))
            self.stream.close()
        finally:
            self.is_over = True
            for stream in tuple(self._streams.values()):
                stream.lose()
            self._streams.clear()

    def _let_go(self) -> None:
        """The other side has gone: do not wait any longer for those who do not read."""
        for stream in self._streams.values():
            if stream.incoming.is_full:
                stream.incoming.end()

    async def _take(self, event: Event) -> None:
        match event:
            case Opened():
                await self._take_stream(event)
            case Data():
                if stream := self._streams.get(event.stream_id):
                    await stream.incoming.put(event.data)
                    if event.is_last:
                        stream.incoming.end()
                    self.forget_if_over(stream)
            case Reset():
                if stream := self._streams.pop(event.stream_id, None):
                    stream.lose()
            case Pinged():
                if event.id % 2 != self._is_client:  # ours come back: those are answers
                    await self._answer(Session.ping(event.id))

    async def _answer(self, frame: bytes) -> None:
        """Whoever does not read the answers is not read from."""
        with contextlib.suppress(ConnectionError):
            await self.stream.write(frame)

    async def _take_stream(self, event: Opened) -> None:
        if event.stream_id <= self._last_id or event.stream_id % 2 == self._is_client:
            await self._answer(Session.reset(event.stream_id, PROTOCOL_ERROR))
        elif self._opened is None or len(self._streams) >= MOST_STREAMS:
            await self._answer(Session.reset(event.stream_id, REFUSED_STREAM))
        else:
            self._last_id = event.stream_id
            stream = self._streams[event.stream_id] = SpdyStream(self, event.stream_id, event.headers)
            if event.is_last:
                stream.incoming.end()
            # A181: at once, since clients drop what arrives before it.
            await self._answer(self._session.reply(event.stream_id))
            self._opened(stream)

    def open(self, headers: Mapping[str, str]) -> SpdyStream:
        """A new stream of ours."""
        stream_id, frame = self._session.open(headers)
        stream = self._streams[stream_id] = SpdyStream(self, stream_id, headers)
        self.stream.write_now(frame)
        return stream

    def forget_if_over(self, stream: SpdyStream) -> None:
        if stream.is_over:
            self._streams.pop(stream.id, None)

    def go_away(self) -> None:
        """Tells the other side, behind everything written, that it may close."""
        self.stream.write_now(Session.go_away(self._last_id))
