"""The longest time that anything holds the event loop of the API server: nobody may wait 5 ms for somebody else.

The server runs in this process, on a loop that measures the CPU time of each of its turns, so that what else the
machine does counts for nothing. Encryption is left out, the collector of cycles is not.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from asyncio import events
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.apiserver.auth.user import User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client.informer import Informers
from holdfast.cluster.cycles import collect_when_idle
from holdfast.store.sqlite import SqliteStore
from holdfast.wire.http import serve
from holdfast.world import real_world

from .api import TABLE, pod
from .load import Frames

OBJECTS = 20_000
WATCHERS = 1_000
GOAL_MS = 5.0
PATH = "/api/v1/namespaces/default/pods"
TOKEN = "turns"


class Turns:
    """The longest callbacks in milliseconds of CPU time."""

    def __init__(self) -> None:
        self.longest: list[tuple[float, str]] = []
        self._run = events.Handle._run

    def __enter__(self) -> Turns:
        def measured(handle: Any) -> None:
            begin = time.thread_time()
            self._run(handle)
            took = 1e3 * (time.thread_time() - begin)
            if took > 1:
                self.longest.append((round(took, 1), _name(handle)))

        events.Handle._run = measured  # type: ignore[method-assign,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        events.Handle._run = self._run  # type: ignore[method-assign]

    def seen(self) -> dict[str, Any]:
        longest = sorted(self.longest, reverse=True)[:3]
        worst = longest[0][0] if longest else 0.0
        return {"longest_ms": worst, "over_1_ms": len(self.longest), "where": longest, "met": worst <= GOAL_MS}


def _name(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    return str(task.get_coro().__qualname__ if isinstance(task, asyncio.Task) else callback)[:90]


class Client(asyncio.Protocol):
    """Reads all that comes and keeps none of it; `done` when an answer is whole, or so many events have come."""

    def __init__(self, request: bytes, events_wanted: int = 0) -> None:
        self._request = request
        self._events = events_wanted
        self._frames = Frames()
        self._missing = -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._events:
            self._events = max(0, self._events - self._frames.count(data))
            has_all = self._events == 0
        elif self._missing < 0:
            head, _, body = data.partition(b"\r\n\r\n")
            self._missing = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]) - len(body)
            has_all = self._missing == 0
        else:
            self._missing -= len(data)
            has_all = self._missing == 0
        if has_all and not self.done.done():
            self.done.set_result(None)


async def _asked(port: int, query: str = "", accept: str = "application/json", events_wanted: int = 0) -> None:
    """One request, until its answer is there."""
    text = f"GET {PATH}{query} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nAccept: {accept}\r\n\r\n"
    transport, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Client(text.encode(), events_wanted), "127.0.0.1", port
    )
    try:
        async with asyncio.timeout(60):
            await protocol.done
    finally:
        transport.close()


def measure() -> dict[str, Any]:
    """Every kind of work that grows with objects or watchers."""
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as directory, Turns() as turns:
        return asyncio.run(_measured(Path(directory) / "state.db", turns))


async def _measured(database: Path, turns: Turns) -> dict[str, Any]:
    result: dict[str, Any] = {}

    async def seen(name: str, work: Awaitable[Any]) -> Any:
        turns.longest = []
        found = await work
        result[name] = turns.seen()
        return found

    collector = asyncio.create_task(collect_when_idle(real_world().clock))
    server, store = await _opened(database)
    await server.client("bench").create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    await seen(f"creating_{OBJECTS}", _fill(server))
    await server.close()
    await store.close()
    server, store = await seen(f"opening_{OBJECTS}", _opened(database))
    await seen(f"informing_of_{OBJECTS}", _informed(server))
    listening = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    ask = partial(_asked, listening.port)
    await seen(f"list_{OBJECTS}", ask())
    await seen("table_500", ask("?limit=500", TABLE))
    await seen(f"table_{OBJECTS}", ask("", TABLE))
    await seen(f"label_in_{OBJECTS}", ask("?labelSelector=group%3Dg7"))
    await seen(f"field_in_{OBJECTS}", ask("?fieldSelector=spec.nodeName%3Dn7"))
    await seen(f"watch_of_{OBJECTS}", ask("?watch=1", events_wanted=OBJECTS))
    await seen(f"fan_out_to_{WATCHERS}", _fan_out(server, listening.port))
    await seen("compaction", store.compact(store.revision))
    collector.cancel()
    await listening.close()
    await server.close()
    await store.close()
    return result


async def _opened(database: Path) -> tuple[ApiServer, SqliteStore]:
    world = real_world()
    store = SqliteStore(database, world.clock)
    await store.open()
    server = ApiServer(store, world, Config(tokens={TOKEN: User("admin", ("system:masters",))}))
    await server.open()
    return server, store


async def _fill(server: ApiServer) -> None:
    client = server.client("bench")
    for begin in range(0, OBJECTS, 50):
        pods = (pod(f"pod-{i:05}", i // 10) for i in range(begin, begin + 50))
        await asyncio.gather(*(client.create(PODS, one, "default") for one in pods))


async def _informed(server: ApiServer) -> None:
    informers = Informers(server.client("bench"), real_world())
    informers.of(PODS)
    running = asyncio.create_task(informers.run())
    await asyncio.sleep(0)
    await informers.wait_synced()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _fan_out(server: ApiServer, port: int) -> None:
    query = "?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dpod-00001"
    watches = [asyncio.create_task(_asked(port, query, events_wanted=11)) for _ in range(WATCHERS)]
    while server.hub(PODS).watchers < WATCHERS:  # noqa: ASYNC110 (nothing tells)
        await asyncio.sleep(0.05)
    client = server.client("bench")
    for turn in range(10):
        await client.patch(PODS, "pod-00001", {"metadata": {"labels": {"round": f"fan-{turn}"}}}, "default")
    await asyncio.gather(*watches)
