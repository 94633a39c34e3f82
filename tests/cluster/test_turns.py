"""Two `holdfast up` at once, and one while a `holdfast down` is at work."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from holdfast import __version__
from holdfast.cli import up
from holdfast.cli.output import Failure
from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.locks import ProcessLock, holder
from holdfast.cluster.settings import Settings
from holdfast.cluster.settling import settled
from holdfast.world import SystemClock

DAEMON = """
import json, sys
from pathlib import Path
from holdfast.cluster.locks import ProcessLock
lock = ProcessLock(Path(sys.argv[1])); lock.acquire()
for line in sys.stdin:
    lock.describe(**json.loads(line)); print("told", flush=True)
"""
UP = '{"url": "https://here"}'
ANSWERING = '{"state": "starting", "url": "https://here"}'
STOPPING = '{"state": "stopping", "url": "https://here"}'


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "h")
    home.make()
    return home


@pytest.fixture
def daemon(home):
    """What holds the lock, and says of itself what it is told to."""
    command = [sys.executable, "-c", DAEMON, str(launch.daemon_lock(home))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(facts):
        process.stdin.write(f"{facts}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "told\n"
        return process

    yield say
    process.stdin.close()
    process.wait()
    process.stdout.close()


def look(home, told=None, wait_s=60.0):
    return settled(home, SystemClock(), wait_s=wait_s, report=(told if told is not None else []).append)


def test_one_that_is_up_and_ready_is_found_at_once(home, daemon):
    process = daemon(UP)
    assert look(home) == launch.Running(process.pid, "https://here")


def test_where_there_is_none_nobody_waits(home):
    assert look(home) is None


@pytest.mark.parametrize("facts", ["{}", '{"state": "starting"}', ANSWERING])
def test_one_that_is_starting_is_waited_for(home, daemon, facts):
    daemon(facts)
    told = []
    ready = threading.Timer(0.3, daemon, [UP])
    ready.start()
    assert look(home, told).url == "https://here"
    ready.join()
    assert told == ["the cluster is starting: waiting for that"]


def test_one_that_is_stopping_is_waited_for_and_is_not_up_then(home, daemon):
    process = daemon(STOPPING)
    told = []
    gone = threading.Timer(0.3, process.kill)
    gone.start()
    assert look(home, told) is None
    gone.join()
    assert told == ["the cluster is stopping: waiting for that"]


def test_who_has_waited_long_enough_says_for_what(home, daemon):
    daemon(STOPPING)
    with pytest.raises(launch.LaunchFailed, match=r"the cluster is stopping, for more than 0.1 s; see .*daemon\.log"):
        look(home, wait_s=0.1)


def test_who_is_too_late_changes_no_settings_and_starts_nothing(home, daemon):
    """Those of a cluster that another `up` is just starting, which has chosen its addresses."""
    saved.save(home.settings, Settings(port=7, pod_cidr="10.244.0.0/16"))
    daemon("{}")
    with pytest.raises(launch.Busy):
        launch.start(home, Settings(), SystemClock(), wait_s=1, report=print)
    assert saved.load(home.settings) == Settings(port=7, pod_cidr="10.244.0.0/16")


def test_a_daemon_is_not_missed_before_it_has_begun(home, monkeypatch):
    """Interrupted just after it was started: `down` must find what is about to be a daemon."""
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    monkeypatch.setattr(launch, "MODULE", ("-c", "sleep 600"))
    monkeypatch.setattr(launch, "_follow", lambda home, daemon, *rest: daemon)
    daemon = launch.start(home, Settings(), SystemClock(), wait_s=1, report=print)
    try:
        assert holder(launch.daemon_lock(home)) == {"pid": daemon.pid, "state": "starting"}
        assert launch.stop(home, print)
        assert daemon.wait(60) == -signal.SIGTERM
    finally:
        daemon.kill()
        daemon.wait()


def test_a_lock_that_was_handed_over_is_held_on_and_by_nobody_else(home, tmp_path):
    lock = ProcessLock(tmp_path / "lock")
    lock.acquire()
    handed = os.dup(lock.outlive_exec())
    lock.release()
    taker = ProcessLock(tmp_path / "lock")
    taker.take_over(handed)
    taker.describe(state="starting")
    assert holder(tmp_path / "lock") == {"pid": os.getpid(), "state": "starting"}
    assert not os.get_inheritable(handed)
    taker.release()
    assert holder(tmp_path / "lock") is None


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["--nodes", "3"], "--nodes takes a new start"),
        (["--nodes", "3", "--without", "dns"], "--nodes and --without take a new start"),
        (["--shutdown-grace-period", "5s"], "--shutdown-grace-period takes a new start"),
        (["--feature-gates", "MaxUnavailableStatefulSet=true"], "--feature-gates takes a new start"),
        (["--port", "7"], "--port takes a new start"),
    ],
)
def test_what_takes_a_new_start_is_not_passed_over_in_silence(home, daemon, words, refused):
    saved.save(home.settings, Settings())
    daemon(UP)
    done = CliRunner().invoke(up.command, [*words, "--no-merge", "--home", str(home.path)])
    assert isinstance(done.exception, Failure)
    assert str(done.exception) == f"it is up already; {refused}: holdfast down, then this again"
    assert saved.load(home.settings) == Settings()


@pytest.mark.parametrize("words", [[], ["--nodes", "1"], ["--port", "0"], ["--port", "6443"]])
def test_what_it_is_already_is_no_change(home, daemon, words):
    saved.save(home.settings, Settings())
    daemon(UP)
    done = CliRunner().invoke(up.command, [*words, "--no-merge", "--home", str(home.path)])
    assert (done.exit_code, "holdfast is up already at https://here" in done.output) == (0, True)


@pytest.mark.parametrize(("version", "is_told"), [("0.0.1", True), (__version__, False)])
def test_an_upgrade_that_has_not_reached_the_daemon_is_told_of(home, daemon, version, is_told):
    saved.save(home.settings, Settings())
    daemon(json.dumps({"url": "https://here", "version": version}))
    done = CliRunner().invoke(up.command, ["--no-merge", "--home", str(home.path)])
    assert (done.exit_code, "what is up is version 0.0.1: `holdfast down`" in done.output) == (0, is_told)
