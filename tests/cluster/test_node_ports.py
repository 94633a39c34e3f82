"""Ports of this machine that lead into the pods' network."""

import asyncio
import socket

import pytest

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

    server = await asyncio.start_server(serve, "127.0.0.2", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def ports():
    made = NodePorts(Outside(moves=False), "127.0.0.2")
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def on_loopback_only(monkeypatch):
    """Tests open nothing to the network, and leave the other address to the one inside."""
    real = socket.create_server
    monkeypatch.setattr(socket, "create_server", lambda address, **how: real(("127.0.0.1", address[1]), **how))


async def connect(number):
    for _ in range(100):
        try:
            return await asyncio.open_connection("127.0.0.1", number)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    raise AssertionError(f"nobody listens on {number}")


async def test_r73_connections_are_carried_both_ways_to_their_ends(ports, inside):
    ports.want({("tcp", inside), ("udp", inside)})
    reader, writer = await connect(inside)
    writer.write(b"there")
    writer.write_eof()
    assert await reader.read() == b"hello THERE"
    writer.close()


async def test_a_port_that_is_not_wanted_any_more_is_closed_and_what_it_carries_goes_on(ports, inside):
    ports.want({("tcp", inside)})
    reader, writer = await connect(inside)
    ports.want(())
    await asyncio.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", inside)
    writer.write(b"still")
    writer.write_eof()
    assert await reader.read() == b"hello STILL"
    writer.close()


async def test_where_nobody_answers_inside_the_connection_is_reset(ports, inside):
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
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
        f"a node port cannot be had on this machine port={number}"
    ]
