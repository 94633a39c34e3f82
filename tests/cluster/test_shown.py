"""What is in use follows what is on disk."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.api.core.node import NODES
from holdfast.cluster import certificates, kubeconfig, shown
from holdfast.cluster.certificates import pair
from holdfast.cluster.home import Home
from holdfast.cluster.shown import Identity, Shown, keep_renewed
from holdfast.wire.http import Response, serve
from holdfast.wire.tls import server_context

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DUE = NOW + certificates.LIFETIME * (2 / 3)
LATE = NOW + certificates.LIFETIME * 0.7
URL = "https://127.0.0.1:6443"


@pytest.fixture
def home(tmp_path: Any) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    certificates.ensure(home, NOW, ["n1"], [])
    return home


class Told:
    """Who is told of another pair."""

    def __init__(self) -> None:
        self.of: list[str] = []

    def __call__(self, certificate: str, key: str) -> None:
        self.of.append(certificate)


def test_who_shows_a_pair_is_told_once_when_it_is_another(home: Home) -> None:
    made, told, late = Shown(lambda: pair(home, "admin")), Told(), Told()
    with made.by(told):
        made.look()
        assert told.of == []
        certificates.renew(home, LATE)
        made.look()
        made.look()
        assert told.of == [str(home.pki / "admin.pem")]
    with made.by(late):
        certificates.renew(home, LATE + certificates.LIFETIME)
        made.look()
    assert len(late.of) == len(told.of) == 1


def test_what_cannot_be_used_is_said_and_looked_at_again(home: Home, caplog: Any) -> None:
    made, told, files = Shown(lambda: pair(home, "admin")), Told(), pair(home, "admin")
    good = files.certificate.read_bytes()
    with made.by(told), caplog.at_level(logging.ERROR):
        files.certificate.write_text("nothing")
        made.look()
        assert told.of == []
        assert "certificate not taken up" in caplog.text
        files.certificate.write_bytes(good)
        made.look()
        assert told.of == [str(files.certificate)]


def test_a_pair_that_is_gone_for_a_moment_is_waited_for(home: Home) -> None:
    made, told, files = Shown(lambda: pair(home, "admin")), Told(), pair(home, "admin")
    with made.by(told):
        files.certificate.rename(home.pki / "away")
        made.look()
        (home.pki / "away").rename(files.certificate)
        made.look()
    assert told.of == []


class Clock:
    """Sleeps are steps of a test; there are as many as it has left."""

    def __init__(self, now: datetime, sleeps: int) -> None:
        self._now = now
        self._left = sleeps

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        if not self._left:
            raise asyncio.CancelledError
        self._left -= 1
        self._now += timedelta(seconds=seconds)


async def until_over(coroutine: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await coroutine


async def test_a_daemon_that_runs_for_years_renews_what_it_shows(home: Home) -> None:
    told = Told()
    kubeconfig.write(home, URL)
    before = home.kubeconfig.read_text()
    made = Shown(lambda: pair(home, "apiserver"))
    with made.by(told):
        await until_over(keep_renewed(home, URL, (made,), Clock(DUE - timedelta(days=30), 10)))
        assert (told.of, home.kubeconfig.read_text()) == ([], before)
        await until_over(keep_renewed(home, URL, (made,), Clock(DUE - timedelta(days=30), 60)))
    assert told.of == [str(home.pki / "apiserver.pem")]
    assert home.kubeconfig.read_text() != before


async def test_what_keeps_it_from_renewing_is_tried_again_the_next_day(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    real, failures = certificates.renew, [OSError("no space left")]

    def renew(home: Home, now: datetime) -> list[str]:
        if failures:
            raise failures.pop()
        return real(home, now)

    monkeypatch.setattr(shown, "renew", renew)
    await until_over(keep_renewed(home, URL, (), Clock(LATE, 2)))
    assert "no space left" in caplog.text
    assert (home.pki / "apiserver.pem").exists()


async def test_agents_take_up_what_the_daemon_has_renewed(tmp_path: Any) -> None:
    """Both what they show to it, and what their own server shows."""
    home = Home(tmp_path / "home")
    home.make()
    now = datetime.now(UTC)
    certificates.ensure(home, now - certificates.LIFETIME * 0.7, ["n1"], [])
    files = pair(home, "node-n1")
    context = server_context(str(files.certificate), str(files.key), client_ca=str(home.ca_certificate))
    shows: list[bytes] = []
    door = await serve(lambda request: shows.append(request.peer_der or b"") or Response(200, b"{}"), ssl=context)
    identity = Identity(home, f"https://127.0.0.1:{door.port}", "n1")
    async with identity.client() as client:
        with identity.serving(context):
            await client.get(NODES, "x")
            assert "node-n1" in certificates.renew(home, now)
            await client.get(NODES, "x")
            await until_over(identity.keep_looking(Clock(now, 1)))
            await client.get(NODES, "x")
    await door.close()
    assert shows[0] == shows[1] != shows[2]
