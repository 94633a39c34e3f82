"""A whole API server on a store in memory, and a client that hands it requests without a socket."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.apiserver.auth.user import User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.store.memory import MemoryStore
from holdfast.wire.messages import Body, Request, Response, Streaming, unchunk
from holdfast.world import World

ADMIN = "admin-token"
JANE = "jane-token"


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Within a thousand turns of the loop."""
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("not in time")


class StoppedClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic_s(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.seconds += seconds


class Wire(asyncio.Transport):
    """The server's end of a stream: what was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


@dataclass
class Stream:
    """A watch under way."""

    wire: Wire
    body: Body
    _read: int = 0

    @property
    def content(self) -> bytes:
        return unchunk(bytes(self.wire.written).removesuffix(b"0\r\n\r\n"))

    async def events(self, count: int, within_s: float = 60.0) -> list[dict[str, Any]]:
        """The next `count` events."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            lines = self.content.splitlines()[self._read :]
            if len(lines) >= count:
                self._read += count
                return [json.loads(line) for line in lines[:count]]
            assert asyncio.get_running_loop().time() < deadline, f"only {len(lines)} of {count} events: {lines}"
            await asyncio.sleep(0.001)

    async def silence(self) -> None:
        """Nothing more has come, after everything that was under way."""
        for _ in range(50):
            await asyncio.sleep(0)
        assert self.content.splitlines()[self._read :] == []

    @property
    def has_ended(self) -> bool:
        return self.body.closed


@dataclass
class Answer:
    code: int
    body: Any
    headers: dict[str, list[str]] = field(default_factory=dict)
    content_type: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.body[key]


class Web:
    """Requests as they come off the wire."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    async def send(
        self, method: str, target: str, body: Any = None, *, token: str = ADMIN, headers: dict[str, str] | None = None
    ) -> Response | Streaming | Any:
        path, _, query = target.partition("?")
        given = {"authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            given["content-type"] = "application/json"
        request = Request(method, path, query, {**given, **(headers or {})}, body or b"")
        answer = self.server.handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    async def __call__(self, method: str, target: str, body: Any = None, **options: Any) -> Answer:
        answer = await self.send(method, target, body, **options)
        assert isinstance(answer, Response), answer
        headers: dict[str, list[str]] = {}
        for name, value in answer.headers:
            headers.setdefault(name, []).append(value)
        is_json = answer.content_type.startswith("application/json") and answer.body
        content = json.loads(answer.body) if is_json else answer.body.decode()
        return Answer(answer.status, content, headers, answer.content_type)

    async def watch(self, target: str, **options: Any) -> Stream:
        answer = await self.send("GET", target, **options)
        assert isinstance(answer, Streaming), getattr(answer, "body", answer)
        wire = Wire()
        body = Body(wire, True, lambda: None)
        answer.start(body)
        return Stream(wire, body)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def world(clock: StoppedClock) -> World:
    return World(clock, random.Random(7))


@pytest.fixture
async def store(clock: StoppedClock) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock)
    await store.open()
    yield store
    await store.close()


CONFIG = Config(tokens={ADMIN: User("admin", ("system:masters",)), JANE: User("jane")}, address="192.0.2.1:6443")


@pytest.fixture
async def server(store: MemoryStore, world: World) -> AsyncIterator[ApiServer]:
    """With the namespace `ns`, whose default account exists."""
    server = ApiServer(store, world, CONFIG)
    await server.open()
    client = server.client("test")
    await client.create(NAMESPACES, {"metadata": {"name": "ns"}})
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "ns"}})
    yield server
    await server.close()


@pytest.fixture
def web(server: ApiServer) -> Web:
    return Web(server)


@pytest.fixture
def admin_token() -> str:
    """Of a user in system:masters."""
    return ADMIN


@pytest.fixture
def jane_token() -> str:
    """Of a user without any rights of her own."""
    return JANE


SOON_S = 3.0
"""What one request may cost of the processor. The worst bodies have 3 MiB."""


@pytest.fixture
def ask(web: Web, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sends a request and holds the answer against what every answer has to be."""

    monkeypatch.setattr("holdfast.apiserver.reads.FUTURE_S", 0.01)

    def give_up(number: int, frame: Any) -> None:
        raise TimeoutError("the server is stuck")

    signal.signal(signal.SIGPROF, give_up)

    async def send(method: str, target: str, body: Any = None, **options: Any) -> Any:
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 2 * SOON_S)
        try:
            answer = await web(method, target, body, **options)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - began
        shown = f"{method} {target[:200]}: {answer.code} {str(answer.body)[:600]}"
        assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")], shown
        assert "InternalError" not in str(answer.body), shown
        if answer.code >= 400 and target.startswith("/api") and answer.body not in ("", "404 page not found\n"):  # A23
            status = yaml.safe_load(answer.body) if answer.content_type == "application/yaml" else answer.body
            assert isinstance(status, dict), shown
            assert status["kind"] == "Status", shown
            assert status["code"] == answer.code, shown
        assert took < SOON_S, f"took {took:.1f} s: {shown}"
        return answer

    return send
