"""Asks a name server from a process of its own, so that the asking does not take the server's time.

As a program: `asking.py follow PORT` reads names from standard input and asks for each until it is there;
`asking.py flood PORT COUNT SECONDS` asks for those names over and over, COUNT at a time. Both write JSON lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

WITHIN_S = 60.0
ASK_EVERY_S = 0.00025
"""Between two questions; with more names than one, each has its turn."""
LOST_AFTER_S = 1.0
_HEADER = struct.Struct("!HHHHHH")
_NXDOMAIN = 3


@dataclass(frozen=True)
class Found:
    """Times are of the machine's monotonic clock."""

    at_s: float
    """When the first answer with an address had come."""
    last_denied_s: float
    """When the last question was sent that was answered with "no such name"; 0 for none."""


class Asker:
    """The process that follows names, as seen from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._found: dict[str, Found] = {}
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, port: int) -> Asker:
        process = await _process("follow", str(port))
        assert process.stdout is not None
        await process.stdout.readline()  # it has started
        return cls(process)

    async def ask(self, key: str, name: str) -> None:
        """From now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{key} {name}\n".encode())
        await self._process.stdin.drain()

    async def found(self, keys: Iterable[str]) -> None:
        """Returns when all of them are there."""
        wanted = set(keys)
        async with asyncio.timeout(WITHIN_S):
            while not wanted <= self._found.keys():
                self._more.clear()
                await self._more.wait()

    async def stop(self) -> dict[str, Found]:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()
        await self._reading
        return self._found

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            self._found[told["key"]] = Found(told["at_s"], told["last_denied_s"])
            self._more.set()


async def flood(port: int, names: list[str], on_their_way: int, seconds: float) -> dict[str, Any]:
    """What that many questions at a time find out."""
    process = await _process("flood", str(port), str(on_their_way), str(seconds))
    output, _ = await process.communicate("\n".join(names).encode())
    return json.loads(output)


async def _process(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments, stdin=pipe, stdout=pipe)


# The process itself


def query(number: int, name: str) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def _follow(port: int) -> None:
    """Each name is asked for again before it was answered; ids tell the questions apart."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.connect(("127.0.0.1", port))
        server.setblocking(False)
        following: dict[str, str] = {}
        denied_s: dict[str, float] = {}
        sent: dict[int, tuple[str, float]] = {}
        number, lines = 0, b""
        waiting = selectors.DefaultSelector()
        for source in (server, sys.stdin):
            waiting.register(source, selectors.EVENT_READ)
        next_s = time.monotonic()
        print(flush=True)
        while True:
            for key, _ in waiting.select(max(0.0, next_s - time.monotonic()) if following else None):
                if key.fileobj is server:
                    for reply in _replies(server):
                        name, sent_s = sent.pop(_HEADER.unpack_from(reply)[0], ("", 0.0))
                        if name not in following:
                            continue
                        _, flags, _, answers, _, _ = _HEADER.unpack_from(reply)
                        if answers:
                            del following[name]
                            found = {"key": name, "at_s": time.monotonic(), "last_denied_s": denied_s.get(name, 0.0)}
                            print(json.dumps(found), flush=True)
                        elif flags & 0xF == _NXDOMAIN:
                            denied_s[name] = max(sent_s, denied_s.get(name, 0.0))
                else:
                    data = sys.stdin.buffer.raw.read(65536)  # type: ignore[attr-defined]
                    if not data:
                        return
                    *whole, lines = (lines + data).split(b"\n")
                    following.update(line.decode().split() for line in whole)  # type: ignore[arg-type]
            if following and time.monotonic() >= next_s:
                next_s = time.monotonic() + ASK_EVERY_S * len(following)
                for name, asked in following.items():
                    number = (number + 1) & 0xFFFF
                    sent[number] = (name, time.monotonic())
                    server.send(query(number, asked))


def _replies(server: socket.socket) -> Iterable[bytes]:
    while True:
        try:
            yield server.recv(4096)
        except BlockingIOError:
            return


def _flood(port: int, on_their_way: int, seconds: float) -> None:
    names = sys.stdin.read().split()
    random.Random(1).shuffle(names)
    latencies: list[float] = []
    sent: dict[int, float] = {}
    lost = 0
    queries = [query(0, name)[2:] for name in names]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.connect(("127.0.0.1", port))
        server.settimeout(LOST_AFTER_S)
        begin_s = time.perf_counter()

        def ask(number: int) -> None:
            sent[number] = time.perf_counter()
            server.send(struct.pack("!H", number) + queries[number % len(queries)])

        number = 0
        for number in range(on_their_way):
            ask(number)
        while time.perf_counter() - begin_s < seconds:
            try:
                reply = server.recv(4096)
            except TimeoutError:
                lost += len(sent)
                sent.clear()
            else:
                began_s = sent.pop(int.from_bytes(reply[:2], "big"), None)
                if began_s is not None:
                    latencies.append(time.perf_counter() - began_s)
            number = (number + 1) & 0xFFFF
            ask(number)
        took_s = time.perf_counter() - begin_s
    latencies.sort()
    told = {
        "per_second": round(len(latencies) / took_s),
        "p50_ms": round(1e3 * latencies[len(latencies) // 2], 3),
        "p99_ms": round(1e3 * latencies[len(latencies) * 99 // 100], 3),
        "lost": lost,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1] == "follow":
        _follow(int(sys.argv[2]))
    else:
        _flood(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
