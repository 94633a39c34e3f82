"""Both event loops, raw sockets to a server, and servers that end with their test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from holdfast.wire.http import Handler, Server, serve


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


class RawClient:
    """Sends bytes as they are and reads what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_until(self, mark: bytes, within_s: float = 60.0) -> bytes:
        async with asyncio.timeout(within_s):
            return await self.reader.readuntil(mark)

    async def read_all(self, within_s: float = 60.0) -> bytes:
        """Everything up to the server's closing."""
        async with asyncio.timeout(within_s):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, head and body of the next answer with a Content-Length, or chunked."""
        head = (await self.read_until(b"\r\n\r\n")).decode()
        status_line, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
        body = b""
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self.read_until(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.read_until(b"\r\n")
        return int(status_line.split()[1]), headers, body

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Start = Callable[..., Awaitable[Server]]
Dial = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers; all are closed after the test."""
    servers: list[Server] = []

    async def run(handler: Handler, **options: Any) -> Server:
        server = await serve(handler, **options)
        servers.append(server)
        return server

    yield run
    for server in servers:
        await server.close(deadline_s=0.2)


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens raw connections; all are closed after the test."""
    clients: list[RawClient] = []

    async def connect(server: Server, **options: Any) -> RawClient:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", server.port, **options))
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()
