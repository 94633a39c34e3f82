"""The same over TLS, where both loops' transports are of another kind, and over unix sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.wire import tls
from holdfast.wire.client import ConnectionFailed, HttpClient
from holdfast.wire.duplex import Duplex, splice
from holdfast.wire.http import Body, Request, Response, Streaming, Upgrade


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), ["n1"], "10.96.0.1")
    return made


def serving(home: Home) -> ssl.SSLContext:
    files = certificates.pair(home, "apiserver")
    return tls.server_context(str(files.certificate), str(files.key), str(home.ca_certificate))


def client_of(home: Home, port: int, name: str = "") -> HttpClient:
    shown = certificates.pair(home, name) if name else None
    paths = (str(shown.certificate), str(shown.key)) if shown else ("", "")
    return HttpClient(f"https://127.0.0.1:{port}", tls.client_context(str(home.ca_certificate), *paths))


async def test_a_verified_client_certificate_is_handed_to_the_handler(start, home):
    seen: list[Request] = []
    server = await start(lambda r: seen.append(r) or Response(200), ssl=serving(home))
    for name in ("admin", ""):
        client = client_of(home, server.port, name)
        assert (await client.request("GET", "/", timeout=60)).status == 200
        await client.close()
    assert ((("organizationName", "system:masters"),)) in seen[0].peer_certificate["subject"]
    assert seen[0].peer_der
    assert (seen[1].peer_certificate, seen[1].peer_der) == (None, None)


async def test_a_server_of_another_authority_is_not_talked_to(start, home):
    server = await start(lambda r: Response(200), ssl=serving(home))
    client = HttpClient(f"https://127.0.0.1:{server.port}", tls.client_context())
    with pytest.raises(ConnectionFailed, match="connecting to"):
        await client.request("GET", "/", timeout=60)


async def test_plain_http_to_a_tls_port_and_back_is_a_failed_connection(start, home):
    secure, plain = await start(lambda r: Response(200), ssl=serving(home)), await start(lambda r: Response(200))
    with pytest.raises(ConnectionFailed):
        await HttpClient(f"http://127.0.0.1:{secure.port}").request("GET", "/", timeout=60)
    with pytest.raises(ConnectionFailed):
        await client_of(home, plain.port).request("GET", "/", timeout=60)


async def test_large_bodies_and_streams_arrive_whole(start, home):
    whole = bytes(range(256)) * 20_000

    def stream(body: Body) -> None:
        for at in range(0, len(whole), 50_000):
            body.write(whole[at : at + 50_000])
        body.end()

    def handler(request: Request) -> Response | Streaming:
        return Streaming(200, "text/plain", (), stream) if request.path == "/s" else Response(200, whole)

    client = client_of(home, (await start(handler, ssl=serving(home))).port)
    for path in ("/s", "/b", "/s"):
        assert (await client.request("GET", path, timeout=60)).body == whole
    await client.close()


async def test_a_client_that_leaves_cancels_its_request(start, home):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return Response(200)

    client = client_of(home, (await start(wait, ssl=serving(home))).port)
    asking = asyncio.create_task(client.request("GET", "/"))
    await asyncio.wait_for(begun.wait(), 5)
    asking.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_connections_are_handed_over_and_joined(start, home):
    """As exec goes: a client, a server that joins, a server that answers, all over TLS."""
    tasks = []

    async def shout(duplex: Duplex) -> None:
        while data := await duplex.read():
            await duplex.write(data.upper())
        duplex.close()

    def far(request: Request) -> Upgrade:
        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            duplex = Duplex(transport, received)
            tasks.append(asyncio.create_task(shout(duplex)))
            return duplex

        return Upgrade((("Upgrade", request.upgrade), ("Connection", "Upgrade")), begin)

    inner = client_of(home, (await start(far, ssl=serving(home))).port)
    asked = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]

    async def near(request: Request) -> Upgrade:
        others: list[Duplex] = []

        def hold(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            others.append(Duplex(transport, received))
            return others[0]

        await inner.upgrade("POST", "/", asked, hold, 5)

        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            ours, theirs = splice(transport, others[0]._transport)
            others[0]._transport.set_protocol(theirs)
            return ours

        return Upgrade((("Upgrade", request.upgrade), ("Connection", "Upgrade")), begin)

    outer = client_of(home, (await start(near, ssl=serving(home))).port)
    mine: list[Duplex] = []

    def take(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        mine.append(Duplex(transport, received))
        return mine[0]

    assert (await outer.upgrade("POST", "/", asked, take, 5)).status == 101

    async def send() -> None:
        for _ in range(100):
            await mine[0].write(b"x" * 50_000)

    sending = asyncio.create_task(send())
    received = 0
    while received < 5_000_000:
        data = await asyncio.wait_for(mine[0].read(), 5)
        assert data.strip(b"X") == b""
        received += len(data)
    await sending
    mine[0].close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_unix_socket_serves_too(start, tmp_path: Path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    server = await start(lambda r: Response(200, r.path.encode()), sock=listening)
    assert server.port == 0
    client = HttpClient("http://localhost", unix_socket=str(tmp_path / "s"))
    assert (await client.request("GET", "/p", timeout=60)).body == b"/p"
    await client.close()


def common_name(request: Request) -> str:
    fields = [pair for part in request.peer_certificate["subject"] for pair in part]
    return str(dict(fields)["commonName"])


async def test_another_certificate_is_shown_with_the_next_request(start, home):
    server = await start(lambda r: Response(200, common_name(r).encode()), ssl=serving(home))
    client, other = client_of(home, server.port, "node-n1"), certificates.pair(home, "admin")
    assert (await client.request("GET", "/", timeout=5)).body == b"system:node:n1"
    client.show(str(other.certificate), str(other.key))
    assert (await client.request("GET", "/", timeout=5)).body == b"kubernetes-admin"
    await client.close()


@pytest.fixture
async def streaming(start, home):
    """A client of a server that tells clients their name, and whose answer to /s stays open; that answer's body."""
    began: asyncio.Future[Body] = asyncio.get_running_loop().create_future()

    def handler(request: Request) -> Response | Streaming:
        named = Response(200, common_name(request).encode())
        return Streaming(200, "text/plain", (), began.set_result) if request.path == "/s" else named

    server = await start(handler, ssl=serving(home))
    client = client_of(home, server.port, "node-n1")
    yield client, began
    await client.close()


async def test_what_is_under_way_goes_on(streaming, home):
    (client, began), other = streaming, certificates.pair(home, "admin")
    async with client.stream("GET", "/s", timeout=5) as answer:
        body = await began
        body.write(b"a")
        client.show(str(other.certificate), str(other.key))
        assert (await client.request("GET", "/", timeout=5)).body == b"kubernetes-admin"
        body.write(b"b")
        body.end()
        assert await answer.read_all() == b"ab"


async def test_a_connection_that_was_busy_is_not_kept(streaming, home):
    """The one that was made last would be used first, so there is none but it here."""
    (client, began), other = streaming, certificates.pair(home, "admin")
    async with client.stream("GET", "/s", timeout=5) as answer:
        body = await began
        client.show(str(other.certificate), str(other.key))
        body.end()
        assert await answer.read_all() == b""
    assert (await client.request("GET", "/", timeout=5)).body == b"kubernetes-admin"
