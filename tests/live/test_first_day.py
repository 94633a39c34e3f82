"""What a machine, its user and its settings may be like on the day of the first `holdfast up`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from conftest import hear_interrupts, left_behind
from holdfast.world import mount_table

SCRIPT = "cat /etc/resolv.conf /etc/hosts /c/a > /e/all; head -c 2 $TOKEN; stat -c %a /e"
READER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "reader"},
    "spec": {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
        "containers": [
            {
                "name": "main",
                "image": "host",
                "command": [
                    "sh",
                    "-ec",
                    "cat /etc/resolv.conf /etc/hosts /c/a > /e/all; head -c 2 $TOKEN; stat -c %a /e",
                ],
                "env": [{"name": "TOKEN", "value": "/var/run/secrets/kubernetes.io/serviceaccount/token"}],
                "volumeMounts": [{"name": "c", "mountPath": "/c"}, {"name": "e", "mountPath": "/e"}],
            }
        ],
        "volumes": [{"name": "c", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}],
    },
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}


@pytest.mark.parametrize("umask", [0o077, 0o000], ids=oct)
def test_the_umask_of_who_starts_it_is_no_matter_to_pods_and_opens_nothing(new_cluster, umask):
    """Servers are often given 077: files made for pods have to be readable by those whom pods run as all the same."""
    before = os.umask(umask)
    try:
        cluster = new_cluster()
    finally:
        os.umask(before)
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [CONFIG, READER]})
    phase = "jsonpath={.status.phase}"
    cluster.until("it ends", lambda: cluster.kubectl("get", "pod/reader", "-o", phase) in ("Succeeded", "Failed"))
    assert cluster.kubectl("logs", "reader") == "ey777\n"
    ours = [*cluster.home.iterdir(), *(cluster.home / "nodes").glob("*/*"), *(cluster.home / "nodes").glob("*/logs/**")]
    assert [str(path) for path in ours if path.stat().st_mode & 0o022] == []


def test_a_machine_that_is_given_another_name_keeps_its_node_and_its_pods_their_data(new_cluster, statefulset):
    """Pods and volumes are of a node by its name: nobody would ever start them under another one."""
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    (node,) = cluster.get("nodes")["items"]
    cluster.holdfast("down")
    elsewhere = [
        "unshare",
        "-u",
        "sh",
        "-c",
        'hostname another && exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "holdfast.cli",
    ]
    environment = {**os.environ, "HOLDFAST_HOME": str(cluster.home)}
    subprocess.run([*elsewhere, "up", "--no-merge"], env=environment, check=True, capture_output=True)
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    assert [each["metadata"]["uid"] for each in cluster.get("nodes")["items"]] == [node["metadata"]["uid"]]
    cluster.until("it starts again", lambda: "visit 2" in cluster.kubectl("logs", "web-0", check=False).stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_demo_that_is_cut_short_leaves_nothing_behind(tmp_path, number):
    """By Ctrl-C, by a CI system that has waited long enough, by a terminal that is closed."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "holdfast.cli", "demo"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    ) as demo:
        for line in demo.stdout:
            if "demo-1" in line:
                break
        (home,) = tmp_path.glob("holdfast-demo-*/h")
        networks = json.loads((home / "cluster.json").read_text())["pod_cidr"].split(",")
        demo.send_signal(number)
        demo.send_signal(number)
        demo.stdout.read()
    assert demo.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert left_behind(home, networks) == []


def test_down_ends_what_was_killed_while_it_made_its_mount_namespace(new_cluster):
    cluster = new_cluster()
    cluster.holdfast("down")
    place = cluster.home / "run" / "mnt"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    cluster.holdfast("down")
    assert mount_table.below(place) == []


def test_programs_for_root_are_found_by_who_is_given_no_path(new_cluster, statefulset):
    """As cron and others do it. `down` needs them as well."""
    cluster = new_cluster("--nodes", "0")
    cluster.holdfast("down")
    bare = ["env", "-i", sys.executable, "-m", "holdfast.cli"]
    up = subprocess.run([*bare, "up", "--nodes", "1", "--no-merge", "--home", str(cluster.home)], capture_output=True)
    assert up.returncode == 0, up.stderr
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    down = subprocess.run([*bare, "down", "--home", str(cluster.home)], capture_output=True)
    assert down.returncode == 0, down.stderr


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_it_starts_where_nothing_is_open_to_print_to(new_cluster, closed):
    """What it opens first would have their numbers, and be overwritten by what daemons are given in their place."""
    cluster = new_cluster("--nodes", "0")
    cluster.holdfast("down")
    words = f'exec "$@" {closed}'
    command = ["sh", "-c", words, "sh", sys.executable, "-m", "holdfast.cli", "up", "--no-merge", "--home"]
    assert subprocess.run([*command, str(cluster.home)], timeout=120).returncode == 0
    assert cluster.status()["daemon"]["pid"]
