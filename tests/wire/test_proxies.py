"""Proxies as the environment names them, and what goes through them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.wire.client import HttpClient, NotConnected
from holdfast.wire.go_words import in_go_words
from holdfast.wire.http import Request, Response
from holdfast.wire.proxies import proxy_for
from holdfast.wire.tls import client_context, server_context

PROXY = "http://proxy.example:3128"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), ["n1"], "10.96.0.1")
    return made


def serving(home: Home) -> ssl.SSLContext:
    files = certificates.pair(home, "apiserver")
    return server_context(str(files.certificate), str(files.key))


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://a.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"https_proxy": "proxy.example:3128"}, PROXY),
        ("http://a.example", {"HTTPS_PROXY": PROXY}, ""),
        ("http://a.example", {"http_proxy": PROXY}, PROXY),
        ("http://127.0.0.1:5000", {"HTTP_PROXY": PROXY}, ""),
        ("http://localhost:5000", {"HTTP_PROXY": PROXY}, ""),
        ("http://[::1]:5000", {"HTTP_PROXY": PROXY}, ""),
        ("https://a.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "b.example, a.example"}, ""),
        ("https://x.a.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example"}, ""),
        ("https://xa.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example"}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".a.example"}, PROXY),
        ("https://x.a.example", {"HTTPS_PROXY": PROXY, "no_proxy": "*.a.example"}, ""),
        ("https://a.example:5000", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example:5001"}, PROXY),
        ("https://a.example:5000", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example:5000"}, ""),
        ("https://10.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ""),
    ],
)
def test_which_proxy_a_request_goes_through(url: str, environment: dict[str, str], proxy: str) -> None:
    assert proxy_for(url, environment) == proxy


@asynccontextmanager
async def tunnelling(port: int, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that leads to `port` of this machine, wherever it is asked to go, and notes the heads it gets."""
    heads: list[bytes] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        if heads[-1].startswith(b"CONNECT"):
            writer.write(answer)
        else:
            method, target, rest = heads[-1].split(b" ", 2)
            to_there.write(method + b" /" + target.split(b"/", 3)[3] + b" " + rest)
        await asyncio.gather(copy(reader, to_there), copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://user:pass@127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        await asyncio.sleep(0.01)


def hello(request: Request) -> Response:
    return Response(200, request.target.encode())


async def test_a_plain_request_names_the_whole_url_to_the_proxy(start) -> None:
    server = await start(hello)
    async with tunnelling(server.port) as (proxy, heads):
        client = HttpClient("http://registry.example:5000", proxy=proxy)
        answer = await client.request("GET", "/v2/", timeout=60)
        await client.close()
    assert answer.body == b"/v2/"
    assert heads[0].startswith(b"GET http://registry.example:5000/v2/ HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in heads[0]


async def test_tls_goes_through_a_tunnel_to_the_server_named(start, home) -> None:
    server = await start(hello, ssl=serving(home))
    async with tunnelling(server.port) as (proxy, heads):
        client = HttpClient("https://localhost:5000", client_context(str(home.ca_certificate)), proxy=proxy)
        assert (await client.request("GET", "/v2/", timeout=60)).body == b"/v2/"
        assert (await client.request("GET", "/again", timeout=60)).body == b"/again"
        await client.close()
    assert heads == [
        b"CONNECT localhost:5000 HTTP/1.1\r\nHost: localhost:5000\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    ]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"nonsense\r\n\r\n"])
async def test_a_proxy_that_refuses_means_not_connected(start, home, answer: bytes) -> None:
    server = await start(hello, ssl=serving(home))
    async with tunnelling(server.port, answer) as (proxy, _):
        client = HttpClient("https://localhost:5000", client_context(str(home.ca_certificate)), proxy=proxy)
        with pytest.raises(NotConnected):
            await client.request("GET", "/", timeout=60)
        await client.close()


async def test_a_server_without_tls_is_told_in_go_s_words(start) -> None:
    server = await start(hello)
    client = HttpClient(f"https://localhost:{server.port}", client_context())
    with pytest.raises(NotConnected) as caught:
        await client.request("GET", "/", timeout=60)
    cause = caught.value.__cause__
    assert isinstance(cause, ssl.SSLError)
    assert in_go_words(cause, "h:1") == "http: server gave HTTP response to HTTPS client"


async def test_a_certificate_of_nobody_s_is_told_in_go_s_words(start, home) -> None:
    server = await start(hello, ssl=serving(home))
    client = HttpClient(f"https://localhost:{server.port}", client_context())
    with pytest.raises(NotConnected) as caught:
        await client.request("GET", "/", timeout=60)
    words = in_go_words(caught.value.__cause__, "h:1")  # type: ignore[arg-type]
    assert words == "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def test_a_name_that_nobody_knows_is_told_in_go_s_words() -> None:
    error = socket.gaierror(-2, "Name or service not known")
    assert in_go_words(error, "nowhere.example:443") == "dial tcp: lookup nowhere.example: no such host"
