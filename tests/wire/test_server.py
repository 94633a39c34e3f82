"""The server's side of a connection, driven by raw bytes on both event loops."""

from __future__ import annotations

import asyncio
import socket
import struct
from unittest.mock import patch

import pytest

from holdfast.wire.connection import Connection
from holdfast.wire.http import Body, Limits, Request, Response, Streaming, Upgrade, chunk


def echo(request: Request) -> Response:
    text = f"{request.method} {request.path}?{request.query} ".encode() + request.body
    return Response(200, text, "text/plain")


async def test_answers_one_request_after_the_other_on_one_connection(start, dial):
    client = await dial(await start(echo))
    for n in range(3):
        client.send(b"GET /%d?a=%%20b HTTP/1.1\r\nHost: x\r\n\r\n" % n)
        status, headers, body = await client.answer()
        assert (status, body) == (200, b"GET /%d?a=%%20b " % n)
        assert headers["content-type"] == "text/plain"
        assert "connection" not in headers


async def test_pipelined_requests_are_answered_in_order_though_the_first_takes_longest(start, dial):
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return echo(request)

    client = await dial(await start(lambda r: slow(r) if r.path == "/slow" else echo(r)))
    client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [(await client.answer())[2] for _ in range(3)] == [b"GET /slow? ", b"POST /a? hi", b"GET /b? "]


@pytest.mark.parametrize("size", [1, 7, 30])
async def test_a_request_may_arrive_in_pieces_of_any_size(start, dial, size):
    client = await dial(await start(echo))
    data = b"PUT /long/path?q=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello" * 2
    for at in range(0, len(data), size):
        client.send(data[at : at + size])
        await asyncio.sleep(0)
    assert [(await client.answer())[2] for _ in range(2)] == [b"PUT /long/path?q=1 hello"] * 2


async def test_repeated_headers_are_joined_and_names_are_lower_case(start, dial):
    seen: list[Request] = []
    client = await dial(await start(lambda r: seen.append(r) or echo(r)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Stream-Protocol-Version: a\r\nX-STREAM-protocol-version:  b \r\n\r\n")
    await client.answer()
    assert seen[0].headers == {"host": "x", "x-stream-protocol-version": "a, b"}


async def test_a_chunked_body_is_put_together(start, dial):
    client = await dial(await start(echo))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n3\r\nyou\r\n")
    client.send(b"0\r\nTrailer: t\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer())[2] == b"POST /? hiyou"
    assert (await client.answer())[2] == b"GET /next? "


@pytest.mark.parametrize(
    "target",
    [b"http://host:1/p?q", b"/p?q#fragment"],
)
async def test_every_form_of_target_gives_path_and_query(start, dial, target):
    client = await dial(await start(echo))
    client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    assert (await client.answer())[2] == b"GET /p?q "


async def test_head_gets_the_head_alone(start, dial):
    client = await dial(await start(echo))
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await client.read_until(b"\r\n\r\n")
    assert b"Content-Length: 8\r\n" in head
    assert (await client.answer())[2] == b"GET /? "


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_body_has_no_length(start, dial, status):
    client = await dial(await start(lambda r: Response(status)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length" not in await client.read_until(b"\r\n\r\n")


async def test_expect_continue_is_answered_before_the_body_comes(start, dial):
    client = await dial(await start(echo))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hi")
    assert (await client.answer())[2] == b"POST /? hi"


async def test_expect_continue_is_not_answered_when_the_body_is_already_there(start, dial):
    client = await dial(await start(echo))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi")
    assert (await client.answer())[2] == b"POST /? hi"


LIMITS = Limits(body_bytes=100, head_bytes=500, headers=10)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"Content-Length: 101\r\n\r\n", id="by its length"),
        pytest.param(b"Content-Length: 101\r\nExpect: 100-continue\r\n\r\n", id="before it is sent"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n60\r\n%b\r\n60\r\n%b" % (b"x" * 96, b"x" * 96), id="chunked"),
    ],
)
async def test_a_body_over_the_limit_is_refused_by_the_owner_and_the_connection_closed(start, dial, request_bytes):
    def too_large(request: Request) -> Response:
        return Response(413, request.path.encode(), "text/plain")

    client = await dial(await start(echo, limits=LIMITS, too_large=too_large))
    client.send(b"POST /big HTTP/1.1\r\nHost: x\r\n" + request_bytes)
    status, headers, body = await client.answer()
    assert (status, headers["connection"], body) == (413, "close", b"/big")
    assert await client.read_all() == b""


async def test_a_refused_client_that_goes_on_sending_can_still_read_the_answer(start, dial):
    client = await dial(await start(echo, limits=LIMITS))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
    for _ in range(40):
        client.send(b"x" * 100_000)
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 413


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (431, b"GET / HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"x" * 500)),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10 + b"\r\n"),
        (431, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 500)),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nab"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nab"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\nHost: x\n\n"),
        (400, b"NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nab"),
        (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 2\r\n\r\nab"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ],
)
async def test_what_cannot_be_trusted_is_refused_and_the_connection_closed(start, dial, status, data):
    seen: list[Request] = []
    client = await dial(await start(lambda r: seen.append(r) or echo(r), limits=LIMITS))
    client.send(data)
    assert (await client.answer())[0] == status
    assert await client.read_all() == b""
    assert not seen


async def test_a_malformed_request_behind_a_good_one_is_refused_after_the_good_answer(start, dial):
    client = await dial(await start(echo))
    client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nBROKEN\r\n\r\n")
    assert (await client.answer())[2] == b"GET /a? "
    assert (await client.answer())[0] == 400
    assert await client.read_all() == b""


async def test_a_head_that_is_dribbled_is_limited_too(start, dial):
    client = await dial(await start(echo, limits=LIMITS))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
    for _ in range(60):
        client.send(b"x" * 10)
        await asyncio.sleep(0.001)
    assert (await client.answer())[0] == 431


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "no further request"],
)
async def test_a_client_that_dawdles_is_dropped(start, dial, data):
    limits = Limits(head_s=0.05, body_s=0.05, idle_s=0.05)
    with patch("holdfast.wire.http.SWEEP_S", 0.02):
        client = await dial(await start(echo, limits=limits))
        client.send(data)
        await client.read_all()


async def test_a_quiet_stream_is_never_dropped(start, dial):
    bodies: list[Body] = []
    limits = Limits(head_s=0.3, body_s=0.3, idle_s=0.3, stalled_s=0.3)
    with patch("holdfast.wire.http.SWEEP_S", 0.01):
        server = await start(lambda r: Streaming(200, "text/plain", (), bodies.append), limits=limits)
        client = await dial(server)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.read_until(b"\r\n\r\n")
        await asyncio.sleep(1)
        bodies[0].write(b"still here")
        bodies[0].end()
        assert b"still here" in await client.read_until(b"0\r\n\r\n")


async def test_http_1_0_gets_an_unframed_stream_that_ends_with_the_connection(start, dial):
    def go(body: Body) -> None:
        body.write(b"one ")
        body.write_raw(chunk(b"two ") + chunk(b"three"))
        body.end()

    client = await dial(await start(lambda r: Streaming(200, "text/plain", (), go)))
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    head, _, body = (await client.read_all()).partition(b"\r\n\r\n")
    assert body == b"one two three"
    assert b"chunked" not in head
    assert b"Connection: close" in head


@pytest.mark.parametrize(("asks", "closed"), [(b"", True), (b"Connection: keep-alive\r\n", False)])
async def test_http_1_0_closes_unless_asked_to_stay(start, dial, asks, closed):
    client = await dial(await start(echo))
    client.send(b"GET / HTTP/1.0\r\n" + asks + b"\r\n")
    _, headers, _ = await client.answer()
    assert headers["connection"] == ("close" if closed else "keep-alive")
    if closed:
        assert await client.read_all() == b""


async def test_a_stream_is_chunked_and_the_connection_serves_on_after_its_end(start, dial):
    def go(body: Body) -> None:
        body.write(b"hello")
        body.write(b"")
        body.write_raw(chunk(b" world"))
        body.end()
        body.write(b"never")

    stream = Streaming(200, "application/json", (("Cache-Control", "no-cache, private"),), go)
    client = await dial(await start(lambda r: stream if r.path == "/s" else echo(r)))
    client.send(b"GET /s HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    _, headers, body = await client.answer()
    assert (headers["cache-control"], body) == ("no-cache, private", b"hello world")
    assert (await client.answer())[2] == b"GET /next? "


async def test_an_aborted_stream_cannot_be_taken_for_complete(start, dial):
    def go(body: Body) -> None:
        body.write(b"half")
        asyncio.get_running_loop().call_later(0.01, body.abort)

    client = await dial(await start(lambda r: Streaming(200, "text/plain", (), go)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not (await client.read_all()).endswith(b"0\r\n\r\n")


async def test_a_stream_hears_that_its_client_has_gone(start, dial):
    gone = asyncio.Event()

    def go(body: Body) -> None:
        body.on_close(gone.set)

    client = await dial(await start(lambda r: Streaming(200, "text/plain", (), go)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.read_until(b"\r\n\r\n")
    await client.close()
    await asyncio.wait_for(gone.wait(), 2)


async def test_a_client_that_does_not_read_pauses_its_stream_and_resumes_it(start, dial):
    bodies: list[Body] = []
    resumed = asyncio.Event()

    def go(body: Body) -> None:
        bodies.append(body)
        body.on_resume(resumed.set)

    client = await dial(await start(lambda r: Streaming(200, "text/plain", (), go)), limit=1 << 14)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.read_until(b"\r\n\r\n")
    sent = 0
    while not bodies[0].paused:
        bodies[0].write(b"x" * 65536)
        sent += 65536
        await asyncio.sleep(0)
        assert sent < 64 << 20
    await asyncio.sleep(0.02)
    assert not resumed.is_set()
    reading = asyncio.ensure_future(_drain(client))
    await asyncio.wait_for(resumed.wait(), 60)
    assert not bodies[0].paused
    bodies[0].end()
    reading.cancel()


async def _drain(client) -> None:
    while await client.reader.read(1 << 16):
        pass


async def test_a_task_is_cancelled_when_its_client_goes_away(start, dial):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    server = await start(wait)
    client = await dial(server)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(begun.wait(), 60)
    # With a reset: a mere end of file might be a client that half-closed and waits.
    linger = struct.pack("ii", 1, 0)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.writer.transport.abort()
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_a_half_closed_client_gets_the_answers_it_asked_for(start, dial):
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return echo(request)

    client = await dial(await start(slow))
    client.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    client.writer.write_eof()
    answers = await client.read_all()
    assert b"GET /1" in answers
    assert b"GET /2" in answers


async def test_reading_stops_while_a_client_pipelines_behind_a_slow_request(start, dial):
    release = asyncio.Event()

    async def wait(request: Request) -> Response:
        await release.wait()
        return Response(200, b"")

    server = await start(wait)
    client = await dial(server)
    request = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 2000)
    client.send(request * 3000)
    await asyncio.sleep(0.1)
    (connection,) = server.connections
    assert connection._backlog_bytes < 1 << 20
    release.set()
    for _ in range(3000):
        assert (await client.answer())[0] == 200


async def test_answers_wait_while_a_pipelining_client_does_not_read(start, dial):
    calls = 0

    def big(request: Request) -> Response:
        nonlocal calls
        calls += 1
        return Response(200, b"x" * 60_000)

    client = await dial(await start(big), limit=1 << 12)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
    await asyncio.sleep(0.2)
    assert calls < 1000
    for _ in range(2000):
        assert len((await client.answer())[2]) == 60_000
    assert calls == 2000


async def test_a_large_body_arrives_whole_at_a_client_that_reads_slowly(start, dial):
    whole = bytes(range(256)) * 40_000
    client = await dial(await start(lambda r: Response(200, whole)), limit=1 << 14)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    for _ in range(2):
        await asyncio.sleep(0.01)
        assert (await client.answer())[2] == whole


async def test_a_client_that_never_reads_its_answer_is_dropped(start, dial):
    limits = Limits(stalled_s=0.5)
    with patch("holdfast.wire.http.SWEEP_S", 0.02):
        server = await start(lambda r: Response(200, b"x" * (32 << 20)), limits=limits)
        client = await dial(server, limit=1 << 12)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.read_until(b"\r\n\r\n")
        for _ in range(2000):
            await asyncio.sleep(0.02)
            if not server.connections:
                break
        assert not server.connections


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_that_raises_is_answered_by_the_owner(start, dial, asynchronous, caplog):
    def broken(request: Request) -> Response:
        raise RuntimeError("boom")

    async def broken_later(request: Request) -> Response:
        await asyncio.sleep(0)
        raise RuntimeError("boom")

    def failed(request: Request, error: Exception) -> Response:
        return Response(500, f"{request.path} {error}".encode())

    client = await dial(await start(broken_later if asynchronous else broken, failed=failed))
    client.send(b"GET /p HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    for _ in range(2):
        status, _, body = await client.answer()
        assert (status, body) == (500, b"/p boom")
    assert "request failed: GET /p" in caplog.text


async def test_a_line_break_in_a_header_value_cannot_make_another_header(start, dial):
    client = await dial(await start(lambda r: Response(200, headers=(("Warning", "a\r\nSet-Cookie: b"), ("X", "y")))))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _, headers, _ = await client.answer()
    assert headers["warning"] == "a Set-Cookie: b"
    assert "set-cookie" not in headers


class Echo(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())


def upgrade(request: Request) -> Upgrade:
    def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        transport.write(b"<" + received + b">")
        return Echo(transport)

    return Upgrade((("Connection", "Upgrade"), ("Upgrade", request.upgrade)), begin)


@pytest.mark.parametrize("name", [b"websocket", b"SPDY/3.1"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_upgrade_hands_over_the_connection_and_what_was_received(start, dial, name, asynchronous):
    async def later(request: Request) -> Upgrade:
        await asyncio.sleep(0.02)
        return upgrade(request)

    client = await dial(await start(later if asynchronous else upgrade))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %b\r\n\r\nearly" % name)
    await asyncio.sleep(0.01)
    head = await client.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert await client.read_until(b">") == b"<early>"
    client.send(b"later!")
    assert await client.read_until(b"!") == b"LATER!"


async def test_a_refused_upgrade_leaves_http_as_it_was(start, dial):
    client = await dial(await start(echo))
    ask = b"GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    client.send(ask + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n" + ask)
    assert [(await client.answer())[2] for _ in range(3)] == [b"GET /u? ", b"GET /next? ", b"GET /u? "]


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"", b""),
        (b"Content-Length: 4\r\n", b"body"),
        (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
    ],
)
async def test_an_upgrade_to_anything_else_is_plain_http_with_its_body(start, dial, framing, sent):
    client = await dial(await start(echo))
    head = (
        b"POST /h2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + framing + b"\r\n"
    )
    client.send((head + sent) * 2)
    for _ in range(2):
        assert (await client.answer())[2] == b"POST /h2? " + (b"body" if sent else b"")


async def test_an_upgrade_that_nobody_asked_for_is_an_error(start, dial):
    client = await dial(await start(upgrade))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer())[0] == 500


async def test_closing_lets_answers_finish_and_ends_streams_and_idle_connections(start, dial):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await asyncio.sleep(0.05)
        return echo(request)

    def handler(request: Request):
        if request.path == "/s":
            return Streaming(200, "text/plain", (), lambda body: body.on_close(ended.set))
        return slow(request)

    server = await start(handler)
    idle, busy, stream = await dial(server), await dial(server), await dial(server)
    busy.send(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
    stream.send(b"GET /s HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.read_until(b"\r\n\r\n")
    await asyncio.wait_for(begun.wait(), 60)
    await server.close(deadline_s=60)
    assert ended.is_set()
    status, headers, body = await busy.answer()
    assert (status, headers["connection"], body) == (200, "close", b"GET /busy? ")
    assert await idle.read_all() == b""
    assert await stream.read_all() == b""
    assert not server.connections


async def test_closing_does_not_wait_for_ever(start, dial):
    async def never(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response(200)

    server = await start(never)
    client = await dial(server)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.02)
    await server.close(deadline_s=0.02)
    assert await client.read_all() == b""


async def test_a_small_answer_costs_one_write_and_no_task(start, dial):
    server = await start(echo)
    client = await dial(server)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.answer()
    (connection,) = server.connections
    real, writes = connection._transport, []

    class Counting:
        def write(self, data: bytes) -> None:
            writes.append(data)
            real.write(data)

        def __getattr__(self, name: str):
            return getattr(real, name)

    connection._transport = Counting()
    with patch.object(Connection, "_await", side_effect=AssertionError("a task")):
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        for _ in range(5):
            await client.answer()
    assert len(writes) == 5


async def test_the_first_bytes_of_a_stream_leave_with_its_head(start, dial):
    writes: list[bytes] = []

    def go(body: Body) -> None:
        real = body.transport

        class Counting:
            def write(self, data: bytes) -> None:
                writes.append(data)
                real.write(data)

            def is_closing(self) -> bool:
                return False

        body.transport = Counting()
        body.write(b"first")
        body.end()

    client = await dial(await start(lambda r: Streaming(200, "text/plain", (), go)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer())[2] == b"first"
    assert len(writes) == 2
    assert writes[0].endswith(b"\r\n\r\n5\r\nfirst\r\n")


async def test_whoever_is_not_admitted_is_not_listened_to(start, dial):
    asked: list[str] = []
    seen: list[Request] = []
    server = await start(lambda r: seen.append(r) or echo(r), admits=lambda address: bool(asked.append(address)))
    client = await dial(server)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await client.read_all() == b""
    assert (asked, seen) == (["127.0.0.1"], [])


async def test_a_streamed_answer_of_known_length_is_not_chunked_and_the_connection_goes_on(start, dial):
    def answer(request: Request) -> Streaming:
        def begin(body: Body) -> None:
            body.write(b"he")
            body.write(b"llo")
            body.end()

        return Streaming(200, "text/plain", (), begin, length=5)

    client = await dial(await start(answer))
    for method in (b"GET", b"GET"):
        client.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = await client.answer()
        assert (status, body) == (200, b"hello")
        assert headers == {"content-type": "text/plain", "content-length": "5"}
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 5\r\n" in await client.read_until(b"\r\n\r\n")
    client.send(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert (await client.answer())[2] == b"hello"


async def test_a_request_says_where_it_comes_from(start, dial):
    client = await dial(await start(lambda request: Response(200, request.peer_address.encode())))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer())[2] == b"127.0.0.1"
