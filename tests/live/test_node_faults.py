"""Nodes that their user takes away: cut off from the API server, or without power, and back (N188)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

MARK = f"86399.{os.getpid()}"
"""How long the pods sleep: by it their processes are found, and no other run's."""
CONTAINER = {"name": "main", "image": "host", "command": ["sh", "-c", f"sleep {MARK}"]}


def processes():
    """Of the pods."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", MARK.encode()]:
            found.append(int(path.parent.name))
    return found


class Database:
    """A set of one pod on the second node of a cluster of two."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.first, self.second = (node["metadata"]["name"] for node in cluster.get("nodes")["items"])
        spec = {
            "nodeSelector": {"kubernetes.io/hostname": self.second},
            "terminationGracePeriodSeconds": 1,
            "containers": [CONTAINER],
        }
        made = {
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": spec},
        }
        metadata = {"name": "db"}
        manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": made}
        cluster.kubectl("apply", "-f", "-", manifest=manifest)
        cluster.kubectl("rollout", "status", "sts/db", "--timeout=120s")

    def pod(self):
        """As the API has it; None while there is none."""
        text = self.cluster.kubectl("get", "pod", "db-0", "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def node(self, *words):
        return self.cluster.holdfast("node", *words, self.second).stdout

    def conditions(self):
        found = json.loads(self.cluster.holdfast("node", "list", "-o", "json").stdout)
        return {node["name"]: node["condition"] for node in found}


@pytest.fixture
def database(new_cluster):
    return Database(new_cluster("--nodes", "2"))


def test_n188_a_pod_of_a_node_that_is_cut_off_runs_on_and_cannot_be_deleted(database):
    cluster = database.cluster
    before = cluster.until("its process", processes)
    assert len(before) == 1
    assert "is cut off" in database.node("partition")
    assert database.conditions() == {database.first: "at work", database.second: "partitioned"}
    refused = cluster.kubectl("exec", "db-0", "--", "true", check=False)
    assert refused.returncode != 0
    assert "error dialing backend" in refused.stderr or "cut off" in refused.stderr
    cluster.kubectl("delete", "pod", "db-0", "--wait=false")
    time.sleep(3)
    pod = database.pod()
    assert "deletionTimestamp" in pod["metadata"], "nobody is there to say that it has ended"
    assert processes() == before

    assert "is at work" in database.node("start")
    uid = pod["metadata"]["uid"]
    cluster.until("the next pod", lambda: (now := database.pod()) and now["metadata"]["uid"] != uid)
    cluster.kubectl("rollout", "status", "sts/db", "--timeout=120s")
    after = cluster.until("its process", processes)
    assert len(after) == 1
    assert after != before


def test_n188_a_node_without_power_runs_nothing_and_tells_nobody_whoever_is_killed_meanwhile(database):
    cluster, before = database.cluster, database.pod()
    assert "has no power" in database.node("stop")
    assert processes() == []
    assert database.pod()["status"]["phase"] == "Running"
    for part in ("agents", "daemon"):
        cluster.kill(part)
        cluster.up()
        assert database.conditions() == {database.first: "at work", database.second: "stopped"}
        assert processes() == []

    database.node("start")
    cluster.until("it runs again", lambda: len(processes()) == 1)
    after = cluster.until(
        "it is counted", lambda: (pod := database.pod())["status"]["containerStatuses"][0]["restartCount"] == 1 and pod
    )
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "the same pod: nobody had given it up"
    database.node("stop")
    cluster.holdfast("down")
    assert set(database.conditions().values()) == {"at work"}, "what is down has forgotten"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(("stop", "nope"), 'no node "nope" on this machine; there are '), (("stop", ""), "cluster DNS is at home on ")],
)
def test_what_cannot_be_done_to_a_node_is_told(new_cluster, words, complaint):
    cluster = new_cluster()
    name = words[1] or cluster.get("nodes")["items"][0]["metadata"]["name"]
    done = cluster.holdfast("node", words[0], name, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr
