"""A supervised cluster with real containers: who is killed or told to end takes no container along."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from tests.cluster.supervised import Supervised, killed

from holdfast.cluster.home import Home

from .conftest import Cluster, purge
from .other_machine import Link, OtherMachine
from .test_recovery import is_ready, runs, until_said


@pytest.fixture
def supervise():
    made = []

    def start(home, *wanted, before=()):
        made.append(Supervised(home, *wanted, before=before))
        made[-1].told("READY=1")
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_containers_go_on_through_a_kill_and_a_restart_and_end_with_a_stop(any_kubectl, supervise, statefulset):
    home = Home(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h")
    cluster = Cluster(home.path, any_kubectl)
    first = supervise(home, "--port", "0", "--no-merge")
    try:
        cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
        cluster.until("ready", lambda: is_ready(cluster, 2))
        before = runs(cluster)
        cluster.kill("daemon")
        assert first.ends()[0] == 1
        second = supervise(home, "--no-merge")
        assert runs(cluster) == before
        assert second.asked(signal.SIGTERM)[0] == 143
        third = supervise(home, "--no-merge")
        assert runs(cluster) == before
        assert third.asked(signal.SIGINT)[0] == 0
        assert not list(home.run.glob("0/c/*"))
        supervise(home, "--no-merge")
        cluster.until("ready", lambda: is_ready(cluster, 2))
        until_said(cluster, "web-1", "web-1 visit 2\n")
    finally:
        purge(cluster)


@pytest.fixture
def joined(any_kubectl):
    """A cluster, and another machine that has joined it."""
    link, cluster = Link(), Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    try:
        cluster.up("--listen", link.first)
        other = OtherMachine(cluster, link)
        other.join_with_token()
        yield other
        other.purge()
    finally:
        purge(cluster)
        link.remove()


def test_a_machine_that_has_joined_is_supervised_by_the_same_command(joined, supervise):
    cluster, here = joined.cluster, joined.link.inside()
    agents = joined.agents_pid()
    first = supervise(joined.home, "--no-merge", before=here)
    assert joined.agents_pid() == agents
    killed(agents)
    code, output, errors = first.ends()
    assert code == 1
    assert output.startswith(f"far has joined https://{joined.server}, pods ")
    assert f"the node's agent (pid {agents}) has ended, the pods go on" in errors
    second = supervise(joined.home, "--no-merge", before=here)
    agents = joined.agents_pid()
    assert second.asked(signal.SIGTERM)[0] == 143
    os.kill(agents, 0)
    third = supervise(joined.home, "--no-merge", before=here)
    assert joined.agents_pid() == agents
    assert third.asked(signal.SIGINT)[0] == 0
    assert cluster.kubectl("get", "node", "far", "-o", "name").strip() == "node/far"  # it may just be restarting
    fourth = supervise(joined.home, "--no-merge", before=here)
    joined.holdfast("down")
    assert fourth.ends()[0] == 0
    assert cluster.kubectl("get", "node", "far", "--ignore-not-found") == ""
    refused = joined.holdfast("up", "--foreground", "--nodes", "2", check=False)
    assert "how the cluster is to be is said there" in refused.stderr
