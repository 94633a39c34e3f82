"""Clients that break the rules: each gets a clean refusal or a close, memory stays bounded, others are served."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.wire.duplex import Duplex
from holdfast.wire.messages import Body, Limits, Request, Response, Streaming, Upgrade
from holdfast.wire.reader import RequestReader
from holdfast.wire.spdy import DICTIONARY, MOST_HEADER_BYTES, SpdyConnection
from holdfast.wire.websocket import WebSocket, accept_headers

HEAD = b"Host: x\r\n"
SMALL = Limits(body_bytes=1000, head_bytes=2000, headers=20)
SOON_S = 30.0
"""What a client without fault may have to wait while others misbehave, on a busy machine."""


def echo(request: Request) -> Response:
    return Response(200, b"%b %b" % (request.path.encode("latin-1"), request.body), "text/plain")


@pytest.fixture(autouse=True)
def quiet(caplog: Any) -> Any:
    """Nothing that clients do is an error of ours."""
    yield
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL", "WARNING")]


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


async def served_soon(server: Any, dial: Any) -> None:
    """Somebody else is answered meanwhile."""
    client = await dial(server)
    async with asyncio.timeout(SOON_S):
        client.send(b"GET /other HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert (await client.answer())[2] == b"/other "
    await client.close()


async def over(left: Callable[[], Any]) -> None:
    """Soon nothing is left of the clients."""
    for _ in range(3000):
        if not left():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still there: {left()}")


# -- two readings of one request

UPGRADE = b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: y\r\n\tz\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\nTransfer-Encoding: chunked\n\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\nx\r\n0\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\x00y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1junk\r\nHost: x\r\n\r\n",
        b"GET / HTTP/11\r\nHost: x\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/1.1\r\nHost: x\r\n\r\n",
        UPGRADE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        UPGRADE + b"Transfer-Encoding: identity\r\n\r\n",
        UPGRADE + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.0\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda data: repr(data)[2:-1].replace("\\r\\n", "|")[:90],
)
async def test_what_two_parsers_may_read_differently_is_refused(start: Any, dial: Any, request_bytes: bytes) -> None:
    seen: list[str] = []
    server = await start(lambda request: seen.append(request.path) or echo(request))
    client = await dial(server)
    client.send(request_bytes + SMUGGLED)
    answer = await client.read_all()
    assert "/smuggled" not in seen
    last = answer.rsplit(b"HTTP/1.1 ", 1)[-1]
    assert last[:3] in (b"400", b"417", b"501", b"505"), answer
    await served_soon(server, dial)


@pytest.mark.parametrize("target", [b"/a", b"http://x/a", b"HTTPS://x:1/a", b"http://user@x/a#f", b"/a#b"])
async def test_a_target_of_any_form_is_the_same_path(start: Any, dial: Any, target: bytes) -> None:
    client = await dial(await start(echo))
    client.send(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, HEAD))
    assert (await client.answer())[2] == b"/a "


@pytest.mark.parametrize(
    "line", [b"CONNECT x:443", b"OPTIONS *", b"GET http://", b"GET x", b"GET ///", b"GET ?x", b"M-SEARCH *", b"PURGE /"]
)
async def test_other_forms_are_answered_and_the_connection_goes_on(start: Any, dial: Any, line: bytes) -> None:
    server = await start(echo)
    client = await dial(server)
    client.send(b"%b HTTP/1.1\r\n%b\r\n" % (line, HEAD) + b"GET /next HTTP/1.1\r\n" + HEAD + b"\r\n")
    status, _, _ = await client.answer()
    if status == 200:
        assert (await client.answer())[2] == b"/next "
    else:
        assert status == 400
        assert await client.read_all() == b""
    await served_soon(server, dial)


# -- many requests at once


@pytest.mark.parametrize("extra", [b"", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"], ids=["plain", "offering h2c"])
async def test_thousands_of_pipelined_requests_are_answered_in_order(start: Any, dial: Any, extra: bytes) -> None:
    server = await start(echo)
    client = await dial(server, limit=1 << 22)
    count = 4000
    client.send(b"".join(b"GET /%d HTTP/1.1\r\n%b%b\r\n" % (number, HEAD, extra) for number in range(count)))
    for number in range(count):
        assert (await client.answer())[2] == b"/%d " % number
    await served_soon(server, dial)


async def test_an_error_in_the_middle_ends_the_pipeline_after_what_was_before_it(start: Any, dial: Any) -> None:
    client = await dial(await start(echo))
    good = b"GET /good HTTP/1.1\r\n" + HEAD + b"\r\n"
    client.send(good * 3 + b"GET /bad HTTP/1.1\r\n\r\n" + good * 3)
    for _ in range(3):
        assert (await client.answer())[0] == 200
    assert (await client.answer())[0] == 400
    assert await client.read_all() == b""


WHOLE = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;e=x\r\nhi\r\n0\r\nT: r\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi"
    b"GET /c HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
)


@pytest.mark.parametrize("rudely", [False, True], ids=["closed", "reset"])
async def test_a_connection_may_end_at_every_byte(start: Any, dial: Any, rudely: bool) -> None:
    server = await start(echo)
    for at in range(len(WHOLE)):
        client = await dial(server)
        client.send(WHOLE[:at])
        if rudely:
            client.writer.transport.abort()
        elif at % 2:
            client.writer.write_eof()
            await client.read_all()
        await client.close()
    await served_soon(server, dial)
    await over(lambda: server.connections)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                WHOLE,
                b"\r\n",
                b"GET ",
                b" HTTP/1.1\r\n",
                HEAD,
                b"0\r\n\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Length: 3\r\n",
                b"Upgrade: h2c\r\n",
                b"Connection: Upgrade\r\n",
                b"CONNECT x:1",
            ]
        ),
        max_size=12,
    )
)
def test_the_reader_survives_any_bytes(pieces: list[bytes]) -> None:
    reader = RequestReader(SMALL)
    for piece in pieces:
        if reader.refusal is None:
            reader.feed(piece)
    for request in reader.ready:
        assert request.method
        assert len(request.body) <= SMALL.body_bytes


# -- more than is allowed


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /", b"x" * 997),
        (b"GET / HTTP/1.1\r\n", b"A: %b\r\n" % (b"x" * 90)),
        (b"GET / HTTP/1.1\r\nA: ", b"x" * 997),
        (b"GET / HTTP/1.1\r\n", b"A" * 997),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: %b\r\n" % (b"x" * 90)),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"x" * 997),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 997),
    ],
    ids=["target", "headers", "a value", "a name", "chunks", "trailers", "a trailer", "a chunk extension"],
)
async def test_what_never_ends_is_cut_off_before_it_costs_memory(
    start: Any, dial: Any, head: bytes, piece: bytes
) -> None:
    server = await start(echo, limits=SMALL)
    client = await dial(server)
    before = resident_bytes()
    client.send(head)
    refused = asyncio.ensure_future(client.answer())
    sent = 0
    while sent < 16 << 20 and not refused.done():
        client.send(piece * 16)
        sent += 16 * len(piece)
        await client.writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert (await refused)[0] in (400, 413, 431)
    assert resident_bytes() - before < 32 << 20
    await served_soon(server, dial)


async def test_a_body_of_tiny_chunks_costs_little_more_than_its_bytes(start: Any, dial: Any) -> None:
    server = await start(echo)
    client = await dial(server)
    before = resident_bytes()
    client.send(b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        client.send(b"2\r\nab\r\n" * 10_000)
        await client.writer.drain()
    await served_soon(server, dial)
    assert resident_bytes() - before < 24 << 20, "two bytes of a body must not cost fifty"
    client.send(b"0\r\n\r\n")
    assert len((await client.answer())[2]) == 2 * 1_000_000 + 2


async def test_hundreds_of_idle_and_slow_clients_keep_nobody_waiting(start: Any, dial: Any) -> None:
    server = await start(echo)
    before = resident_bytes()
    clients = [await dial(server) for _ in range(400)]
    for number, client in enumerate(clients):
        client.send((b"", b"GET / HT", b"GET / HTTP/1.1\r\nA: ", WHOLE[:70])[number % 4])
    for _ in range(3):
        for client in clients[2::4]:
            client.send(b"x")
        await served_soon(server, dial)
    assert len(server.connections) >= 400
    assert resident_bytes() - before < 400 * (64 << 10)


async def test_of_too_many_idle_clients_the_longest_idle_go_and_nobody_else(start: Any, dial: Any) -> None:
    bodies: list[Body] = []

    def handler(request: Request) -> Any:
        return Streaming(200, "text/plain", (), bodies.append) if request.path == "/watch" else echo(request)

    server = await start(handler, limits=Limits(idle_connections=32))
    watching, writing, silent = await dial(server), await dial(server), await dial(server)
    watching.send(b"GET /watch HTTP/1.1\r\n" + HEAD + b"\r\n")
    await watching.read_until(b"\r\n\r\n")
    writing.send(WHOLE[:30])
    spoken = [await dial(server) for _ in range(20)]
    for client in spoken:
        client.send(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
        await client.answer()
    for _ in range(3):
        flood = [await dial(server) for _ in range(40)]
        await over(lambda: len(server.connections) > 32 + 3)
    assert await silent.reader.read() == b""
    assert not flood[-1].reader.at_eof()
    for client in spoken:
        assert not client.reader.at_eof(), "whoever never asked goes first"
    bodies[0].write(b"still there")
    assert b"still there" in await watching.read_until(b"still there")
    writing.send(WHOLE[30:])
    assert (await writing.answer())[0] == 200


async def test_a_dribbled_request_is_dropped_at_its_deadline_however_busy(
    start: Any, dial: Any, monkeypatch: Any
) -> None:
    """Bytes that come are no reason to wait longer."""
    monkeypatch.setattr("holdfast.wire.http.SWEEP_S", 0.02)
    server = await start(echo, limits=Limits(head_s=0.2, body_s=0.2))
    for head, drop in (
        (b"GET / HTTP/1.1\r\nA: ", b"x"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"x"),
    ):
        client = await dial(server)
        client.send(head)
        async with asyncio.timeout(60):
            while not client.reader.at_eof() and client.reader.exception() is None:
                client.send(drop)
                await asyncio.sleep(0.01)


async def test_a_client_that_never_reads_its_stream_holds_nothing_up(start: Any, dial: Any) -> None:
    bodies: list[Body] = []

    def handler(request: Request) -> Any:
        if request.path == "/watch":
            return Streaming(200, "application/json", (), bodies.append)
        return echo(request)

    server = await start(handler)
    for _ in range(20):
        client = await dial(server)
        client.send(b"GET /watch HTTP/1.1\r\n" + HEAD + b"\r\n")
        await client.read_until(b"\r\n\r\n")
        client.writer.transport.pause_reading()
    before = resident_bytes()
    for _ in range(500):
        for body in bodies:
            if not body.paused:
                body.write(b"x" * 10_000)
        await asyncio.sleep(0)
    assert all(body.paused for body in bodies)
    assert resident_bytes() - before < 64 << 20
    await served_soon(server, dial)


# -- beyond HTTP

ASK_WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ASK_SPDY = b"POST /spdy HTTP/1.1\r\nHost: x\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n"


class Upgrading:
    """Reads messages, or streams, and throws them away."""

    def __init__(self, *, reads_streams: bool = True) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: list[Any] = []
        self.transports: list[asyncio.Transport] = []
        self.received = 0
        self._reads_streams = reads_streams

    def __call__(self, request: Request) -> Any:
        if request.path == "/ws":
            return Upgrade(accept_headers(request), self._websocket)
        if request.path == "/spdy":
            return Upgrade((("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade")), self._spdy)
        return echo(request)

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _websocket(self, transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        self.transports.append(transport)
        duplex = Duplex(transport, received)
        socket = WebSocket(duplex)
        self.connections.append(socket)

        async def read() -> None:
            while (message := await socket.receive()) is not None:
                self.received += len(message)
            socket.end()

        self._run(read())
        return duplex

    def _spdy(self, transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        self.transports.append(transport)
        duplex = Duplex(transport, received)

        def opened(stream: Any) -> None:
            async def read() -> None:
                while data := await stream.read():
                    self.received += len(data)

            if self._reads_streams:
                self._run(read())

        connection = SpdyConnection(duplex, opened)
        self.connections.append(connection)
        self._run(connection.run())
        return duplex


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    first = opcode | (0x80 if final else 0)
    if len(payload) < 126:
        return bytes([first, 0x80 | len(payload)]) + b"\0\0\0\0" + payload
    return bytes([first, 0x80 | 127]) + struct.pack(">Q", len(payload)) + b"\0\0\0\0" + payload


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80030000 | kind, flags << 24 | len(body)) + body


FLOODS = {
    "pings in a WebSocket": (ASK_WEBSOCKET, frame(9, b"x" * 125) * 100),
    "empty fragments": (ASK_WEBSOCKET + frame(2, b"a", final=False), frame(0, b"", final=False) * 2000),
    "tiny messages": (ASK_WEBSOCKET, frame(2, b"a") * 2000),
    "unasked pongs": (ASK_WEBSOCKET, frame(10, b"x" * 125) * 100),
    "pings in SPDY": (ASK_SPDY, control(6, struct.pack(">I", 1)) * 1000),
    "data for no stream": (ASK_SPDY, (struct.pack(">II", 9, 1) + b"x") * 1000),
    "resets of no stream": (ASK_SPDY, control(3, struct.pack(">II", 9, 5)) * 1000),
    "settings": (ASK_SPDY, control(4, b"\0" * 8) * 1000),
    "headers for the wrong side": (ASK_SPDY, None),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_that_is_never_read_from_costs_no_memory(start: Any, dial: Any, name: str) -> None:
    upgrading = Upgrading()
    server = await start(upgrading)
    client = await dial(server)
    ask, piece = FLOODS[name]
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    client.send(ask)
    await client.read_until(b"\r\n\r\n")
    client.writer.transport.pause_reading()
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before = resident_bytes()
    for _ in range(600):
        if piece is None:
            blocks = [deflate.compress(b"\0\0\0\0") + deflate.flush(zlib.Z_SYNC_FLUSH) for _ in range(1000)]
            client.send(b"".join(control(1, struct.pack(">IIBB", 2, 0, 0, 0) + block) for block in blocks))
        else:
            client.send(piece)
        try:
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        except (TimeoutError, ConnectionError):
            break  # it does not take more, or has closed
    await served_soon(server, dial)
    assert upgrading.transports[0].get_write_buffer_size() < 1 << 20
    assert resident_bytes() - before < 48 << 20
    parts = getattr(upgrading.connections[0], "_parts", [])
    assert len(parts) < 10
    client.writer.transport.abort()


@pytest.mark.parametrize(
    "data",
    [
        frame(2, b"") + bytes([0x82, 0xFF]) + struct.pack(">Q", (1 << 63) - 1) + b"\0\0\0\0" + b"x" * (2 << 20),
        bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 63) + b"\0\0\0\0",
        b"\x82\x01x",
        frame(3, b"x"),
        frame(9, b"x" * 126),
        frame(9, b"x", final=False),
        frame(0, b"x"),
        frame(1, b"\xff\xfe"),
        frame(8, b"\x03"),
        frame(8, struct.pack(">H", 999)),
        frame(8, struct.pack(">H", 1000) + b"\xff"),
        frame(0x42, b"x"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=[
        "a giant",
        "a length below zero",
        "unmasked",
        "an unknown kind",
        "a long ping",
        "half a ping",
        "a continuation of nothing",
        "broken text",
        "half a code",
        "a wrong code",
        "a broken reason",
        "a reserved bit",
        "HTTP",
    ],
)
async def test_a_frame_against_the_rules_ends_its_connection_alone(start: Any, dial: Any, data: bytes) -> None:
    upgrading = Upgrading()
    server = await start(upgrading)
    client = await dial(server)
    client.send(ASK_WEBSOCKET + data)
    await client.read_until(b"\r\n\r\n")
    client.writer.write_eof()
    assert len(await client.read_all()) < 200
    await served_soon(server, dial)


def zipped(plain: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)


def opening(block: bytes) -> bytes:
    return control(1, struct.pack(">IIBB", 1, 0, 0, 0) + block)


@pytest.mark.parametrize(
    "data",
    [
        opening(zipped(b"\0\0\0\1" + struct.pack(">I", 50 << 20) + b"a" * (50 << 20))),
        opening(
            zipped(
                b"\0\0\0\1"
                + struct.pack(">I", 1)
                + b"a"
                + struct.pack(">I", MOST_HEADER_BYTES)
                + b"a" * MOST_HEADER_BYTES
            )
        ),
        opening(zipped(b"\xff\xff\xff\xff")),
        opening(zipped(b"\0\0\0\2" + b"\0\0\0\1a" * 3)),
        opening(b"not zlib"),
        opening(b""),
        opening(zlib.compress(b"another dictionary")),
        control(1, b"\0"),
        control(3, b"\0"),
        control(6, b""),
        struct.pack(">II", 0x80020001, 4) + b"\0\0\0\0",
        struct.pack(">II", 0x80030001, 0xFFFFFF),
        b"\xff" * 64,
    ],
    ids=[
        "a bomb",
        "a small bomb",
        "a count that lies",
        "an odd number of texts",
        "no zlib",
        "nothing",
        "another dictionary",
        "half an opening",
        "half a reset",
        "half a ping",
        "version 2",
        "a giant",
        "noise",
    ],
)
async def test_spdy_against_the_rules_ends_its_connection_alone(start: Any, dial: Any, data: bytes) -> None:
    upgrading = Upgrading()
    server = await start(upgrading)
    client = await dial(server)
    before = resident_bytes()
    client.send(ASK_SPDY + data)
    await client.read_until(b"\r\n\r\n")
    assert len(await client.read_all()) < 200
    assert resident_bytes() - before < 32 << 20
    await served_soon(server, dial)


async def test_streams_that_nobody_reads_cost_no_more_than_one_connection_may(start: Any, dial: Any) -> None:
    """Each a little, and thousands of them."""
    upgrading = Upgrading(reads_streams=False)
    server = await start(upgrading)
    client = await dial(server)
    client.send(ASK_SPDY)
    await client.read_until(b"\r\n\r\n")
    before = resident_bytes()
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    for number in range(200):
        block = deflate.compress(b"\0\0\0\0") + deflate.flush(zlib.Z_SYNC_FLUSH)
        stream_id = 2 * number + 1
        client.send(control(1, struct.pack(">IIBB", stream_id, 0, 0, 0) + block))
        client.send(struct.pack(">II", stream_id, 900_000) + b"x" * 900_000)
        try:
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        except (TimeoutError, ConnectionError):
            break
    await served_soon(server, dial)
    assert resident_bytes() - before < 32 << 20
    client.writer.transport.abort()


@pytest.mark.parametrize("ask", [ASK_WEBSOCKET, ASK_SPDY], ids=["websocket", "spdy"])
async def test_an_upgraded_connection_may_end_at_any_moment(start: Any, dial: Any, ask: bytes) -> None:
    upgrading = Upgrading()
    server = await start(upgrading)
    tail = frame(2, b"hello") if ask is ASK_WEBSOCKET else opening(zipped(b"\0\0\0\0"))
    for at in range(len(ask), len(ask) + len(tail) + 1):
        for half in (False, True):
            client = await dial(server)
            client.send((ask + tail)[:at])
            if half:
                client.writer.write_eof()
                await client.read_all()
            else:
                client.writer.transport.abort()
    await served_soon(server, dial)
    await over(lambda: upgrading.tasks or server.connections)
