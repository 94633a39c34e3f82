"""Serves HTTP/1.1 on a socket: the public face of the server side.

Cheap on purpose (a small answer costs one write and no task) and thin: it knows framing, order, limits
and time-outs, nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ssl import SSLContext

from .connection import Connection
from .messages import (
    DEFAULT_LIMITS,
    Answer,
    Body,
    Handler,
    Headers,
    Limits,
    Request,
    Response,
    Streaming,
    Upgrade,
    chunk,
)

__all__ = [
    "DEFAULT_LIMITS",
    "Answer",
    "Body",
    "Handler",
    "Headers",
    "Limits",
    "Request",
    "Response",
    "Server",
    "Streaming",
    "Upgrade",
    "chunk",
    "serve",
]

SWEEP_S = 2.0
"""How often connections are looked at that are near their deadlines."""
SLOW = 15
"""How many times more rarely while all deadlines are far: an idle daemon should sleep."""


def _too_large(request: Request) -> Response:
    return Response(413, b"request entity too large\n", "text/plain; charset=utf-8")


def _failed(request: Request, error: Exception) -> Response:
    return Response(500, b"internal error\n", "text/plain; charset=utf-8")


def _everybody(address: str) -> bool:
    return True


class Server:
    """A listening socket and its connections; made by `serve`."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        too_large: Callable[[Request], Response],
        failed: Callable[[Request, Exception], Response],
        admits: Callable[[str], bool],
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.too_large = too_large
        self.failed = failed
        self._admits = admits
        self.closing = False
        self.connections: set[Connection] = set()
        self._upgraded: set[asyncio.Transport] = set()
        self._listener: asyncio.Server
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()

    @property
    def port(self) -> int:
        """The TCP port; 0 on a unix socket."""
        name = self._listener.sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    async def listen(self, host: str, port: int, sock: socket.socket | None, ssl: SSLContext | None) -> None:
        def protocol() -> Connection:
            return Connection(self)

        handshake_s = self.limits.handshake_s if ssl else None
        if sock is not None and sock.family == socket.AF_UNIX:
            self._listener = await self._loop.create_unix_server(
                protocol, sock=sock, ssl=ssl, ssl_handshake_timeout=handshake_s
            )
        elif sock is not None:
            self._listener = await self._loop.create_server(
                protocol, sock=sock, ssl=ssl, backlog=1024, ssl_handshake_timeout=handshake_s
            )
        else:
            self._listener = await self._loop.create_server(
                protocol, host, port, ssl=ssl, backlog=1024, ssl_handshake_timeout=handshake_s
            )

    async def close(self, deadline_s: float = 5.0) -> None:
        """Stops listening, ends streams and idle connections, and gives answers under way `deadline_s` to finish."""
        self.closing = True
        self._listener.close()
        for connection in tuple(self.connections):
            connection.close()
        for transport in self._upgraded:
            if not transport.is_closing():  # asyncio's cannot be aborted once they are closed
                transport.abort()
        if self.connections:
            try:
                async with asyncio.timeout(deadline_s):
                    await self._emptied.wait()
            except TimeoutError:
                for connection in tuple(self.connections):
                    connection.abort()
                await asyncio.sleep(0)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self.closing or not self._admits(connection.peer_address):
            connection.turn_away()
            return
        if len(self.connections) > self.limits.idle_connections:
            self._make_room(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _make_room(self, newest: Connection) -> None:
        """Ends idle connections, nearest deadline first; some more than are too many, to do it seldom."""
        most = self.limits.idle_connections
        idle = [one for one in self.connections if one.is_idle and one is not newest]
        if len(idle) < most:
            return
        idle.sort(key=lambda one: one.deadline or 0.0)
        for connection in idle[: len(idle) - most + max(1, most // 16)]:
            connection.close()

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self.closing and not self.connections:
            self._emptied.set()

    def handed_over(self, transport: asyncio.Transport) -> None:
        # Not weakly: uvloop's TLS transports cannot be.
        self._upgraded = {other for other in self._upgraded if not other.is_closing()}
        self._upgraded.add(transport)

    def _sweep(self) -> None:
        """Drops the connections that are past their deadline. One timer for all, and none without connections."""
        now = self._loop.time()
        delay_s = SLOW * SWEEP_S
        for connection in tuple(self.connections):
            if connection.deadline is None:
                continue
            if connection.deadline <= now:
                connection.abort()
            elif connection.deadline - now < 2 * SLOW * SWEEP_S:
                delay_s = SWEEP_S
        self._sweeper = self._loop.call_later(delay_s, self._sweep) if self.connections else None


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    ssl: SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
    too_large: Callable[[Request], Response] = _too_large,
    failed: Callable[[Request, Exception], Response] = _failed,
    admits: Callable[[str], bool] = _everybody,
) -> Server:
    """Listens and answers with `handler`.

    An answer that the handler returns is sent at once; an awaitable gets a task, which is cancelled when
    the client goes away (a write in flight is the handler's to shield). `too_large` answers a request whose
    body passes the limit (it gets the request without body), `failed` one whose handler raised. Connections
    from an address that `admits` does not want are closed before anything is read.
    """
    server = Server(handler, limits, too_large, failed, admits)
    await server.listen(host, port, sock, ssl)
    return server
