"""What real containers use, by the real `kubectl top` (A277)."""

from __future__ import annotations

import json
import re

import pytest

PYTHON = "/usr/bin/python3"

BUSY = """
import time
held = bytearray(64 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
while True:
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    time.sleep(0.06)
"""
"""About a quarter of a core, and 64 MiB."""
IDLE = "import time; time.sleep(3600)"


def pod(name, **programs):
    containers = [
        {"name": container, "image": "host", "command": [PYTHON, "-c", program]}
        for container, program in programs.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": containers},
    }


@pytest.fixture(scope="module")
def running(cluster):
    items = [pod("busy", main=BUSY), pod("idle", one=IDLE, two=IDLE)]
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": items})
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/busy", "pod/idle")
    # Until the program has touched its memory.
    cluster.until("memory", lambda: memory_of(rows(cluster, "pods").get("busy", ["", "0Mi"])) >= 64)
    return cluster


def rows(cluster, *arguments):
    """Of a table by its first column, without the heading."""
    lines = [
        line.split() for line in cluster.kubectl("top", *arguments, "--no-headers", check=False).stdout.splitlines()
    ]
    return {line[0]: line[1:] for line in lines}


def memory_of(row):
    return int(re.fullmatch(r"(\d+)Mi", row[1])[1])


def millicores_of(row):
    return int(re.fullmatch(r"(\d+)m", row[0])[1])


def test_top_tells_what_pods_use(running):

    def told():
        """Once their starts are over: a rate is of the last seconds."""
        found = rows(running, "pods")
        return (
            set(found) == {"busy", "idle"}
            and 20 < millicores_of(found["busy"]) < 600
            and millicores_of(found["idle"]) < 20
            and found
        )

    found = running.until("what each takes", told)
    assert 64 <= memory_of(found["busy"]) < 200
    assert 0 < memory_of(found["idle"]) < 64


def test_top_tells_containers_apart(running):
    output = running.kubectl("top", "pods", "--containers", "--no-headers")
    assert sorted(line.split()[:2] for line in output.splitlines()) == [
        ["busy", "main"],
        ["idle", "one"],
        ["idle", "two"],
    ]


def test_top_sorts_selects_and_looks_everywhere(running):
    for key in ("cpu", "memory"):
        assert list(rows(running, "pods", f"--sort-by={key}")) == ["busy", "idle"]
    assert list(rows(running, "pods", "-l", "app=idle")) == ["idle"]
    assert list(rows(running, "pod", "busy")) == ["busy"]
    everywhere = running.kubectl("top", "pods", "-A", "--no-headers").splitlines()
    assert [line.split()[:2] for line in everywhere] == [["default", "busy"], ["default", "idle"]]
    done = running.kubectl("top", "pod", "nobody", check=False)
    assert 'pods "nobody" not found' in done.stderr


def test_top_tells_what_the_node_uses(running):
    (name, row) = next(iter(rows(running, "nodes").items()))
    assert name == running.get("nodes")["items"][0]["metadata"]["name"]
    cpu, cpu_share, memory, memory_share = row
    assert int(cpu.removesuffix("m")) >= 20
    assert int(memory.removesuffix("Mi")) > 64
    assert 0 < int(cpu_share.removesuffix("%")) <= 110
    assert 0 < int(memory_share.removesuffix("%")) <= 100


def test_get_prints_the_metrics_as_a_table(running):
    lines = running.kubectl("get", "pods.metrics.k8s.io").splitlines()
    assert lines[0].split() == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert [line.split()[0] for line in lines[1:]] == ["busy", "idle"]


def test_the_kubelets_own_statistics_are_behind_the_nodes_proxy(running):
    node = running.get("nodes")["items"][0]["metadata"]["name"]

    def told():
        summary = json.loads(running.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        pods = {each["podRef"]["name"]: each for each in summary["pods"]}
        return pods["busy"]["cpu"].get("usageNanoCores", 0) > 20_000_000 and pods

    pods = running.until("how much it takes", told)
    assert pods["busy"]["memory"]["workingSetBytes"] > 64 << 20
    assert [each["name"] for each in pods["idle"]["containers"]] == ["one", "two"]
    text = running.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource")
    assert 'container_memory_working_set_bytes{container="main",namespace="default",pod="busy"}' in text


def test_who_may_view_may_see_what_is_used(running):
    running.kubectl("create", "serviceaccount", "viewer")
    running.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=default:viewer")
    viewer = "--as=system:serviceaccount:default:viewer"
    assert set(rows(running, "pods", viewer)) == {"busy", "idle"}
    assert "forbidden" in running.kubectl("top", "nodes", viewer, check=False).stderr.lower()
