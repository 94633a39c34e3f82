"""Clients that do not keep to the protocols: their session ends, nothing is logged as ours, nothing is left."""

from __future__ import annotations

import asyncio
import random
import struct

import pytest

from holdfast.wire.spdy import Session

from .test_commands import shell

SEEDS = range(4)


def hostile_spdy(chance: random.Random) -> bytes:
    """Frames, some right, some broken, some cut."""
    session = Session(is_client=True)
    wire = b""
    for _ in range(chance.randrange(1, 12)):
        kind = chance.choice(["error", "stdin", "stdout", "stderr", "resize", "data", "", "x" * 500])
        wire += chance.choice(
            [
                session.open({"streamtype": kind, "port": chance.choice(["1", "x", "99999"]), "requestid": "0"})[1],
                session.data(
                    chance.randrange(20), chance.randbytes(chance.randrange(50)), is_last=chance.random() < 0.3
                ),
                session.reset(chance.randrange(20), 5),
                session.ping(chance.randrange(10)),
                session.go_away(0),
                session.reply(chance.randrange(5)),
                struct.pack(">II", 0x80030000 | chance.randrange(12), chance.randrange(40)),
                chance.randbytes(chance.randrange(30)),
            ]
        )
    return wire[: chance.randrange(1, len(wire) + 1)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("subresource", ["exec", "portforward"])
async def test_spdy(streaming, seed, subresource, caplog):
    chance = random.Random(seed)
    query = shell("cat", "stdin", "stdout") if subresource == "exec" else []
    versions = "v4.channel.k8s.io" if subresource == "exec" else "portforward.k8s.io"
    client, _ = await streaming.spdy(subresource, *query, versions=versions)
    for _ in range(5):
        client.connection.stream.write_now(hostile_spdy(chance))
        await asyncio.sleep(0.005)
    await leave(streaming, client.connection.stream, caplog)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("subresource", "subprotocol"),
    [
        ("exec", "v5.channel.k8s.io"),
        ("exec", "v4.base64.channel.k8s.io"),
        ("portforward", "v4.channel.k8s.io"),
        ("portforward", "SPDY/3.1+portforward.k8s.io"),
        ("log", "binary.k8s.io"),
    ],
)
async def test_websocket(streaming, seed, subresource, subprotocol, caplog):
    chance = random.Random(seed)
    streaming.log.write_bytes(b"2026-11-21T01:29:01Z stdout F line\n")
    query = {
        "exec": shell("cat", "stdin", "stdout"),
        "portforward": [("ports", "1")],
        "log": [("follow", "true")],
    }[subresource]
    socket, _ = await streaming.websocket(subresource, *query, subprotocols=[subprotocol])
    for _ in range(10):
        message = chance.choice(
            [
                b"",
                chance.randbytes(20),
                b"\xff\x00",
                b"\xff",
                b"\x04{",
                b'\x04{"Width":-1}',
                "text",
                "9x",
                "0===",
                "4e30=",
            ]
        )
        socket.send_now(message)
        if chance.random() < 0.1:
            socket._stream.write_now(chance.randbytes(10))
        await asyncio.sleep(0.002)
    await leave(streaming, socket, caplog)


async def leave(streaming, connection, caplog) -> None:
    """The client goes; soon no session is left, and nobody complained."""
    connection.abort()
    for _ in range(3000):
        if not streaming.agent._sessions:
            break
        await asyncio.sleep(0.02)
    assert not streaming.agent._sessions
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
