"""Ports of this machine that lead into the pods' network."""

import asyncio
import contextlib
import socket

import pytest
from tests.ports import quiet_port

from holdfast.cluster import node_ports
from holdfast.cluster.node_ports import NodePorts
from holdfast.cluster.outside import Outside


@pytest.fixture
async def inside():
    """A node on another loopback address: says who it is, then repeats what it hears, in capitals."""

    async def serve(reader, writer):
        writer.write(b"hello ")
        while piece := await reader.read(100):
            writer.write(piece.upper())
        writer.write_eof()
        writer.close()

    number = quiet_port()
    server = await asyncio.start_server(serve, "127.0.0.2", number)
    yield number
    server.close()


@pytest.fixture
async def ports():
    made = NodePorts(Outside(moves=False), "127.0.0.2")
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def on_loopback_only(monkeypatch):
    """Tests open nothing to the network, and leave the other address to the one inside."""
    real_server, real_socket = socket.create_server, socket.socket

    class Socket(real_socket):
        def bind(self, address):
            super().bind(("127.0.0.1", address[1]) if address[0] == "" else address)

    monkeypatch.setattr(socket, "create_server", lambda address, **how: real_server(("127.0.0.1", address[1]), **how))
    monkeypatch.setattr(socket, "socket", Socket)


async def connect(number):
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", number)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def until_refused(number):
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", number)
                writer.close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass  # it was just being closed
            await asyncio.sleep(0.02)


async def test_r73_connections_are_carried_both_ways_to_their_ends(ports, inside):
    ports.want({("tcp", inside), ("sctp", inside)})
    reader, writer = await connect(inside)
    writer.write(b"there")
    writer.write_eof()
    assert await reader.read() == b"hello THERE"
    writer.close()


async def test_a_port_that_is_not_wanted_any_more_is_closed_and_what_it_carries_goes_on(ports, inside):
    ports.want({("tcp", inside)})
    reader, writer = await connect(inside)
    ports.want(())
    await until_refused(inside)
    writer.write(b"still")
    writer.write_eof()
    assert await reader.read() == b"hello STILL"
    writer.close()


async def test_where_nobody_answers_inside_the_connection_is_reset(ports, inside):
    number = quiet_port()
    ports.want({("tcp", number)})
    reader, writer = await connect(number)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_port_that_another_program_has_is_told_once_and_hinders_no_other(ports, inside, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports.want({("tcp", number)})
        ports.want({("tcp", number), ("tcp", inside)})
        _, writer = await connect(inside)
        writer.close()
    assert [record.getMessage().split(" error")[0] for record in caplog.records if record.levelname == "WARNING"] == [
        f"a node port cannot be had on this machine port={number}/tcp"
    ]


class Echo(asyncio.DatagramProtocol):
    """Repeats in capitals, and remembers who spoke."""

    def __init__(self):
        self.clients = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.clients.append(addr)
        self.transport.sendto(data.upper(), addr)


@pytest.fixture
async def echo():
    loop = asyncio.get_running_loop()
    number = quiet_port()
    transport, protocol = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.2", number))
    protocol.number = number
    yield protocol
    transport.close()


async def ask(number, *questions):
    """What one client hears to each of its datagrams."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", number))
        heard = []
        for question in questions:
            await loop.sock_sendall(client, question)
            async with asyncio.timeout(60):
                heard.append(await loop.sock_recv(client, 100))
        return heard


async def heard(ports, number):
    """Returns when somebody out here takes datagrams for it; nobody is sent any."""
    async with asyncio.timeout(60):
        while ("udp", number) not in ports._open:  # noqa: ASYNC110 -- it has no event to wait for
            await asyncio.sleep(0.01)


async def test_r73_datagrams_find_there_and_back_each_clients_by_a_way_of_its_own(ports, echo):
    ports.want({("udp", echo.number)})
    await heard(ports, echo.number)
    first, second = await asyncio.gather(ask(echo.number, b"a", b"b"), ask(echo.number, b"c"))
    assert (first, second) == ([b"A", b"B"], [b"C"])
    assert len(set(echo.clients)) == 2


async def test_a_udp_client_that_is_silent_is_forgotten_and_heard_again(ports, echo, monkeypatch):
    monkeypatch.setattr(node_ports, "IDLE_S", 0.5)
    ports.want({("udp", echo.number)})
    await heard(ports, echo.number)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", echo.number))
        for _ in range(2):
            await loop.sock_sendall(client, b"x")
            async with asyncio.timeout(60):
                assert await loop.sock_recv(client, 100) == b"X"
            await asyncio.sleep(0.8)
    assert len(set(echo.clients)) == 2


async def test_of_more_udp_clients_than_there_may_be_the_last_are_not_heard(ports, echo, monkeypatch):
    monkeypatch.setattr(node_ports, "MOST_CLIENTS", 1)
    ports.want({("udp", echo.number)})
    await heard(ports, echo.number)
    assert await ask(echo.number, b"a") == [b"A"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ask(echo.number, b"b")
    assert len(echo.clients) == 1


async def test_a_udp_port_that_is_not_wanted_any_more_is_free(ports, echo):
    ports.want({("udp", echo.number)})
    await heard(ports, echo.number)
    assert await ask(echo.number, b"a") == [b"A"]
    ports.want(())
    async with asyncio.timeout(60):
        while not is_free(echo.number):  # noqa: ASYNC110 -- it has no event to wait for
            await asyncio.sleep(0.01)


def is_free(number):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free, contextlib.suppress(OSError):
        free.bind(("127.0.0.1", number))
        return True
    return False
