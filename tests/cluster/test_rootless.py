"""Namespaces of a cluster without root, and the process that keeps them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from holdfast.cluster import way_out
from holdfast.cluster.home import Home
from holdfast.cluster.locks import holder
from holdfast.cluster.rootless import Namespaces
from holdfast.node.capabilities import attempt
from holdfast.world import user_namespace

ENTER = """
import json, os, sys
from pathlib import Path
from holdfast.cluster.home import Home
from holdfast.cluster.rootless import Namespaces
namespaces = Namespaces(Home(Path(sys.argv[1])))
namespaces.enter()
namespaces.enter_network()
links = sorted(os.listdir("/sys/class/net"))
print(json.dumps([os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "net")] + [os.getuid(), links]))
"""


@pytest.fixture
def home(tmp_path):
    if reason := attempt(user_namespace.enter):
        pytest.skip(f"no user namespaces here: {reason}")
    made = Home(tmp_path / "h")
    made.make()
    yield made
    Namespaces(made).remove()


def enter(home):
    """What a process that enters finds: user, mount and network namespace, its uid, its links."""
    done = subprocess.run([sys.executable, "-c", ENTER, str(home.path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outside():
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "net")]


def test_r71_who_enters_is_root_in_namespaces_of_the_clusters_own(home):
    *found, uid, links = enter(home)
    assert (uid, links) == (0, ["lo"])
    assert not set(found) & set(outside())


def test_r71_they_outlive_who_made_them_and_the_next_one_finds_the_same(home):
    first = enter(home)
    assert enter(home) == first
    assert Namespaces(home).exist


def test_removed_they_are_gone_with_the_process_that_kept_them(home):
    enter(home)
    keeper = Namespaces(home).keeper
    Namespaces(home).remove()
    for _ in range(6000):
        if holder(home.run / "namespaces.lock") is None:
            break
        time.sleep(0.01)
    assert Namespaces(home).keeper is None
    assert not Namespaces(home).exist
    assert keeper is not None


def test_where_they_cannot_be_made_it_is_said_why(home, monkeypatch):
    def refused(flags=0):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(user_namespace, "enter", refused)
    with pytest.raises(OSError, match="No space left on device"):
        Namespaces(home).enter()
    assert Namespaces(home).keeper is None


def test_r71_a_supervisor_inside_leads_back_when_the_keeper_was_killed(home):
    """As conmon does: a process of the cluster that goes on inside, known by its pid file and its command line."""
    bundle = home.run / "0" / "c" / "id"
    bundle.mkdir(parents=True)
    first = enter(home)
    code = (
        "import sys, time; from pathlib import Path; from holdfast.cluster.home import Home;"
        "from holdfast.cluster.rootless import Namespaces;"
        "Namespaces(Home(Path(sys.argv[1]))).enter(); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(home.path), str(bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        supervisor.stdout.readline()
        (bundle / "conmon.pid").write_text(str(supervisor.pid))
        os.kill(Namespaces(home).keeper, signal.SIGKILL)
        for _ in range(6000):
            if Namespaces(home).keeper is None:
                break
            time.sleep(0.01)
        assert enter(home) == first
        supervisor.kill()
    assert Namespaces(home).keeper is not None


def test_r74_without_the_program_or_the_device_there_is_no_way_out(monkeypatch):
    monkeypatch.setattr(way_out.shutil, "which", lambda program, path=None: None)
    assert way_out.obstacle() == "slirp4netns is not installed"
    monkeypatch.setattr(way_out.shutil, "which", lambda program, path=None: "/usr/bin/slirp4netns")
    monkeypatch.setattr(way_out, "DEVICE", "/nonexistent/tun")
    assert way_out.obstacle() == "/nonexistent/tun: No such file or directory"
    monkeypatch.setattr(way_out, "DEVICE", os.devnull)
    assert way_out.obstacle() == ""
