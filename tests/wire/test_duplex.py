"""Connections that have left HTTP: back-pressure, ends, joining two of them."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.wire.duplex import Duplex, splice
from holdfast.wire.http import Request, Upgrade
from holdfast.wire.pipe import Pipe

ASK = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: spdy/3.1\r\n\r\n"


def keeping(duplexes: list[Duplex]):
    def handler(request: Request) -> Upgrade:
        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            duplexes.append(Duplex(transport, received))
            return duplexes[-1]

        return Upgrade((), begin)

    return handler


async def upgraded(start, dial):
    duplexes: list[Duplex] = []
    client = await dial(await start(keeping(duplexes)), limit=1 << 12)
    client.send(ASK)
    await client.read_until(b"\r\n\r\n")
    return duplexes[0], client


async def test_writing_waits_for_a_client_that_does_not_read(start, dial):
    duplex, client = await upgraded(start, dial)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(1000):
            await duplex.write(b"x" * 65536)
            sent += 65536
        duplex.close()

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.1)
    assert sent < 32 << 20
    received = 0
    while data := await client.reader.read(1 << 16):
        received += len(data)
    await flooding
    assert received == sent == 1000 * 65536


async def test_reading_stops_when_nobody_takes_what_came(start, dial):
    duplex, client = await upgraded(start, dial)
    client.send(b"y" * (32 << 20))
    await asyncio.sleep(0.1)
    assert len(duplex._received) < 1 << 20
    received = 0
    while received < 32 << 20:
        received += len(await asyncio.wait_for(duplex.read(), 60))


async def test_a_reader_and_a_writer_learn_of_the_end(start, dial):
    duplex, client = await upgraded(start, dial)
    client.send(b"last words")
    await client.close()
    assert await duplex.read() == b"last words"
    assert await asyncio.wait_for(duplex.read(), 60) == b""
    with pytest.raises(ConnectionError):
        await duplex.write(b"x")
    duplex.write_now(b"goes nowhere")


def joining(port: int):
    """A server that joins its client's connection with one to `port`."""

    async def handler(request: Request) -> Upgrade:
        loop = asyncio.get_running_loop()
        other, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)

        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            ours, theirs = splice(transport, other)
            other.set_protocol(theirs)
            other.write(received)
            return ours

        return Upgrade((), begin)

    return handler


async def joined(start, dial):
    """A server-side duplex and the client that is joined to it through a second server."""
    accepted = asyncio.Event()
    duplexes: list[Duplex] = []

    def far(transport: asyncio.Transport) -> Duplex:
        duplexes.append(Duplex(transport))
        accepted.set()
        return duplexes[-1]

    class Accept(asyncio.Protocol):
        def connection_made(self, transport) -> None:
            transport.set_protocol(far(transport))

    server = await asyncio.get_running_loop().create_server(Accept, "127.0.0.1", 0)
    client = await dial(await start(joining(server.sockets[0].getsockname()[1])), limit=1 << 12)
    client.send(ASK + b"early")
    await client.read_until(b"\r\n\r\n")
    await asyncio.wait_for(accepted.wait(), 2)
    assert await asyncio.wait_for(duplexes[0].read(), 2) == b"early"
    return duplexes[0], client, server


async def test_joined_connections_hold_each_other_up_and_lose_nothing(start, dial):
    duplex, client, server = await joined(start, dial)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(1000):
            await duplex.write(b"x" * 65536)
            sent += 65536
        duplex.close()

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.1)
    assert sent < 48 << 20
    received = 0
    while data := await client.reader.read(1 << 16):
        received += len(data)
    await flooding
    assert received == 1000 * 65536
    server.close()


async def test_the_end_of_one_connection_is_the_end_of_the_one_joined_to_it(start, dial):
    duplex, client, server = await joined(start, dial)
    client.send(b"bye")
    await client.close()
    assert await asyncio.wait_for(duplex.read(), 60) == b"bye"
    assert await asyncio.wait_for(duplex.read(), 60) == b""
    server.close()


async def test_a_pipe_is_bounded_and_keeps_order():
    pipe = Pipe(most_bytes=10)
    await pipe.put(b"123456789")
    putting = asyncio.create_task(pipe.put(b"abc"))
    await asyncio.sleep(0)
    assert not putting.done()
    assert await pipe.get() == b"123456789abc"
    await putting
    pipe.end()
    await pipe.put(b"dropped")
    assert await pipe.get() == b""


async def test_ending_a_pipe_lets_its_writer_go():
    pipe = Pipe(most_bytes=1)
    putting = asyncio.create_task(pipe.put(b"abc"))
    await asyncio.sleep(0)
    pipe.end()
    await asyncio.wait_for(putting, 60)
    assert await pipe.get() == b"abc"
