"""`holdfast snapshot` and `holdfast fork`: a whole set with its data, at one moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import on_disk

from holdfast.disks.capability import find_out


@pytest.fixture(scope="module", autouse=True)
def sized():
    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        if obstacle := find_out(Path(directory)).obstacle:
            pytest.skip(f"volumes with a size: {obstacle}")


@pytest.fixture
def web(cluster, statefulset):
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, "web", 2))
    yield "sts/web"
    for name in ("web", "copy"):
        cluster.kubectl("delete", "sts,svc", name, "--ignore-not-found")
    cluster.kubectl("delete", "pvc,volumesnapshot", "--all")
    cluster.until("all is gone", lambda: not cluster.get("pv")["items"])
    assert on_disk.names(cluster, ".snapshots") == []
    assert on_disk.names(cluster, ".snapshots", ".groups") == []


def is_ready(cluster, name, count):
    return cluster.get("sts", name).get("status", {}).get("readyReplicas", 0) == count


def write(cluster, pod, text):
    cluster.kubectl("exec", pod, "--", "sh", "-c", f"echo {text} > /data/file")


def read(cluster, pod):
    return cluster.kubectl("exec", pod, "--", "cat", "/data/file").strip()


def test_a_set_is_put_back_to_its_snapshot(cluster, web):
    for pod in ("web-0", "web-1"):
        write(cluster, pod, f"before-{pod}")
    name = cluster.holdfast("snapshot", "create", web).stdout.strip()
    assert name.startswith("web-")
    (row,) = json.loads(cluster.holdfast("snapshot", "list", web, "-o", "json").stdout)
    assert (row["name"], row["volumes"], row["ready"]) == (name, 2, True)
    header, line = cluster.holdfast("snapshot", "list", web).stdout.splitlines()
    assert header.split() == ["NAME", "VOLUMES", "READY", "AGE"]
    assert line.split()[:3] == [name, "2", "true"]
    for pod in ("web-0", "web-1"):
        write(cluster, pod, "after")
    for _ in range(2):  # as often as one likes
        cluster.holdfast("snapshot", "restore", web, name)
        assert [read(cluster, pod) for pod in ("web-0", "web-1")] == ["before-web-0", "before-web-1"]
        write(cluster, "web-0", "after")
    assert cluster.get("sts", "web")["spec"]["replicas"] == 2
    assert "holdfast.dev/restoring" not in cluster.get("sts", "web")["metadata"].get("annotations", {})
    refused = cluster.holdfast("snapshot", "create", web, "--name", name, check=False)
    assert (refused.returncode, "already: give another name" in refused.stderr) == (1, True)
    cluster.holdfast("snapshot", "delete", web, name)
    assert json.loads(cluster.holdfast("snapshot", "list", web, "-o", "json").stdout) == []
    refused = cluster.holdfast("snapshot", "restore", web, name, check=False)
    assert (refused.returncode, f"has no snapshot {name}" in refused.stderr) == (1, True)


def test_a_fork_has_the_data_and_a_life_of_its_own(cluster, web):
    for pod in ("web-0", "web-1"):
        write(cluster, pod, f"of-{pod}")
    cluster.holdfast("fork", web, "copy")
    assert [read(cluster, pod) for pod in ("copy-0", "copy-1")] == ["of-web-0", "of-web-1"]
    write(cluster, "copy-0", "own")
    assert read(cluster, "web-0") == "of-web-0"
    assert cluster.get("volumesnapshots")["items"] == []

    def endpoints(name):
        parts = cluster.get("endpoints", name).get("subsets", ())
        return sorted(address["targetRef"]["name"] for part in parts for address in part.get("addresses", ()))

    for name in ("web", "copy"):
        cluster.until("endpoints", lambda name=name: endpoints(name) == [f"{name}-0", f"{name}-1"])
    assert cluster.get("sts", "copy")["spec"]["serviceName"] == "copy"
    refused = cluster.holdfast("fork", web, "copy", check=False)
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)


@pytest.mark.parametrize("replicas", [0, 1])
def test_claims_without_a_pod_are_forked_too(cluster, web, replicas):
    write(cluster, "web-1", "left")
    cluster.kubectl("scale", web, f"--replicas={replicas}")
    cluster.kubectl("wait", "--for=delete", "pod/web-1", "--timeout=120s")
    cluster.holdfast("fork", web, "copy", "--wait", "200")
    assert cluster.get("volumesnapshots")["items"] == []
    cluster.kubectl("scale", "sts/copy", "--replicas=2")
    cluster.until("ready", lambda: is_ready(cluster, "copy", 2))
    assert read(cluster, "copy-1") == "left"


def test_the_volumes_of_a_set_are_taken_at_one_moment(cluster, web, statefulset):
    """web-1 only ever writes a number that web-0 has on its disk: it is never ahead."""
    script = "echo 0 > /data/n; sync /data/n"
    for pod in ("web-0", "web-1"):
        cluster.kubectl("exec", pod, "--", "sh", "-c", script)
    loop = subprocess.Popen(
        [
            "sh",
            "-c",
            "n=0; while :; do n=$((n+1)); "
            + "; ".join(
                " ".join(cluster.command("exec", pod, "--", "sh", "-c", '"echo $n > /data/n; sync /data/n"'))
                + " || exit"
                for pod in ("web-0", "web-1")
            )
            + "; done",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        cluster.until("writing", lambda: int(cluster.kubectl("exec", "web-1", "--", "cat", "/data/n") or 0) > 1)
        names = [
            cluster.holdfast("snapshot", "create", web, "--name", f"s{number}").stdout.strip() for number in (1, 2)
        ]
    finally:
        os.killpg(loop.pid, signal.SIGKILL)
        loop.wait(timeout=90)
    for name in names:
        cluster.holdfast("snapshot", "restore", web, name)
        first, second = (int(cluster.kubectl("exec", pod, "--", "cat", "/data/n")) for pod in ("web-0", "web-1"))
        assert first - second in (0, 1), (name, first, second)


def test_whatever_is_killed_the_same_command_goes_on(cluster, web):
    for pod in ("web-0", "web-1"):
        write(cluster, pod, "before")
    cluster.holdfast("snapshot", "create", web, "--name", "s")
    for pod in ("web-0", "web-1"):
        write(cluster, pod, "after")
    command = [sys.executable, "-m", "holdfast.cli", "snapshot", "restore", web, "s"]
    for delay_s in (0.4, 1.2, 2.5):
        process = subprocess.Popen(
            command,
            env={**os.environ, "HOLDFAST_HOME": str(cluster.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay_s)
        process.kill()
        process.wait(timeout=90)
        cluster.kill("daemon")
        cluster.up()
    cluster.holdfast("snapshot", "restore", web, "s")
    assert [read(cluster, pod) for pod in ("web-0", "web-1")] == ["before", "before"]
    assert cluster.get("sts", "web")["spec"]["replicas"] == 2
