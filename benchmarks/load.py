"""Requests over TLS as fast as the server takes them, cheaply enough not to be what is measured.

A connection sends its next request when the last one's answer is whole. Requests are bytes made before the clock
starts or by a format operation; of an answer only the status line and the length are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

DRAIN_S = 30.0
"""How long the last answers may take to come."""


@dataclass(frozen=True)
class Target:
    """Where the server is, and what it takes to be let in."""

    host: str
    port: int
    authority: Path
    token: str

    def request(
        self, method: str, path: str, body: bytes = b"", media_type: str = "application/json", **more: str
    ) -> bytes:
        """One request as it goes over the wire; `more` are further headers, with _ for -."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Authorization: Bearer {self.token}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in more.items()),
        ]
        if body:
            lines += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@dataclass
class Load:
    """What one run of requests has seen."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    """The beginnings of answers that were no success."""

    @property
    def count(self) -> int:
        return len(self.latencies_s)

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Sender(asyncio.Protocol):
    """One connection that sends what `requests` yields, one after the other."""

    def __init__(self, requests: Iterator[bytes], load: Load, until: Callable[[], bool]) -> None:
        self._requests = requests
        self._load = load
        self._is_over = until
        self._head = bytearray()
        self._missing = 0
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._load.failures.append(b"connection lost")
            self.done.set_result(None)

    def send(self) -> None:
        request = None if self._is_over() else next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._head[:end])
            at = head.index(b"Content-Length: ") + 16
            self._missing = int(head[at:].split(b"\r\n", 1)[0]) - (len(self._head) - end - 4)
            if head[9:10] != b"2":
                self._load.failures.append(bytes(self._head[:600]))
            self._head.clear()
        if self._missing == 0:
            self._load.latencies_s.append(time.perf_counter() - self._began)
            self.send()


class Frames:
    """Counts the events in a stream that comes in pieces of any size."""

    MARK = b',"object":{"kind"'

    def __init__(self) -> None:
        self._tail = b""

    def count(self, data: bytes) -> int:
        data = self._tail + data
        self._tail = data[1 - len(self.MARK) :]
        return data.count(self.MARK)


class Watcher(asyncio.Protocol):
    """One watch: counts the events it is told of."""

    def __init__(self, request: bytes, heard: Callable[[int], None]) -> None:
        self._request = request
        self._heard = heard
        self._frames = Frames()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(None)
        self._heard(self._frames.count(data))


async def run(target: Target, sources: list[Iterator[bytes]], seconds: float) -> Load:
    """Sends from every source over a connection of its own, until it is empty or `seconds` have gone."""
    load, loop, context = Load(), asyncio.get_running_loop(), target.context()
    deadline = [0.0]

    def is_over() -> bool:
        return time.perf_counter() >= deadline[0]

    senders = []
    for source in sources:
        _, sender = await loop.create_connection(
            lambda source=source: Sender(source, load, is_over), target.host, target.port, ssl=context
        )
        senders.append(sender)
    begin = time.perf_counter()
    deadline[0] = begin + seconds
    for sender in senders:
        sender.send()
    try:
        async with asyncio.timeout(seconds + DRAIN_S):
            await asyncio.gather(*(sender.done for sender in senders))
    finally:
        load.seconds = time.perf_counter() - begin
        for sender in senders:
            sender.transport.abort()
    return load


@contextlib.asynccontextmanager
async def watching(target: Target, path: str, count: int, heard: Callable[[int], None]) -> AsyncIterator[None]:
    """`count` watches on connections of their own, all opened."""
    loop, context = asyncio.get_running_loop(), target.context()
    request = target.request("GET", path)
    watchers: list[Watcher] = []
    try:
        for _ in range(count):
            _, watcher = await loop.create_connection(
                lambda: Watcher(request, heard), target.host, target.port, ssl=context
            )
            watchers.append(watcher)
        await asyncio.gather(*(watcher.opened for watcher in watchers))
        yield
    finally:
        for watcher in watchers:
            watcher.transport.abort()


def complete(work: Any) -> Any:
    """Runs a coroutine to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
