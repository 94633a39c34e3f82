"""What comes to a TLS port and is no TLS: a close, no words in the log, and the others are served."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.wire import tls
from holdfast.wire.client import HttpClient
from holdfast.wire.messages import Limits, Response


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and a client's."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(home, datetime.now(UTC), ["n1"], "10.96.0.1")
    files = certificates.pair(home, "apiserver")
    serving = tls.server_context(str(files.certificate), str(files.key), str(home.ca_certificate))
    return serving, tls.client_context(str(home.ca_certificate))


def hello(context: ssl.SSLContext) -> bytes:
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def test_garbage_and_broken_handshakes_are_closed_and_nobody_else_minds(
    start: Any, dial: Any, contexts: Any, caplog: Any
) -> None:
    serving, asking = contexts
    server = await start(lambda request: Response(200), ssl=serving, limits=Limits(handshake_s=2))
    greeting = hello(asking)
    garbage = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 5000,
        b"\xff" * 5000,
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\x80\x2e\x01\x00\x02",
        greeting + b"\x17\x03\x03\x00\x05hello",
        greeting[:-1] + b"\xff" * 300,
        b"\x15\x03\x01\x00\x02\x02\x28",
    ]
    for sent in garbage:
        client = await dial(server)
        client.send(sent)
        await client.read_all()
    silent = []
    for at in (0, 1, 5, 6, 40, len(greeting) - 1, len(greeting)):  # and then silence
        silent.append(await dial(server))
        silent[-1].send(greeting[:at])
    assert all(len(told) < 10_000 for told in await asyncio.gather(*(client.read_all() for client in silent)))
    honest = HttpClient(f"https://127.0.0.1:{server.port}", asking)
    async with asyncio.timeout(60):
        assert (await honest.request("GET", "/")).status == 200
    await honest.close()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
