"""One connection to a port of a pod, through the API server, as `kubectl port-forward` makes them (SPDY)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from holdfast.api.core.pod import PODS
from holdfast.client import Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.wire.client import ConnectionFailed, HttpClient
from holdfast.wire.duplex import Duplex
from holdfast.wire.spdy import SpdyConnection, SpdyStream

PROTOCOL = "portforward.k8s.io"
ANSWER_WITHIN_S = 30.0
PIECE_BYTES = 64 << 10


class Refused(Exception):
    """The pod's side did not take the connection, or lost it; the text is the cluster's."""


class Tunnel:
    """Both directions end independently, as those of a TCP connection do."""

    def __init__(self, data: SpdyStream, error: SpdyStream) -> None:
        self._data = data
        self._error = error

    async def refusal(self, within_s: float) -> str:
        """What the pod's side says against the connection, if it does so soon; before anything was sent."""
        try:
            async with asyncio.timeout(within_s):
                return await self._problem()
        except TimeoutError:
            return ""

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copies both ways until the pod's side has ended. Raises Refused."""
        sending = asyncio.create_task(self._send(reader))
        try:
            while piece := await self._data.read():
                writer.write(piece)
                await writer.drain()
            if problem := await self._problem():
                raise Refused(problem)
        except ConnectionError:
            self._data.reset()  # whoever asked has gone
        finally:
            sending.cancel()

    async def _send(self, reader: asyncio.StreamReader) -> None:
        try:
            while piece := await reader.read(PIECE_BYTES):
                await self._data.write(piece)
        except ConnectionError:
            self._data.reset()
        else:
            self._data.end()

    async def _problem(self) -> str:
        said = bytearray()
        while piece := await self._error.read():
            said += piece
        return said.decode(errors="replace")


@asynccontextmanager
async def tunnel(connection: Connection, namespace: str, pod: str, port: int) -> AsyncIterator[Tunnel]:
    """A connection for as long as the block lasts. Raises Unreachable: no API, no such pod, no running container."""
    authorization = [("Authorization", f"Bearer {connection.token}")] if connection.token else []
    http = HttpClient(connection.server, connection.ssl_context(), headers=authorization)
    duplexes: list[Duplex] = []

    def start(transport: asyncio.Transport, received: bytes) -> Duplex:
        duplexes.append(Duplex(transport, received))
        return duplexes[0]

    headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", PROTOCOL)]
    try:
        answer = await http.upgrade(
            "POST", PODS.path(namespace, pod, "portforward"), headers, start, timeout=ANSWER_WITHIN_S
        )
    except ConnectionFailed as failure:
        raise Unreachable(str(failure)) from failure
    if answer.status != 101:
        raise Unreachable(_message(answer.body))
    spdy = SpdyConnection(duplexes[0], is_client=True)
    running = asyncio.create_task(spdy.run())
    try:
        wanted = {"port": str(port), "requestid": "0"}
        error = spdy.open({"streamtype": "error", **wanted})
        error.end()  # nothing is ever said in this direction
        yield Tunnel(spdy.open({"streamtype": "data", **wanted}), error)
    finally:
        duplexes[0].close()
        with contextlib.suppress(asyncio.CancelledError):
            running.cancel()
            await running


def _message(body: bytes) -> str:
    """What a Status says, or whatever else came."""
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return body.decode(errors="replace").strip()
