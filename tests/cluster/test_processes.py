"""Locks that die with their process, remembered settings, and removal of a data directory."""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Damaged, Home, default_home
from holdfast.cluster.locks import Held, ProcessLock, holder, last_words
from holdfast.cluster.settings import Settings
from holdfast.world import SystemClock

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


def test_who_only_looks_keeps_nobody_from_a_lock(tmp_path):
    path = tmp_path / "daemon.lock"
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        timer = threading.Timer(0.03, fcntl.flock, (looking, fcntl.LOCK_UN))
        timer.start()
        lock = ProcessLock(path)
        lock.acquire()
        timer.join()
    lock.release()


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


def test_what_a_process_said_last_is_there_until_the_next_one_holds_the_lock(tmp_path):
    path = tmp_path / "daemon.lock"
    assert (last_words(path), launch.was_stopped(path)) == ({}, False)
    lock = ProcessLock(path)
    lock.acquire()
    lock.describe(stopped=True)
    lock.release()
    assert (holder(path), launch.was_stopped(path)) == (None, True)
    ProcessLock(path).acquire()
    assert not launch.was_stopped(path)


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


def test_nodes_keep_the_name_of_the_first_start():
    assert Settings(name="before", nodes=2).node_names() == ["before", "before-2"]


@pytest.mark.parametrize(
    ("host", "node"),
    [
        ("Ann_s.PC.example.org", "ann-s"),
        ("_", "node"),
        ("", "node"),
        ("größe", "gr-e"),
        ("a" * 64, "a" * 60),
        ("-vm-", "vm"),
    ],
)
def test_a_machine_may_have_a_name_that_no_node_may_have(monkeypatch, host, node):
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename=host))
    assert Settings(nodes=1).node_names() == [node]


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_settings_that_were_cut_off_are_named_with_what_helps(tmp_path, text):
    path = tmp_path / "cluster.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(Damaged, match=r"cluster.json is damaged: put a copy of it back, or remove it"):
        saved.load(path)


def test_settings_of_a_later_version_are_not_taken_for_ones_of_this(tmp_path):
    path = tmp_path / "cluster.json"
    path.write_text('{"port": 7, "teleport": true}')
    with pytest.raises(Damaged, match="of a later version of holdfast, which knows teleport"):
        saved.load(path)


def test_settings_are_on_disk_before_they_take_the_place_of_others(tmp_path, monkeypatch):
    """Without, some file systems have an empty file there after a power failure."""
    path, synced = tmp_path / "cluster.json", []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists())))
    old = os.umask(0)
    saved.save(path, Settings())
    os.umask(old)
    assert synced == [(path.stat().st_size, False)]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_data_directory_that_was_there_is_its_owners_alone_from_then_on(tmp_path, umask):
    """The pods' secrets below it have the modes that they have in pods."""
    (tmp_path / "h").mkdir()
    (tmp_path / "h").chmod(0o755)
    before = os.umask(umask)
    Home(tmp_path / "h").make()
    os.umask(before)
    assert (tmp_path / "h").stat().st_mode & 0o777 == 0o700


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


def test_purge_leaves_alone_what_is_not_a_data_directory(tmp_path):
    """`HOLDFAST_HOME=$HOME holdfast down --purge` must not cost anybody their files."""
    (tmp_path / "run").mkdir()
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(launch.LaunchFailed, match=r"no cluster but other files \(thesis.tex\): nothing is removed"):
        launch.purge(Home(tmp_path))
    assert (tmp_path / "run").exists()


def test_purge_removes_its_own_files_and_leaves_those_of_others(tmp_path):
    home = Home(tmp_path)
    home.make()
    saved.save(home.settings, Settings())
    home.database.with_name("state.db-wal").touch()
    (tmp_path / "backup.tar").touch()
    assert launch.purge(home) == ["backup.tar"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["backup.tar"]


def test_purge_empties_a_directory_that_a_link_leads_to(tmp_path):
    (tmp_path / "disk").mkdir()
    home = Home(tmp_path / "home")
    home.path.symlink_to(tmp_path / "disk")
    home.make()
    assert launch.purge(home) == []
    assert list((tmp_path / "disk").iterdir()) == []
    home.make()


def test_no_cluster_is_made_among_files_of_others(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(launch.LaunchFailed, match=r"other files \(thesis.tex\): choose a new or an empty directory"):
        launch.start(Home(tmp_path), Settings(), SystemClock(), wait_s=1, report=print)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_cluster_of_another_user_is_not_started(tmp_path, monkeypatch):
    """Root's files in it would be in its owner's way for good."""
    home = Home(tmp_path)
    home.make()
    saved.save(home.settings, Settings())
    user = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr("os.geteuid", lambda: 4999)
    with pytest.raises(launch.LaunchFailed, match=rf"is the cluster of another user \({user}\): run it as that one"):
        launch.start(home, Settings(nodes=3), SystemClock(), wait_s=1, report=print)
    assert saved.load(home.settings) == Settings()


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b"])
def test_no_cluster_is_made_where_file_systems_could_not_be_mounted(tmp_path, name):
    with pytest.raises(launch.LaunchFailed, match="in its name, which mounts and KUBECONFIG take for a separator"):
        launch.start(Home(tmp_path / name), Settings(), SystemClock(), wait_s=1, report=print)
    assert not (tmp_path / name).exists()


def test_a_disk_of_its_own_may_be_the_data_directory(tmp_path):
    (tmp_path / "lost+found").mkdir()
    home = Home(tmp_path)
    launch.make(home)
    assert (home.run.is_dir(), home.foreign()) == (True, [])


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
