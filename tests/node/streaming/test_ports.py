"""Port-forward over SPDY, SPDY in WebSocket messages, and WebSocket channels (A183-A185, A343)."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator

import pytest

from holdfast.wire.spdy import SpdyConnection
from holdfast.wire.websocket import MessageStream

TUNNEL = "SPDY/3.1+portforward.k8s.io"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server in the pod that answers in capitals and closes after an end of input."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def spdy_session(streaming, tunnelled: bool):
    if not tunnelled:
        client, _ = await streaming.spdy("portforward", versions="portforward.k8s.io")
        assert client.version == "portforward.k8s.io"
        return client.connection
    socket, response = await streaming.websocket("portforward", subprotocols=[TUNNEL])
    assert response.headers["sec-websocket-protocol"] == TUNNEL
    connection = SpdyConnection(MessageStream(socket), is_client=True)
    streaming.tasks = [asyncio.create_task(connection.run())]
    return connection


def open_pair(connection: SpdyConnection, port: int | str, request_id: int):
    headers = {"port": str(port), "requestid": str(request_id)}
    error = connection.open({**headers, "streamtype": "error"})
    error.end()  # as kubectl does
    return connection.open({**headers, "streamtype": "data"}), error


async def read_all(stream) -> bytes:
    data = b""
    async with asyncio.timeout(60):
        while piece := await stream.read():
            data += piece
    return data


@pytest.mark.parametrize("tunnelled", [False, True], ids=["SPDY", "tunnelled"])
async def test_n208_connections_are_carried_side_by_side_and_end_by_themselves(streaming, port, tunnelled):
    connection = await spdy_session(streaming, tunnelled)
    pairs = [open_pair(connection, port, n) for n in range(3)]
    for n, (data, _) in enumerate(pairs):
        await data.write(b"hello %d" % n)
    for n, (data, error) in enumerate(pairs):
        data.end()
        assert await read_all(data) == b"HELLO %d" % n
        assert await read_all(error) == b""


async def test_a_large_transfer_arrives_whole(streaming, port):
    connection = await spdy_session(streaming, tunnelled=True)
    data, _ = open_pair(connection, port, 0)

    async def send() -> None:
        for _ in range(100):
            await data.write(b"x" * 40_000)
        data.end()

    sending = asyncio.create_task(send())
    assert len(await read_all(data)) == 4_000_000
    await sending


@pytest.mark.parametrize("bad", ["closed", "nonsense"])
async def test_a_port_that_fails_is_told_and_the_session_goes_on(streaming, port, bad):
    with_nobody = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    closed = with_nobody.sockets[0].getsockname()[1]
    with_nobody.close()
    await with_nobody.wait_closed()
    connection = await spdy_session(streaming, tunnelled=False)
    data, error = open_pair(connection, closed if bad == "closed" else "nonsense", 0)
    text = (await read_all(error)).decode()
    if bad == "closed":
        assert text.startswith(f"error forwarding port {closed} to pod web-0_default, uid 0b5c: ")
        assert "refused" in text
    else:
        assert text == "unable to parse 'nonsense' as a port"
    assert await read_all(data) == b""
    data, error = open_pair(connection, port, 1)
    await data.write(b"still")
    data.end()
    assert await read_all(data) == b"STILL"


async def test_a_stream_that_the_client_resets_ends_its_connection(streaming, port):
    connection = await spdy_session(streaming, tunnelled=False)
    data, error = open_pair(connection, port, 0)
    await data.write(b"x")
    assert await data.read() == b"X"
    data.reset()
    assert await read_all(error) == b""


async def test_the_servers_end_ends_both_streams(streaming):
    async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(bye, "127.0.0.1", 0)
    connection = await spdy_session(streaming, tunnelled=False)
    data, error = open_pair(connection, server.sockets[0].getsockname()[1], 0)
    assert await read_all(data) == b"bye"
    assert await read_all(error) == b""
    server.close()


# Channels


@pytest.mark.parametrize("subprotocols", [["v5.channel.k8s.io", "v4.channel.k8s.io"], []])
async def test_ports_on_channels_are_the_exchange_of_rule_a343(streaming, port, subprotocols):
    socket, response = await streaming.websocket("portforward", ("ports", str(port)), subprotocols=subprotocols)
    assert response.headers.get("sec-websocket-protocol", "") == ("v4.channel.k8s.io" if subprotocols else "")
    little = struct.pack("<H", port)
    assert [await socket.receive(), await socket.receive()] == [b"\x00" + little, b"\x01" + little]
    await socket.send(b"\x00hello")
    assert await socket.receive() == b"\x00HELLO"


@pytest.mark.parametrize("form", ["joined", "repeated"])
async def test_several_ports_have_two_channels_each(streaming, port, form):
    query = [("ports", f"{port},{port}")] if form == "joined" else [("ports", str(port))] * 2
    socket, _ = await streaming.websocket("portforward", *query, subprotocols=[])
    assert [(await socket.receive())[0] for _ in range(4)] == [0, 1, 2, 3]
    await socket.send(b"\x02second")
    assert await socket.receive() == b"\x02SECOND"


async def test_a_port_nobody_listens_on_is_told_in_its_error_channel(streaming):
    socket, _ = await streaming.websocket("portforward", ("ports", "1"), subprotocols=[])
    await socket.receive()
    await socket.receive()
    message = await socket.receive()
    assert message.startswith(b"\x01error forwarding port 1 to pod web-0_default")
    assert await asyncio.wait_for(socket.receive(), 5) is None
    assert socket.close_code == 1000


@pytest.mark.parametrize(
    ("query", "text"),
    [([], 'query parameter "port" is required'), ([("ports", "http")], 'unable to parse "http" as a port')],
)
async def test_channels_need_ports(streaming, query, text):
    socket, response = await streaming.websocket("portforward", *query, subprotocols=[])
    assert socket is None
    assert (response.status, json.loads(response.body)["message"]) == (400, text)


async def test_a_pod_without_a_node_has_no_ports(streaming):
    streaming.pod = {**streaming.pod, "spec": {"containers": [{"name": "web"}]}}
    _, response = await streaming.websocket("portforward", ("ports", "80"), subprotocols=[])
    assert json.loads(response.body)["message"] == "pod web-0 does not have a host assigned"
