"""An agent with one pod, an API server's front before it, and clients of both protocols."""

from __future__ import annotations

import asyncio
import random
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.errors import ApiError
from holdfast.apiserver import responses
from holdfast.apiserver.options import parse_query
from holdfast.apiserver.streams import PodStreams
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.node.server import AgentServer
from holdfast.node.streaming import ContainerView
from holdfast.wire import http, websocket
from holdfast.wire.client import HttpClient, HttpResponse
from holdfast.wire.duplex import Duplex
from holdfast.wire.spdy import SpdyConnection, SpdyStream
from holdfast.wire.websocket import WebSocket
from holdfast.world import SystemClock

from .local_runtime import LocalRuntime, OnePod

POD = {
    "metadata": {"name": "web-0", "namespace": "default", "uid": "0b5c"},
    "spec": {
        "nodeName": "n1",
        "initContainers": [{"name": "init"}],
        "containers": [{"name": "web"}],
    },
}


@dataclass
class SpdyClient:
    """A SPDY session after its upgrade."""

    connection: SpdyConnection
    version: str
    running: asyncio.Task[None]

    def open(self, **headers: str) -> SpdyStream:
        return self.connection.open(headers)

    async def read_all(self, stream: SpdyStream) -> bytes:
        data = b""
        async with asyncio.timeout(60):
            while piece := await stream.read():
                data += piece
        return data


@dataclass
class Streaming:
    """Everything between a client and a container."""

    source: OnePod
    agent: AgentServer
    runtime: LocalRuntime
    log: Path
    client: HttpClient
    pod: dict[str, Any] = field(default_factory=lambda: POD)
    open_clients: list[Any] = field(default_factory=list)

    def target(self, subresource: str, query: Sequence[tuple[str, str]]) -> str:
        return f"/api/v1/namespaces/default/pods/web-0/{subresource}?{urllib.parse.urlencode(query)}"

    async def get(self, subresource: str, *query: tuple[str, str]) -> HttpResponse:
        return await self.client.request("GET", self.target(subresource, query), timeout=60)

    async def websocket(
        self, subresource: str, *query: tuple[str, str], subprotocols: Sequence[str] = ("v5.channel.k8s.io",)
    ) -> tuple[WebSocket | None, HttpResponse]:
        socket, response = await websocket.connect(
            self.client, self.target(subresource, query), random.Random(1), subprotocols=subprotocols, timeout=60
        )
        if socket is not None:
            self.open_clients.append(socket)
        return socket, response

    async def spdy(
        self, subresource: str, *query: tuple[str, str], versions: str = "v4.channel.k8s.io, channel.k8s.io"
    ) -> tuple[SpdyClient | None, HttpResponse]:
        duplexes: list[Duplex] = []

        def begin(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            duplexes.append(Duplex(transport, received))
            return duplexes[0]

        headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
        if versions:
            headers.append(("X-Stream-Protocol-Version", versions))
        response = await self.client.upgrade("POST", self.target(subresource, query), headers, begin, 60)
        if not duplexes:
            return None, response
        self.open_clients.append(duplexes[0])
        connection = SpdyConnection(duplexes[0], is_client=True)
        running = asyncio.create_task(connection.run())
        return SpdyClient(connection, response.headers["x-stream-protocol-version"], running), response


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A data directory with an authority and the certificates of two nodes."""
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), ["n1", "n2"], ["10.96.0.1"])
    return made


@pytest.fixture
async def streaming(tmp_path: Path) -> AsyncIterator[Streaming]:
    log = tmp_path / "0.log"
    web = ContainerView(running_id="c1", log_path=str(log), log_id="c1", stdin=True)
    source = OnePod({"web": web, "init": ContainerView(waiting_reason="PodInitializing")}, {"c1"})
    runtime = LocalRuntime()
    agent = AgentServer(source, runtime, is_trusted=lambda certificate: True)
    port = await agent.listen("127.0.0.1", 0, None)
    node = {"metadata": {"annotations": {"holdfast.dev/agent-address": f"127.0.0.1:{port}"}}}
    streams = PodStreams(NodeDialer({"n1": node}.get, None), SystemClock())
    rig = Streaming(source, agent, runtime, log, HttpClient("http://unset"))

    def front(request: http.Request) -> Any:
        try:
            return streams(request, rig.pod, request.path.rpartition("/")[2], parse_query(request.query))
        except ApiError as error:
            return responses.refusal(error)

    server = await http.serve(front)
    rig.client = HttpClient(f"http://127.0.0.1:{server.port}")
    yield rig
    for client in rig.open_clients:
        client.abort()
    await rig.client.close()
    await server.close(deadline_s=0.5)
    await streams.close()
    await agent.close()
    assert all(process.has_ended for process in runtime.started)
