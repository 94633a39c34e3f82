"""The way to one server: straight, by a Unix socket, dialled elsewhere, or through a proxy; with TLS or without."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext
from urllib.parse import SplitResult

from .client_connection import ClientConnection, NotConnected
from .proxies import open_tunnel

Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Gives a connection to host and port, made elsewhere than in this process' own network. Raises OSError."""
Make = Callable[[], ClientConnection]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server, and how it is reached."""

    host: str
    port: int
    tls: SSLContext | None
    server_hostname: str | None
    """The name that its certificate must carry; None without TLS."""
    unix_socket: str = ""
    dial: Dial | None = None
    proxy: SplitResult | None = None

    def __str__(self) -> str:
        return self.unix_socket or f"{self.host}:{self.port}"

    async def connect(self, make: Make, timeout_s: float) -> ClientConnection:
        """Raises NotConnected."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(make)
        except TimeoutError as error:
            raise NotConnected(f"connecting to {self}: timed out") from error
        except OSError as error:  # includes ssl.SSLError
            raise NotConnected(f"connecting to {self}: {error}") from error

    async def _open(self, make: Make) -> ClientConnection:
        loop, tls, hostname = asyncio.get_running_loop(), self.tls, self.server_hostname
        if self.unix_socket:
            _, connection = await loop.create_unix_connection(make, self.unix_socket, ssl=tls, server_hostname=hostname)
        elif self.dial is not None:
            connected = await self.dial(self.host, self.port)
            _, connection = await loop.create_connection(make, sock=connected, ssl=tls, server_hostname=hostname)
        elif self.proxy is None:
            _, connection = await loop.create_connection(make, self.host, self.port, ssl=tls, server_hostname=hostname)
        elif tls is None:
            _, connection = await loop.create_connection(make, self.proxy.hostname or "", self.proxy.port or 80)
        else:
            connection = await self._through_tunnel(make, self.proxy, tls)
        return connection

    async def _through_tunnel(self, make: Make, proxy: SplitResult, tls: SSLContext) -> ClientConnection:
        host = f"[{self.host}]" if ":" in self.host else self.host
        transport = await open_tunnel(proxy, f"{host}:{self.port}")
        connection = make()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, connection, tls, server_hostname=self.server_hostname
            )
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise ConnectionResetError("the connection was closed")
        connection.connection_made(secured)
        return connection
