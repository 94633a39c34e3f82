"""Locks that die with their process, remembered settings, and removal of a data directory."""

import os
import signal
import subprocess
import sys

import pytest

from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home, default_home
from holdfast.cluster.locks import Held, ProcessLock, holder
from holdfast.cluster.settings import Settings

HOLD = """
import sys, time
from pathlib import Path
from holdfast.cluster.locks import ProcessLock
lock = ProcessLock(Path(sys.argv[1])); lock.acquire(); lock.describe(url="https://here")
print("held", flush=True); time.sleep(600)
"""


@pytest.fixture
def holding(tmp_path):
    """A process that holds a lock."""
    path = tmp_path / "daemon.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_tells_who_holds_it_and_refuses_others(holding):
    path, process = holding
    assert holder(path) == {"pid": process.pid, "url": "https://here"}
    with pytest.raises(Held):
        ProcessLock(path).acquire()


def test_a_killed_process_holds_nothing(holding):
    path, process = holding
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert holder(path) is None
    ProcessLock(path).acquire()


def test_what_a_lock_tells_is_whole_at_every_moment(tmp_path, monkeypatch):
    lock = ProcessLock(tmp_path / "daemon.lock")
    lock.acquire()
    lock.describe(url="https://a-long-name-that-is-replaced")
    seen = []

    def truncate(descriptor, length, really=os.ftruncate):
        seen.append(holder(tmp_path / "daemon.lock"))
        really(descriptor, length)

    monkeypatch.setattr(os, "ftruncate", truncate)
    lock.describe(url="https://b")
    lock.release()
    assert seen == [{"pid": os.getpid(), "url": "https://b"}]


def test_nobody_holds_a_lock_that_was_never_made(tmp_path):
    assert holder(tmp_path / "none") is None


def test_settings_are_remembered_and_only_given_ones_change(tmp_path):
    path = tmp_path / "cluster.json"
    assert saved.load(path) is None
    saved.save(path, Settings(nodes=3, without=("dns",)))
    assert saved.load(path).changed(port=0, nodes=None) == Settings(nodes=3, port=0, without=("dns",))


def test_feature_gates_are_remembered_and_only_those_named_change(tmp_path):
    path = tmp_path / "cluster.json"
    saved.save(path, Settings().with_gates({"A": True, "B": True}))
    assert saved.load(path).with_gates({}).feature_gates == ("A", "B")
    assert saved.load(path).with_gates({"A": False, "C": True}).feature_gates == ("B", "C")


def test_thresholds_are_remembered_and_only_those_named_change(tmp_path):
    path = tmp_path / "settings.json"
    saved.save(path, Settings().with_thresholds({"memory.available": "1Gi", "nodefs.available": "5%"}))
    changed = saved.load(path).with_thresholds({"memory.available": "0%"})
    assert changed.eviction_hard == {"memory.available": "0%", "nodefs.available": "5%"}


def test_sysctls_that_pods_may_set_are_remembered_until_taken_back(tmp_path):
    path = tmp_path / "settings.json"
    saved.save(path, Settings().changed(allowed_unsafe_sysctls=("kernel.msg*",)))
    again = saved.load(path)
    assert again.changed(allowed_unsafe_sysctls=None).allowed_unsafe_sysctls == ("kernel.msg*",)
    assert again.changed(allowed_unsafe_sysctls=()).allowed_unsafe_sysctls == ()


def test_settings_of_older_versions_are_read_and_such_a_cluster_keeps_its_one_family(tmp_path):
    path = tmp_path / "cluster.json"
    path.write_text('{"port": 7, "without": [], "service_cidr": "10.96.0.0/16"}')
    assert saved.load(path) == Settings(port=7, ip_families=("IPv4",), service_cidr="10.96.0.0/16")


def test_nodes_are_numbered_from_the_second_on():
    first, second = Settings(nodes=2).node_names()
    assert second == f"{first}-2"


def test_the_data_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "x"))
    assert default_home() == tmp_path / "x"


def test_stopping_what_does_not_run_stops_nothing(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    assert launch.running(home) is None
    assert launch.stop(home, print) is False


def test_a_stopped_process_is_waited_for(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(launch.daemon_lock(home))], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert launch.running(home) == launch.Running(pid=process.pid, url="https://here")
    assert launch.stop(home, print) is True
    assert process.wait(60) == -signal.SIGTERM
    process.stdout.close()


def test_purge_removes_the_directory(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    launch.purge(home)
    assert not home.path.exists()


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_purge_refuses_to_reach_through_a_mount(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(home.volumes)], check=True)
    try:
        with pytest.raises(launch.LaunchFailed, match="still mounted"):
            launch.purge(home)
        assert home.volumes.exists()
    finally:
        subprocess.run(["umount", str(home.volumes)], check=True)
