"""WebSockets between our server and our client, and against bytes of others."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.wire.client import HttpClient
from holdfast.wire.duplex import Duplex
from holdfast.wire.http import Body, Request, Response, Streaming, Upgrade, chunk
from holdfast.wire.websocket import (
    BadHandshake,
    MessageStream,
    WebSocket,
    accept_headers,
    accept_token,
    connect,
    offered_subprotocols,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def asking(**headers: str) -> Request:
    defaults = {"sec-websocket-version": "13", "sec-websocket-key": KEY}
    return Request("GET", "/", "", defaults | {name.replace("_", "-"): value for name, value in headers.items()})


def test_the_key_is_answered_as_in_the_standards_example():
    assert accept_token(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "headers",
    [{"sec_websocket_version": "8"}, {"sec_websocket_key": "short"}, {"sec_websocket_key": ""}],
)
def test_a_handshake_that_is_none_is_refused(headers):
    with pytest.raises(BadHandshake):
        accept_headers(asking(**headers))


def test_subprotocols_are_in_the_clients_order():
    assert offered_subprotocols(asking(sec_websocket_protocol="v5.x, v4.x,, v1")) == ["v5.x", "v4.x", "v1"]
    assert ("Sec-WebSocket-Protocol", "v4.x") in accept_headers(asking(), "v4.x")


def serving(sockets: list[WebSocket]):
    def handler(request: Request) -> Upgrade | Response:
        if request.upgrade != "websocket":
            return Response(400, b"no")

        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            duplex = Duplex(transport, received)
            sockets.append(WebSocket(duplex))
            return duplex

        return Upgrade(accept_headers(request, *offered_subprotocols(request)[:1]), begin)

    return handler


@asynccontextmanager
async def pair(start) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """The server's and the client's end of one WebSocket."""
    sockets: list[WebSocket] = []
    server = await start(serving(sockets))
    client = HttpClient(f"http://127.0.0.1:{server.port}")
    mine, response = await connect(client, "/", random.Random(1), subprotocols=["v4.x"], timeout=60)
    assert mine is not None
    assert response.headers["sec-websocket-protocol"] == "v4.x"
    yield sockets[0], mine
    mine.abort()
    await client.close()


@pytest.mark.parametrize("message", [b"", b"\x01bytes", "text \u2713", b"x" * 200, b"x" * 70_000])
async def test_messages_arrive_whole(start, message):
    async with pair(start) as (theirs, mine):
        await mine.send(message)
        assert await asyncio.wait_for(theirs.receive(), 2) == message
        await theirs.send(message)
        assert await asyncio.wait_for(mine.receive(), 2) == message


async def test_pings_are_answered_while_receiving(start):
    async with pair(start) as (theirs, mine):
        receiving = asyncio.create_task(theirs.receive())
        await mine.ping(b"are you there")
        await mine.send(b"x")
        assert await asyncio.wait_for(receiving, 60) == b"x"
        await theirs.send(b"y")
        assert await asyncio.wait_for(mine.receive(), 2) == b"y"


async def test_closing_is_seen_with_its_code_and_answered(start):
    async with pair(start) as (theirs, mine):
        receiving = asyncio.create_task(mine.receive())
        theirs.close(1000)
        assert await asyncio.wait_for(receiving, 60) is None
        assert mine.close_code == 1000
        assert await asyncio.wait_for(theirs.receive(), 2) is None
        assert theirs.close_code == 1000
        with pytest.raises(ConnectionError):
            await mine.send(b"late")


async def test_a_client_that_just_goes_away_counts_as_abnormal(start):
    async with pair(start) as (theirs, mine):
        mine.abort()
        assert await asyncio.wait_for(theirs.receive(), 2) is None
        assert theirs.close_code == 1006


async def test_a_message_without_end_closes_the_connection(start):
    async with pair(start) as (theirs, mine):
        receiving = asyncio.create_task(theirs.receive())
        await mine.send(b"x" * (2 << 20))
        assert await asyncio.wait_for(receiving, 60) is None
        assert await asyncio.wait_for(mine.receive(), 2) is None
        assert mine.close_code == 1009


async def test_fragments_are_put_together(start, dial):
    sockets: list[WebSocket] = []
    client = await dial(await start(serving(sockets)))
    client.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n"
    )
    await client.read_until(b"\r\n\r\n")
    mask = b"\0\0\0\0"
    client.send(b"\x02\x82" + mask + b"ab" + b"\x89\x80" + mask + b"\x80\x81" + mask + b"c")
    assert await asyncio.wait_for(sockets[0].receive(), 2) == b"abc"
    assert await client.read_until(b"\x8a\x00") == b"\x8a\x00"


@pytest.mark.parametrize("frame", [b"\x82\x01a", b"\xf2\x81\0\0\0\0a"], ids=["not masked", "reserved bits"])
async def test_frames_against_the_rules_close_the_connection(start, dial, frame):
    sockets: list[WebSocket] = []
    client = await dial(await start(serving(sockets)))
    client.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n" + frame
    )
    await client.read_until(b"\r\n\r\n")
    assert await asyncio.wait_for(sockets[0].receive(), 2) is None
    answer = await client.read_all()
    assert answer[0] == 0x88
    assert struct.unpack(">H", answer[2:4])[0] == 1002


async def test_a_stream_inside_messages_ignores_where_they_end(start):
    async with pair(start) as (theirs, mine):
        stream = MessageStream(theirs)
        await mine.send(b"ab")
        await mine.send(b"")
        await mine.send(b"c")
        assert await asyncio.wait_for(stream.read(), 2) + await asyncio.wait_for(stream.read(), 2) == b"abc"
        await stream.write(b"back")
        assert await asyncio.wait_for(mine.receive(), 2) == b"back"
        receiving = asyncio.create_task(mine.receive())
        stream.close()
        assert await asyncio.wait_for(receiving, 60) is None


async def test_a_streamed_answer_comes_in_text_messages_to_who_asked_for_a_websocket(start):
    bodies: list[Body] = []
    server = await start(lambda request: Streaming(200, "application/json", (), bodies.append))
    client = HttpClient(f"http://127.0.0.1:{server.port}")
    socket, _ = await connect(client, "/?watch=1", random.Random(1), timeout=60)
    bodies[0].write(b'{"type":"ADDED"}\n')
    bodies[0].write_raw(chunk(b"two") + chunk(b"three"))
    received = [await asyncio.wait_for(socket.receive(), 2) for _ in range(3)]
    assert received == ['{"type":"ADDED"}\n', "two", "three"]
    await socket.ping(b"x")
    bodies[0].end()
    bodies[0].write(b"never")
    assert await asyncio.wait_for(socket.receive(), 2) is None
    assert socket.close_code == 1000
    await client.close()


@pytest.mark.parametrize("politely", [True, False])
async def test_a_watcher_that_leaves_its_websocket_is_noticed(start, politely):
    left = asyncio.Event()
    server = await start(lambda request: Streaming(200, "text/plain", (), lambda body: body.on_close(left.set)))
    client = HttpClient(f"http://127.0.0.1:{server.port}")
    socket, _ = await connect(client, "/", random.Random(1), timeout=60)
    if politely:
        socket.close()
        assert await asyncio.wait_for(socket.receive(), 2) is None
    else:
        socket.abort()
    await asyncio.wait_for(left.wait(), 2)
    await client.close()


async def test_a_stream_asked_for_with_half_a_handshake_is_refused(start, dial):
    client = await dial(await start(lambda request: Streaming(200, "text/plain", (), lambda body: body.end())))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (await client.answer())[0] == 400


async def test_a_server_that_refuses_is_quoted(start):
    server = await start(lambda request: Response(403, b"not you"))
    client = HttpClient(f"http://127.0.0.1:{server.port}")
    socket, response = await connect(client, "/", random.Random(1), timeout=60)
    assert (socket, response.status, response.body) == (None, 403, b"not you")
    await client.close()
