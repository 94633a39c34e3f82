"""gRPC probes over real sockets, against servers made of h2, on either event loop that agents run on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from tests.ports import quiet_port

from holdfast.node.pod import Container, Role
from holdfast.node.probes import Kind, Result, Target
from holdfast.node.probes.grpc import PATH, check
from holdfast.node.probes.prober import NetworkProber

GRPC = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]
LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def message(*body: int) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + bytes(body)


SERVING = message(8, 1)


class Server:
    """Answers every call with `headers`, `body` and `trailers`; remembers what it was asked."""

    def __init__(self, headers=GRPC, body=SERVING, trailers=OK):
        self.headers, self.body, self.trailers = headers, body, trailers
        self.asked: dict[str, str] = {}
        self.request = b""
        self.left = asyncio.Event()

    async def serve(self, reader, writer):
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        writer.write(http.data_to_send())
        try:
            while data := await reader.read(65536):
                for event in http.receive_data(data):
                    match event:
                        case RequestReceived(headers=headers):
                            self.asked = dict(headers)
                        case DataReceived(data=data):
                            self.request += data
                        case StreamEnded(stream_id=stream):
                            self.answer(http, stream)
                writer.write(http.data_to_send())
        except ConnectionError:
            pass  # the probe drops its connection without a farewell
        finally:
            self.left.set()
            writer.close()

    def answer(self, http, stream):
        if self.headers is None:
            return  # never
        http.send_headers(stream, self.headers, end_stream=self.body is None)
        if self.body is not None:
            http.send_data(stream, self.body)
            http.send_headers(stream, self.trailers, end_stream=True)


@asynccontextmanager
async def listening(serve):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def probe(server, service="", timeout_s=60):
    async with listening(server.serve) as port:
        verdict = await check("127.0.0.1", port, service, timeout_s)
        async with asyncio.timeout(60):
            await server.left.wait()  # N240: the connection does not outlive the probe
    return verdict, port


@LOOPS
def test_n115_serving_is_success(loop_factory):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        verdict, _ = runner.run(probe(Server()))
    assert verdict.result is Result.SUCCESS


async def test_n115_the_call_is_the_health_protocol_s():
    server = Server()
    _, port = await probe(server, "shop.v1.Orders")
    assert server.asked[":path"] == PATH == "/grpc.health.v1.Health/Check"
    assert server.asked[":authority"] == f"127.0.0.1:{port}"
    assert server.asked["content-type"] == "application/grpc"
    assert server.asked["user-agent"].startswith("kube-probe/1.")
    assert server.asked["te"] == "trailers"
    assert server.request == message(0x0A, 14, *b"shop.v1.Orders")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        pytest.param({"body": message(8, 2)}, 'service unhealthy (responded with "NOT_SERVING")', id="not serving"),
        pytest.param({"body": message()}, 'service unhealthy (responded with "UNKNOWN")', id="unknown"),
        pytest.param({"body": message(8, 3)}, 'service unhealthy (responded with "SERVICE_UNKNOWN")', id="service"),
        pytest.param({"body": message(8, 9)}, 'service unhealthy (responded with "9")', id="a later state"),
        pytest.param(
            {"headers": [*GRPC, ("grpc-status", "5"), ("grpc-message", "unknown%20service")], "body": None},
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
            id="refused without a message",
        ),
        pytest.param(
            {"headers": [*GRPC, ("grpc-status", "12"), ("grpc-message", "unknown service Health")], "body": None},
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service Health",
            id="not implemented",
        ),
        pytest.param(
            {"headers": [*GRPC, ("grpc-status", "4")], "body": None},
            "timeout: health rpc did not complete within 1m0s",
            id="the server's own deadline",
        ),
        pytest.param(
            {"headers": [(":status", "503"), ("content-type", "text/html")], "body": None},
            "error: health rpc probe failed: rpc error: code = Unavailable desc = unexpected HTTP status code "
            'received from server: 503 (Service Unavailable); transport: received unexpected content-type "text/html"',
            id="another kind of server",
        ),
        pytest.param(
            {"trailers": [("grpc-status", "13"), ("grpc-message", "broken")]},
            "error: health rpc probe failed: rpc error: code = Internal desc = broken",
            id="a failure in the trailers counts more than the message",
        ),
    ],
)
async def test_n115_failures_have_the_kubelet_s_words(server, words):
    verdict, _ = await probe(Server(**server))
    assert (verdict.result, verdict.output) == (Result.FAILURE, words)


async def test_n115_a_server_that_does_not_answer_uses_up_the_timeout():
    verdict, _ = await probe(Server(headers=None), timeout_s=1)
    assert (verdict.result, verdict.output) == (Result.FAILURE, "timeout: health rpc did not complete within 1s")


async def test_n115_where_nobody_listens_the_timeout_is_used_up_too():
    port = quiet_port()
    verdict = await check("127.0.0.1", port, "", 1)
    assert verdict.result is Result.FAILURE
    expected = f'timeout: failed to connect service "127.0.0.1:{port}" within 1s: context deadline exceeded'
    assert verdict.output == expected


async def test_n115_what_does_not_speak_http2_was_never_connected_to():
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listening(serve) as port:
        verdict = await check("127.0.0.1", port, "", 1)
    assert verdict.output.startswith(f'timeout: failed to connect service "127.0.0.1:{port}"')


async def test_n115_a_server_that_comes_up_within_the_timeout_is_found():
    port = quiet_port()
    asking = asyncio.ensure_future(check("127.0.0.1", port, "", 60))
    await asyncio.sleep(0.1)
    server = await asyncio.start_server(Server().serve, "127.0.0.1", port)
    async with server:
        assert (await asking).result is Result.SUCCESS


async def test_n115_a_connection_that_breaks_is_told():
    async def serve(reader, writer):
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        writer.write(http.data_to_send())
        while data := await reader.read(65536):
            if any(isinstance(event, StreamEnded) for event in http.receive_data(data)):
                break
        writer.close()

    async with listening(serve) as port:
        verdict = await check("127.0.0.1", port, "", 60)
    assert verdict.result is Result.FAILURE
    unavailable = "error: health rpc probe failed: rpc error: code = Unavailable desc = error reading from server: "
    assert verdict.output.startswith(unavailable)


async def test_n115_the_probe_asks_the_pod_s_address_and_the_probe_s_port():
    server = Server()
    container = Container({"name": "app"}, Role.APP)
    async with listening(server.serve) as port:
        probe = {"grpc": {"port": port, "service": "db"}, "timeoutSeconds": 60}
        answer = await NetworkProber(None).ask(Kind.READINESS, probe, Target("id", container, "127.0.0.1"))
    assert answer.result is Result.SUCCESS
    assert server.request == message(0x0A, 2, *b"db")
