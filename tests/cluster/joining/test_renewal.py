"""Certificates of a machine that has joined are renewed in time, whatever is in the way, and used at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.api.certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS
from holdfast.api.core.node import NODES
from holdfast.client import Unreachable
from holdfast.client.remote import RemoteClient
from holdfast.cluster.certificates import pair, write_whole
from holdfast.cluster.home import Home
from holdfast.cluster.joining import renewal
from holdfast.cluster.joining.credentials import obtain
from holdfast.cluster.joining.refusal import CannotJoin
from holdfast.cluster.joining.renewal import Renewal
from holdfast.cluster.shown import Identity
from holdfast.cluster.signing import sign
from holdfast.simulation.loop import SimulatedClock, SimulatedLoop
from holdfast.wire.http import Response, serve
from holdfast.wire.tls import server_context
from holdfast.world import World

from .conftest import WORLD, running

CLIENT, SERVING = "node-far", "node-far-serving"
PERCENT = 8640.0
"""Of the life of a certificate, in seconds."""
KEY = ec.generate_private_key(ec.SECP256R1())


def put(home: Home, file: str, since: datetime, life: timedelta) -> None:
    """A pair that only says how long it lives."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, file)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(since + life)
    made = builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)
    write_whole(home, file, made, KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Far:
    """A machine with certificates of ten days, on time that jumps; `asked` tells when which was asked for."""

    life = timedelta(days=10)

    def __init__(self, home: Home, loop: SimulatedLoop, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        home.make()
        self.world = World(SimulatedClock(loop), random.Random(seed))
        self.begin = self.world.clock.now()
        self.asked: dict[str, list[float]] = {CLIENT: [], SERVING: []}
        self.in_the_way: Exception | None = None
        for file, name in ((CLIENT, "ask_as_client"), (SERVING, "ask_as_server")):
            put(home, file, self.begin, self.life)
            monkeypatch.setattr(renewal, name, self._answer(file))
        self.identity = Identity(home, "https://192.0.2.1:6443", "far")

    def _answer(self, file: str) -> Callable[..., Awaitable[None]]:
        async def ask(*arguments: Any) -> None:
            self.asked[file].append(self.now_s)
            if self.in_the_way is not None:
                raise type(self.in_the_way)(*self.in_the_way.args)
            put(self.home, file, self.world.clock.now(), self.life)

        return ask

    @property
    def now_s(self) -> float:
        return (self.world.clock.now() - self.begin).total_seconds()

    async def run_for(self, seconds: float) -> None:
        task = asyncio.create_task(Renewal(self.home, "url", self.identity, self.world).run())
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def far(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a body on a machine of its own."""

    def run(body: Callable[[Far], Awaitable[None]], seed: int = 1) -> None:
        loop = SimulatedLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop()
            runner.run(body(Far(Home(tmp_path / f"far-{seed}"), loop, seed, monkeypatch)))

    return run


@pytest.mark.parametrize("seed", range(5))
def test_each_is_renewed_between_70_and_90_percent_of_its_life_at_a_moment_of_its_own(far: Any, seed: int) -> None:
    async def body(machine: Far) -> None:
        await machine.run_for(69 * PERCENT)
        assert machine.asked == {CLIENT: [], SERVING: []}
        await machine.run_for(21.1 * PERCENT)
        first = [each for (each,) in machine.asked.values()]
        assert all(70 * PERCENT <= each <= 90 * PERCENT for each in first)
        assert first[0] != first[1]

    far(body, seed)


def test_again_and_again(far: Any) -> None:
    async def body(machine: Far) -> None:
        await machine.run_for(1000 * PERCENT)
        for moments in machine.asked.values():
            assert len(moments) in range(11, 15)
            assert all(70 <= (after - before) / PERCENT <= 90.1 for before, after in pairwise(moments))

    far(body)


def test_what_is_new_is_shown_at_once(far: Any) -> None:
    async def body(machine: Far) -> None:
        shown: list[tuple[float, str]] = []
        with machine.identity._as_client.by(lambda certificate, key: shown.append((machine.now_s, certificate))):
            await machine.run_for(91 * PERCENT)
        assert shown == [(machine.asked[CLIENT][0], str(pair(machine.home, CLIENT).certificate))]

    far(body)


IN_THE_WAY = pytest.mark.parametrize(
    "error", [Unreachable("away"), CannotJoin("denied"), OSError("no space left"), RuntimeError("a mistake")]
)


@IN_THE_WAY
def test_what_fails_is_tried_again_as_the_kubelet_does_it(far: Any, error: Exception) -> None:
    async def body(machine: Far) -> None:
        machine.in_the_way = error
        await machine.run_for(91 * PERCENT)
        moments = machine.asked[CLIENT]
        gaps = [after - before for before, after in pairwise(moments)]
        for gap, wanted in zip(gaps[:8], (2, 4, 8, 16, 32, 32, 32, 32), strict=True):
            assert wanted <= gap <= wanted * 1.1
        assert set(pair(machine.home, CLIENT).certificate.parent.iterdir()) == {
            machine.home.pki / f"{CLIENT}.pem",
            machine.home.pki / f"{SERVING}.pem",
        }

    far(body)


def test_it_gets_through_as_soon_as_nothing_is_in_the_way(far: Any) -> None:
    async def body(machine: Far) -> None:
        machine.in_the_way = Unreachable("away")
        running = asyncio.create_task(machine.run_for(99 * PERCENT))
        await asyncio.sleep(95 * PERCENT)
        machine.in_the_way = None
        tried = {file: len(moments) for file, moments in machine.asked.items()}
        await asyncio.sleep(36)
        for file, moments in machine.asked.items():
            assert len(moments) == tried[file] + 1
        await running

    far(body)


def test_one_that_somebody_else_has_renewed_is_left_alone(far: Any) -> None:
    """`holdfast node --join`, run once more, does it in a process of its own."""

    async def body(machine: Far) -> None:
        running = asyncio.create_task(machine.run_for(129 * PERCENT))
        await asyncio.sleep(60 * PERCENT)
        put(machine.home, CLIENT, machine.world.clock.now(), machine.life)
        await running
        assert machine.asked[CLIENT] == []
        assert len(machine.asked[SERVING]) == 1

    far(body)


def test_one_that_somebody_else_has_renewed_is_tried_no_further(far: Any) -> None:
    async def body(machine: Far) -> None:
        machine.in_the_way = Unreachable("away")
        running = asyncio.create_task(machine.run_for(99 * PERCENT))
        await asyncio.sleep(91 * PERCENT)
        put(machine.home, CLIENT, machine.world.clock.now(), machine.life)
        await asyncio.sleep(36)
        tried = len(machine.asked[CLIENT])
        await running
        assert len(machine.asked[CLIENT]) == tried

    far(body)


def test_one_that_has_ended_is_asked_for_at_once_and_it_is_said_what_helps(far: Any, caplog: Any) -> None:
    async def body(machine: Far) -> None:
        put(machine.home, CLIENT, machine.begin - timedelta(days=9), timedelta(days=8))
        machine.in_the_way = Unreachable("certificate required")
        await machine.run_for(1)
        assert machine.asked[CLIENT] == [0.0]

    with caplog.at_level(logging.WARNING):
        far(body)
    assert "holdfast node token" in caplog.text


def test_what_is_in_the_way_for_days_is_said_once(far: Any, caplog: Any) -> None:
    async def body(machine: Far) -> None:
        machine.in_the_way = Unreachable("away")
        await machine.run_for(91 * PERCENT)
        assert len(machine.asked[CLIENT]) > 100

    with caplog.at_level(logging.WARNING):
        far(body)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2


def test_those_that_live_for_seconds_are_not_asked_for_without_a_pause(far: Any) -> None:
    async def body(machine: Far) -> None:
        machine.life = timedelta(seconds=1)
        put(machine.home, CLIENT, machine.begin, machine.life)
        await machine.run_for(100)
        assert 45 <= len(machine.asked[CLIENT]) <= 100

    far(body)


# -- the real thing, with certificates of seconds ------------------------------------------------------------

LIFE_S = 5


@pytest.fixture
async def short_lived(tmp_path: Any) -> Any:
    """A cluster that signs for a few seconds, backdated by none."""

    def briefly(home: Home, order: Any) -> str:
        now = datetime.now(UTC)
        return sign(home, replace(order, since=now, until=now + timedelta(seconds=LIFE_S)))

    async with running(tmp_path / "cluster", briefly) as made:
        yield made


@contextlib.asynccontextmanager
async def beside(*coroutines: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, Exception):
                raise found


async def serial_at(port: int, home: Home) -> int:
    """Of what a server shows to somebody new."""
    context = ssl.create_default_context(cafile=str(home.ca_certificate))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="far")
    found = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return x509.load_der_x509_certificate(found).serial_number


def serial_in(home: Home, file: str) -> int:
    return x509.load_pem_x509_certificate(pair(home, file).certificate.read_bytes()).serial_number


async def test_requests_watches_and_a_server_outlive_the_certificates_that_they_began_with(
    short_lived: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "RENEWED_AT", (0.4, 0.5))  # so that a slow machine has seconds for it
    home, url = Home(tmp_path / "far"), f"https://{short_lived.address}"
    await obtain(short_lived.address, await short_lived.token(), short_lived.ca_hash, "far", home, WORLD)
    first = {file: serial_in(home, file) for file in (CLIENT, SERVING)}
    ended = asyncio.get_running_loop().time() + LIFE_S
    identity = Identity(home, url, "far")
    files = pair(home, SERVING)
    context = server_context(str(files.certificate), str(files.key))
    door = await serve(lambda request: Response(200), host="127.0.0.1", port=0, ssl=context)
    arrived = asyncio.Event()

    async def watch(client: RemoteClient) -> None:
        async for event in client.watch(NODES):
            if event.type == "ADDED":
                arrived.set()

    with identity.serving(context):
        async with identity.client() as client, asyncio.timeout(40):
            renewing = Renewal(home, url, identity, WORLD).run()
            async with beside(watch(client), renewing):
                while asyncio.get_running_loop().time() < ended + LIFE_S:
                    await client.list(NODES)
                    assert await serial_at(door.port, home)
                    await asyncio.sleep(0.1)
                await short_lived.client.create(NODES, {"metadata": {"name": "late"}})
                await arrived.wait()
                for file, serial in first.items():
                    assert serial_in(home, file) != serial
    await door.close()
    made = (await short_lived.client.list(CERTIFICATE_SIGNING_REQUESTS)).items
    assert len(made) >= 6
    assert len({each["spec"]["request"] for each in made}) == len(made), "each with a key of its own"
    assert {path.name for path in home.pki.iterdir()} <= {
        f"{file}{end}" for file in (CLIENT, SERVING) for end in (".pem", ".next.key")
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.pki.iterdir()} == {0o600}
