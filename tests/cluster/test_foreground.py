"""`holdfast up --foreground`, on a real data directory with simulated containers: what a supervisor sees of it."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from tests.live.conftest import Cluster

from holdfast.cluster.home import Home
from holdfast.cluster.launch import agents_lock, agents_pid, daemon_lock, running
from holdfast.cluster.locks import holder

from .supervised import Supervised, killed

WANTED = ("--port", "0", "--no-merge", "--runtime", "simulated", "--without", "dns")


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="hf-test-"))
    yield Home(path / "h")
    Cluster(path / "h", "kubectl").holdfast("down", "--purge")
    shutil.rmtree(path)


@pytest.fixture
def supervise(home):
    made = []

    def start(*wanted):
        made.append(Supervised(home, *wanted))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_it_tells_when_it_is_ready_and_what_it_starts_cannot(home, supervise):
    cluster = supervise(*WANTED)
    ready, status = cluster.told("READY=1")
    assert ready == "READY=1"
    url, daemon = running(home).url, running(home).pid
    assert status.startswith(f"STATUS=holdfast is up at {url}, 1 node ready, in ")
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{daemon}/environ").read_bytes()
    _, output, errors = cluster.asked(signal.SIGTERM)
    assert output.splitlines()[0] == status.removeprefix("STATUS=")
    assert f"stays until the daemon (pid {daemon}) ends" in errors


def test_a_daemon_that_dies_ends_it_with_a_failure_and_the_next_start_finds_the_agents(home, supervise):
    cluster = supervise(*WANTED)
    cluster.told("READY=1")
    daemon, agents = running(home).pid, agents_pid(home)
    killed(daemon)
    code, _, errors = cluster.ends()
    assert code == 1
    assert f"holdfast: the daemon (pid {daemon}) has ended, the pods go on; its log is " in errors
    again = supervise("--no-merge")
    again.told("READY=1")
    assert (running(home).pid != daemon, agents_pid(home)) == (True, agents)


def test_sigterm_ends_the_daemon_and_leaves_the_pods_to_the_next_start(home, supervise):
    cluster = supervise(*WANTED)
    cluster.told("READY=1")
    daemon, agents = running(home).pid, agents_pid(home)
    code, _, _ = cluster.asked(signal.SIGTERM)
    assert (code, holder(daemon_lock(home)), agents_pid(home)) == (143, None, agents)
    assert "the pods go on" in cluster.told("STOPPING=1")[1]
    supervise("--no-merge").told("READY=1")
    assert (running(home).pid != daemon, agents_pid(home)) == (True, agents)


def test_sigint_stops_the_pods_then_the_daemon(home, supervise):
    cluster = supervise(*WANTED)
    cluster.told("READY=1")
    assert cluster.asked(signal.SIGINT)[0] == 0
    assert (holder(daemon_lock(home)), holder(agents_lock(home))) == (None, None)


def test_a_cluster_that_is_taken_down_is_not_to_be_started_again(home, supervise):
    cluster = supervise(*WANTED)
    cluster.told("READY=1")
    Cluster(home.path, "kubectl").holdfast("down")
    code, _, errors = cluster.ends()
    assert code == 0
    assert "the pods have been stopped" in errors


def test_a_cluster_that_is_up_already_is_watched_as_if_it_had_been_started_here(home, supervise):
    Cluster(home.path, "kubectl").holdfast("up", *WANTED)
    daemon = running(home).pid
    cluster = supervise("--no-merge")
    cluster.told("READY=1")
    killed(daemon)
    code, output, errors = cluster.ends()
    assert code == 1
    assert f"is up already at https://127.0.0.1:{output.split(':')[2].split()[0]} (pid {daemon})" in output
    assert f"stays until the daemon (pid {daemon}) ends" in errors


def test_its_own_death_is_none_of_the_clusters(home, supervise):
    cluster = supervise(*WANTED)
    cluster.told("READY=1")
    daemon, agents = running(home).pid, agents_pid(home)
    cluster.asked(signal.SIGKILL)
    supervise("--no-merge").told("READY=1")
    assert (running(home).pid, agents_pid(home)) == (daemon, agents)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_start_that_is_called_off_leaves_no_daemon_behind(home, supervise, number, code):
    cluster = supervise(*WANTED)
    while not (home.logs / "daemon.log").exists():  # made just before the daemon
        assert cluster.process.poll() is None
    found = cluster.asked(number)
    assert (found[0], holder(daemon_lock(home))) == (code, None)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if f"{home.path}".encode() in _read(path)]
    assert not [path for path in left if b"cluster.daemon" in _read(path)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
