"""The key-value store of the tutorial: its leader and its followers as processes, its interface over HTTP."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.ports import quiet_port

PROGRAM = Path(__file__).parents[2] / "images/mehdb/usr/local/bin/mehdb"


class Shard:
    """One process, and what it answers."""

    def __init__(self, directory: Path, host: str, leader: str = "", port: int = 0) -> None:
        self.port = port or quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"MEHDB_DATADIR": str(directory), "MEHDB_HOST": host, "MEHDB_PORT": str(self.port)}
        environment |= {"MEHDB_LEADER": leader, "MEHDB_SYNC_S": "0.1"}
        command = [sys.executable, str(PROGRAM)]
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
        until(lambda: self.ask("/status")[0] == 200)

    def ask(self, path: str, value: bytes | None = None) -> tuple[int, bytes]:
        """The code and the body; 0 if nobody answers. A value is put."""
        request = urllib.request.Request(self.url + path, data=value, method="PUT" if value is not None else "GET")
        try:
            with OPENER.open(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("Location", "").encode() or error.read()
        except OSError:
            return 0, b""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def until(holds, within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def shard(tmp_path):
    """Starts shards, each on a directory of that name."""
    started = []

    def start(name: str, host: str, **options: object) -> Shard:
        started.append(Shard(tmp_path / name, host, **options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_a_follower_has_what_was_put_at_the_leader(shard) -> None:
    leader = shard("0", "mehdb-0")
    follower = shard("1", "mehdb-1", leader=leader.url)
    assert (leader.ask("/status"), follower.ask("/status")) == ((200, b"leader"), (200, b"follower"))
    assert leader.ask("/set/word", b"first") == (200, b"")
    assert leader.ask("/get/word") == (200, b"first")
    until(lambda: follower.ask("/get/word") == (200, b"first"))
    leader.ask("/set/word", b"second")
    until(lambda: follower.ask("/get/word") == (200, b"second"))
    assert follower.ask("/status?level=full") == (200, b"1")


def test_a_follower_sends_writers_to_the_leader(shard) -> None:
    leader = shard("0", "mehdb-0")
    follower = shard("1", "mehdb-1", leader=leader.url)
    assert follower.ask("/set/word", b"value") == (307, f"{leader.url}/set/word".encode())
    assert leader.ask("/get/word") == (404, b"no such key\n")


def test_an_empty_store_is_ready_once_it_has_heard_from_its_leader(shard) -> None:
    port = quiet_port()
    follower = shard("1", "mehdb-1", leader=f"http://127.0.0.1:{port}")
    assert follower.ask("/status")[0] == 200
    assert follower.ask("/status?level=full") == (500, b"no data yet")
    assert shard("0", "mehdb-0", port=port).ask("/status?level=full") == (200, b"0")
    until(lambda: follower.ask("/status?level=full") == (200, b"0"))


def test_a_shard_ends_when_told_and_has_its_keys_again(shard) -> None:
    first = shard("0", "mehdb-0")
    for key in ("word", "a%2Fb", "..", "%C3%BC"):
        assert first.ask(f"/set/{key}", key.encode())[0] == 200
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(60) == 0
    again = shard("0", "mehdb-0")
    assert again.ask("/status?level=full") == (200, b"4")
    for key in ("word", "a%2Fb", "..", "%C3%BC"):
        assert again.ask(f"/get/{key}") == (200, key.encode())


def test_a_follower_without_its_leader_still_serves_what_it_has(shard) -> None:
    leader = shard("0", "mehdb-0")
    leader.ask("/set/word", b"kept")
    follower = shard("1", "mehdb-1", leader=leader.url)
    until(lambda: follower.ask("/get/word") == (200, b"kept"))
    leader.process.kill()
    follower.process.kill()
    again = shard("1", "mehdb-1", leader=leader.url)
    assert again.ask("/status?level=full") == (200, b"1")
    assert again.ask("/get/word") == (200, b"kept")


@pytest.mark.parametrize(("path", "code"), [("/set/", 404), ("/other", 404), (f"/set/{'x' * 201}", 400)])
def test_what_is_no_key_is_refused(shard, path: str, code: int) -> None:
    assert shard("0", "mehdb-0").ask(path, b"value")[0] == code
