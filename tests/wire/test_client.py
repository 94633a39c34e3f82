"""The client against our own server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from holdfast.wire.client import ConnectionFailed, HttpClient, NotConnected
from holdfast.wire.http import Body, Request, Response, Streaming, Upgrade


def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.target} ".encode() + request.body, headers=(("X-A", "b"),))


@asynccontextmanager
async def client_of(server, **options) -> AsyncIterator[HttpClient]:
    client = HttpClient(f"http://127.0.0.1:{server.port}", **options)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def scripted(*answers: bytes, kept: bool = False) -> AsyncIterator[tuple[HttpClient, list[int]]]:
    """A client of a server that answers the n-th connection with the n-th bytes and closes it.

    If `kept`, it closes only when a second request has come, without answering that.
    """
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[len(connections) - 1])
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if kept:
                await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield client, connections
    finally:
        await client.close()
        server.close()
        await asyncio.sleep(0.01)


async def test_a_request_gets_status_headers_and_body(start):
    async with client_of(await start(echo), headers=(("User-Agent", "t"),)) as client:
        response = await client.request("POST", "/p?q=1", body=b"hi", timeout=60)
    assert (response.status, response.body, response.headers["x-a"]) == (200, b"POST /p?q=1 hi", "b")


async def test_connections_may_be_made_by_somebody_else(start):
    server, asked = await start(echo), []

    async def dial(host: str, port: int) -> socket.socket:
        asked.append((host, port))
        made = socket.create_connection(("127.0.0.1", server.port))
        made.setblocking(False)
        return made

    client = HttpClient("http://10.9.8.7:6543", dial=dial)
    answer = await client.request("GET", "/", timeout=60)
    await client.close()
    assert (answer.status, asked) == (200, [("10.9.8.7", 6543)])


async def test_a_connection_that_nobody_can_make_has_had_no_effect():
    async def dial(host: str, port: int) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(NotConnected, match=r"10\.9\.8\.7:80: .*Connection refused"):
        await HttpClient("http://10.9.8.7", dial=dial).request("GET", "/")


async def test_connections_are_kept_and_used_again(start):
    server = await start(echo)
    async with client_of(server) as client:
        for _ in range(3):
            await client.request("GET", "/")
        assert len(server.connections) == 1
        await asyncio.gather(*(client.request("GET", "/") for _ in range(4)))
        assert len(server.connections) <= 4


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_body_end_with_their_head(start, status):
    async with client_of(await start(lambda r: Response(status))) as client:
        assert (await client.request("GET", "/", timeout=60)).status == status
        assert (await client.request("GET", "/", timeout=60)).body == b""


async def test_head_has_no_body(start):
    async with client_of(await start(echo)) as client:
        assert (await client.request("HEAD", "/", timeout=60)).body == b""
        assert (await client.request("GET", "/", timeout=60)).body == b"GET / "


async def test_a_large_answer_arrives_whole(start):
    whole = bytes(range(256)) * 20_000
    async with client_of(await start(lambda r: Response(200, whole))) as client:
        assert (await client.request("GET", "/", timeout=60)).body == whole


async def test_a_stream_is_read_as_it_comes(start):
    bodies: list[Body] = []
    async with (
        client_of(await start(lambda r: Streaming(200, "application/json", (), bodies.append))) as client,
        client.stream("GET", "/w", timeout=60) as stream,
    ):
        assert (stream.status, stream.headers["content-type"]) == (200, "application/json")
        bodies[0].write(b"one")
        assert await anext(stream) == b"one"
        bodies[0].write(b"two")
        bodies[0].end()
        assert await stream.read_all() == b"two"


async def test_leaving_a_stream_early_closes_its_connection(start):
    closed = asyncio.Event()

    def go(body: Body) -> None:
        body.write(b"x")
        body.on_close(closed.set)

    async with client_of(await start(lambda r: Streaming(200, "text/plain", (), go))) as client:
        async with client.stream("GET", "/") as stream:
            await anext(stream)
        await asyncio.wait_for(closed.wait(), 2)


async def test_a_stream_that_is_not_read_holds_its_server_up(start):
    bodies: list[Body] = []
    async with (
        client_of(await start(lambda r: Streaming(200, "text/plain", (), bodies.append))) as client,
        client.stream("GET", "/") as stream,
    ):
        sent = 0
        while not bodies[0].paused:
            bodies[0].write(b"x" * 65536)
            sent += 65536
            await asyncio.sleep(0)
            assert sent < 64 << 20
        bodies[0].end()
        assert len(await stream.read_all()) == sent


async def test_a_broken_stream_is_not_taken_for_complete(start):
    def go(body: Body) -> None:
        body.write(b"half")
        asyncio.get_running_loop().call_later(0.01, body.abort)

    async with (
        client_of(await start(lambda r: Streaming(200, "text/plain", (), go))) as client,
        client.stream("GET", "/") as stream,
    ):
        with pytest.raises(ConnectionFailed):
            await stream.read_all()


async def test_nobody_listening_is_a_failed_connection():
    with pytest.raises(ConnectionFailed, match="connecting to"):
        await HttpClient("http://127.0.0.1:1").request("GET", "/")


async def test_no_answer_in_time_is_a_failed_connection(start):
    async def never(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response(200)

    async with client_of(await start(never)) as client:
        with pytest.raises(ConnectionFailed, match="no answer within"):
            await client.request("GET", "/", timeout=0.05)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"SSH-2.0-x\r\n"],
    ids=["nothing", "half a head", "half a body", "not HTTP"],
)
async def test_anything_but_a_whole_answer_is_a_failed_connection(answer):
    async with scripted(answer) as (client, _):
        with pytest.raises(ConnectionFailed):
            await client.request("GET", "/", timeout=60)


async def test_a_body_may_end_with_the_connection():
    async with scripted(b"HTTP/1.1 200 OK\r\n\r\nuntil the end") as (client, _):
        assert (await client.request("GET", "/", timeout=60)).body == b"until the end"


async def test_interim_answers_are_passed_over():
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with scripted(answer) as (client, _):
        assert (await client.request("POST", "/", timeout=60)).body == b"ok"


KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("method", "options", "repeated"),
    [("GET", {}, True), ("POST", {}, False), ("POST", {"may_repeat": True}, True)],
)
async def test_a_read_on_an_outworn_connection_is_repeated_and_a_write_if_it_may(method, options, repeated):
    async with scripted(KEPT, KEPT, kept=True) as (client, connections):
        await client.request("GET", "/", timeout=60)
        request = client.request(method, "/", timeout=2, **options)
        if repeated:
            assert (await request).body == b"ok"
            assert len(connections) == 2
        else:
            with pytest.raises(ConnectionFailed):
                await request


@pytest.mark.parametrize("grant", [True, False])
async def test_an_upgrade_hands_the_connection_over_or_says_why_not(start, grant):
    def handler(request: Request) -> Upgrade | Response:
        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            transport.write(b"welcome")
            return Receiver(transport.write)

        headers = (("Connection", "Upgrade"), ("Upgrade", request.upgrade))
        return Upgrade(headers, begin) if grant else Response(403, b"no")

    received = bytearray()
    transports: list[asyncio.Transport] = []

    def begin(transport: asyncio.Transport, early: bytes) -> asyncio.Protocol:
        transports.append(transport)
        received.extend(early)
        return Receiver(received.extend)

    async with client_of(await start(handler)) as client:
        headers = (("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"))
        response = await client.upgrade("POST", "/exec", headers, begin, timeout=60)
        if not grant:
            assert (response.status, response.body, transports) == (403, b"no", [])
            return
        assert response.status == 101
        transports[0].write(b" echo")
        async with asyncio.timeout(60):
            await transports[0].get_protocol().has(received, b"welcome echo")
        transports[0].close()


class Receiver(asyncio.Protocol):
    def __init__(self, receive: Callable[[bytes], object]) -> None:
        self.receive = receive
        self.more = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.receive(data)
        self.more.set()

    async def has(self, received: bytearray, wanted: bytes) -> None:
        while bytes(received) != wanted:
            await self.more.wait()
            self.more.clear()


def test_a_line_break_in_a_header_is_refused():
    with pytest.raises(ValueError, match="line break"):
        HttpClient("http://x", headers=(("A", "b\r\nC: d"),))


async def test_headers_are_there_one_by_one_and_trailers_are_not_among_them():
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1, b\r\nset-cookie: c\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with scripted(head + b"2\r\nhi\r\n0\r\nX-Late: 1\r\n\r\n") as (client, _):
        response = await client.request("GET", "/", timeout=60)
    assert response.body == b"hi"
    assert list(response.header_lines) == [
        ("Set-Cookie", "a=1, b"),
        ("set-cookie", "c"),
        ("Transfer-Encoding", "chunked"),
    ]
    assert response.headers == {"set-cookie": "a=1, b, c", "transfer-encoding": "chunked"}


async def test_a_host_of_its_own_may_be_named(start):
    async with client_of(
        await start(lambda r: Response(200, r.headers["host"].encode())), host="example.org"
    ) as client:
        assert (await client.request("GET", "/", timeout=60)).body == b"example.org"


async def test_a_client_that_is_cut_off_loses_what_is_under_way_and_reaches_nobody_until_it_is_mended(start):
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await release.wait()
        return echo(request)

    async with client_of(await start(slow)) as client:
        asked = asyncio.ensure_future(client.request("POST", "/", timeout=60))
        await begun.wait()
        client.cut()
        with pytest.raises(ConnectionFailed):
            await asked
        with pytest.raises(NotConnected, match="cut off"):
            await client.request("GET", "/", timeout=60)
        client.mend()
        release.set()
        assert (await client.request("GET", "/", timeout=60)).status == 200
