"""Limits hold without root where a part of the tree of control groups is the user's (R30, R35).

Needs control groups of version 2 alone, as on an emulated machine (scripts/emulated.py).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from ordinary_user import GROUPS, Group, User, UsersCluster
from test_rootless import COUNT, ENTER, cannot, inside, pod, started

from holdfast.cluster.home import Home
from holdfast.cluster.node_parts import control_group


def new_cluster(kubectl, controllers, *, has_many_ids):
    """A cluster of a user who has a group with these controllers."""
    if not (GROUPS / "cgroup.controllers").exists():
        pytest.skip("control groups are not of version 2 alone")
    place = Path(tempfile.mkdtemp(prefix="hf-user-"))
    group = Group(place.name, controllers)
    user = User(place, has_many_ids=has_many_ids, group=group)
    if reason := cannot(user, ENTER.format(count=COUNT if has_many_ids else 1)):
        group.remove()
        shutil.rmtree(place)
        pytest.skip(f"user namespaces: {reason}")
    cluster = UsersCluster(user, kubectl)
    cluster.group = group
    cluster.up("--wait", "300")  # an emulated machine is slow
    return cluster


def end(cluster):
    """Nothing is left in the user's group."""
    cluster.purge()
    assert cluster.group.left() == []
    cluster.group.remove()


@pytest.fixture(scope="module")
def limited(any_kubectl):
    cluster = new_cluster(any_kubectl, ["memory", "cpu", "pids"], has_many_ids=True)
    yield cluster
    end(cluster)


IDLE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]


@pytest.fixture(scope="module")
def web(limited):
    """A pod with limits, running."""
    resources = {"limits": {"memory": "200Mi", "cpu": "250m"}, "requests": {"memory": "100Mi", "cpu": "100m"}}
    manifest = pod("web", {"command": IDLE, "resources": resources})
    manifest["metadata"]["labels"] = {"app": "web"}
    limited.kubectl("apply", "-f", "-", manifest=manifest)
    limited.until("web runs", lambda: limited.get("pod", "web")["status"]["phase"] == "Running")
    return limited


def groups_of(cluster, name):
    """Of a pod and of its only container."""
    uid = cluster.get("pod", name)["metadata"]["uid"]
    top = cluster.group.path / control_group(Home(cluster.home), 0) / uid
    (container,) = [path for path in top.iterdir() if path.is_dir()]
    return top, container


@pytest.mark.parametrize("level", [0, 1])
def test_n141_n142_limits_are_those_of_the_kernel(web, level):
    group = groups_of(web, "web")[level]
    found = [(group / name).read_text().strip() for name in ("memory.max", "cpu.max", "cpu.weight")]
    assert found == [str(200 << 20), "25000 100000", "4"]


def test_n141_swap_is_held_to_the_limit(web):
    _, container = groups_of(web, "web")
    swap = container / "memory.swap.max"
    assert not swap.exists() or swap.read_text().strip() == "0"
    assert inside(web, "web", "cat", "/sys/fs/cgroup/memory.max") == str(200 << 20)


def test_r35_agents_are_in_a_leaf_of_their_own(web):
    status = web.status()["daemon"]
    for pid in (status["pid"], status["agents_pid"]):
        where = Path(f"/proc/{pid}/cgroup").read_text().strip()
        assert where.startswith(f"0::/{web.group.name}/holdfast-")
        assert where.endswith("-agents")


def test_nothing_is_said_of_limits_that_hold(web):
    events = web.get("events", "-A")["items"]
    assert [event for event in events if event["reason"] == "Unsupported"] == []
    (rootless, *_) = [event for event in events if event["reason"] == "Rootless"]
    assert "limits" not in rootless["message"]
    checks = json.loads(web.holdfast("doctor", "-o", "json").stdout)["checks"]
    (found,) = [check for check in checks if check["name"] == "cgroups"]
    assert found["ok"], found
    assert found["detail"] == f"v2, below /{web.group.name}: cpu, memory, pids"
    assert not [name for name in web.group.left() if "probe" in name]


def test_n144_a_program_beyond_its_memory_is_killed_and_named_so(limited):
    eat = "import time; data = bytearray(300 << 20); print(len(data), flush=True); time.sleep(600)"
    resources = {"limits": {"memory": "64Mi"}}
    manifest = pod("eater", {"command": ["python3", "-c", eat], "resources": resources}, restartPolicy="Never")
    limited.kubectl("apply", "-f", "-", manifest=manifest)
    limited.until("it has ended", lambda: limited.get("pod", "eater")["status"]["phase"] == "Failed")
    (status,) = limited.get("pod", "eater")["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    limited.kubectl("delete", "pod", "eater")


def test_n148_limits_change_without_a_restart(web):
    before = started(web)
    change = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "220Mi", "cpu": "500m"}}}]}}
    web.kubectl("patch", "pod", "web", "--subresource=resize", "-p", json.dumps(change))

    def limits():
        _, container = groups_of(web, "web")
        return [(container / name).read_text().strip() for name in ("memory.max", "cpu.max")]

    web.until("the limits are others", lambda: limits() == [str(220 << 20), "50000 100000"])
    assert started(web) == before


def test_usage_is_that_of_the_groups(web):
    def used():
        found = json.loads(web.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"))
        return {each["metadata"]["name"]: each["containers"][0]["usage"] for each in found["items"]}

    usage = web.until("web is measured", lambda: used().get("web"))
    _, container = groups_of(web, "web")
    current = int((container / "memory.current").read_text())
    assert 0 < int(usage["memory"].removesuffix("Ki")) << 10 <= current + (16 << 20)
    assert "web" in web.kubectl("top", "pod")


def test_a_container_that_shares_the_nodes_network_cannot_lift_its_limits(limited):
    lift = "cat /sys/fs/cgroup/memory.max; echo max > /sys/fs/cgroup/memory.max; find /sys/fs/cgroup -name 'holdfast*'"
    container = {"command": ["sh", "-c", lift], "resources": {"limits": {"memory": "64Mi"}}}
    manifest = pod("lifter", container, restartPolicy="Never", hostNetwork=True)
    limited.kubectl("apply", "-f", "-", manifest=manifest)
    limited.until("it has ended", lambda: limited.get("pod", "lifter")["status"]["phase"] in ("Succeeded", "Failed"))
    first, *others = limited.kubectl("logs", "lifter").splitlines()
    assert first == str(64 << 20)
    assert all("Read-only file system" in line for line in others)
    limited.kubectl("delete", "pod", "lifter")


@pytest.mark.parametrize("victims", [("agents",), ("daemon",), ("keeper", "agents", "daemon")])
def test_r46_limits_hold_on_whoever_is_killed(web, victims):
    before, (_, container) = started(web), groups_of(web, "web")
    for victim in victims:
        if victim == "keeper":
            os.kill(json.loads((web.home / "run" / "namespaces.lock").read_text())["pid"], 9)
        else:
            web.kill(victim)
    web.up("--wait", "300")
    web.until("the agents answer", lambda: web.kubectl("exec", "web", "--", "true", check=False).returncode == 0)
    assert started(web) == before
    assert groups_of(web, "web")[1] == container
    after = "after-" + "-".join(victims)
    manifest = pod(after, {"command": IDLE, "resources": {"limits": {"memory": "64Mi"}}})
    web.kubectl("apply", "-f", "-", manifest=manifest)
    web.until("another runs", lambda: web.get("pod", after)["status"]["phase"] == "Running")
    assert (groups_of(web, after)[1] / "memory.max").read_text().strip() == str(64 << 20)
    web.kubectl("delete", "pod", after)
    assert [name for name in web.group.left() if not name.endswith(("-agents", "-0"))] == []


def test_a_pod_that_is_gone_has_left_no_group(limited):
    limited.kubectl("apply", "-f", "-", manifest=pod("short", {"command": IDLE}))
    limited.until("it runs", lambda: limited.get("pod", "short")["status"]["phase"] == "Running")
    top, _ = groups_of(limited, "short")
    limited.kubectl("delete", "pod", "short")
    limited.until("its group is gone", lambda: not top.exists(), within_s=20)


def test_what_was_killed_leaves_no_group_after_down(web):
    found = web.status()["daemon"]
    for pid in (found["pid"], found["agents_pid"]):  # at once: nobody is to start the agents again
        os.kill(pid, 9)
    web.holdfast("down")
    assert web.group.left() == []
    web.up("--wait", "300")


@pytest.fixture(scope="module")
def without_cpu(any_kubectl):
    cluster = new_cluster(any_kubectl, ["memory", "pids"], has_many_ids=False)
    yield cluster
    end(cluster)


def test_what_is_not_handed_on_is_told_and_the_rest_holds(without_cpu):
    resources = {"limits": {"memory": "64Mi", "cpu": "250m"}}
    without_cpu.kubectl("apply", "-f", "-", manifest=pod("web", {"command": IDLE, "resources": resources}))
    without_cpu.until("web runs", lambda: without_cpu.get("pod", "web")["status"]["phase"] == "Running")
    assert [(group / "memory.max").read_text().strip() for group in groups_of(without_cpu, "web")] == [
        str(64 << 20)
    ] * 2
    events = without_cpu.get("events", "-A")["items"]
    (unsupported,) = [event["message"] for event in events if event["reason"] == "Unsupported"]
    assert "limits of CPU are not enforced" in unsupported
    (rootless, *_) = [event["message"] for event in events if event["reason"] == "Rootless"]
    assert "limits of CPU do not hold" in rootless
