"""Pods, processes, daemon and agents die; identities, data and containers do not."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from holdfast.cluster import certificates
from holdfast.cluster.home import Home


def pods(cluster):
    return {pod["metadata"]["name"]: pod for pod in cluster.get("pods")["items"]}


def runs(cluster):
    """Per pod: uid, container and number of restarts."""
    return {
        name: (pod["metadata"]["uid"], status["containerID"], status["restartCount"])
        for name, pod in pods(cluster).items()
        for status in pod["status"].get("containerStatuses", [])
        if "containerID" in status
    }


def first_process(pod_uid):
    """The pid, on this machine, of the container's first process; it may just be about to become it."""
    deadline = time.monotonic() + 30
    while not (found := _first_process(pod_uid)):
        assert time.monotonic() < deadline, f"no process of pod {pod_uid}"
        time.sleep(0.05)
    return found


def _first_process(pod_uid):
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if pod_uid in path.read_text() and b"visit" in path.with_name("cmdline").read_bytes():
                return int(path.parent.name)
        except OSError:
            continue
    return None


def until_said(cluster, pod, text):
    """A pod without a probe is ready before its program has said anything."""
    cluster.until(f"{pod} says {text}", lambda: cluster.kubectl("logs", pod, check=False).stdout.endswith(text))


def is_ready(cluster, count):
    return cluster.get("sts", "web").get("status", {}).get("readyReplicas", 0) == count


def test_a_deleted_pod_comes_back_with_its_name_claim_and_data(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    before, volume = runs(cluster)["web-1"], cluster.get("pvc", "data-web-1")["spec"]["volumeName"]
    cluster.kubectl("delete", "pod", "web-1")
    cluster.until(
        "web-1 is replaced and ready", lambda: is_ready(cluster, 2) and runs(cluster).get("web-1", before) != before
    )
    assert cluster.get("pvc", "data-web-1")["spec"]["volumeName"] == volume
    until_said(cluster, "web-1", "web-1 visit 2\n")


def test_a_killed_process_is_restarted_in_the_same_pod_with_its_data(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    uid = pods(cluster)["web-0"]["metadata"]["uid"]
    os.kill(first_process(uid), signal.SIGKILL)
    cluster.until("the container was restarted", lambda: runs(cluster).get("web-0", (0, 0, 0))[2] == 1)
    cluster.until("ready", lambda: is_ready(cluster, 1))
    pod = pods(cluster)["web-0"]
    assert pod["metadata"]["uid"] == uid
    ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    until_said(cluster, "web-0", "web-0 visit 2\n")


def test_a_daemon_killed_in_a_rolling_update_finishes_it_and_restarts_nothing_else(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 5))
    cluster.until("ready", lambda: is_ready(cluster, 5))
    old = runs(cluster)
    changed = statefulset.program.replace("visit $(", "second version $(")
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 5, changed))
    cluster.until("the update is under way", lambda: runs(cluster).get("web-4", old["web-4"]) != old["web-4"])
    cluster.kill("daemon")
    cluster.up()
    status = cluster.until("the update finishes", lambda: finished(cluster))
    assert status["currentRevision"] == status["updateRevision"]
    new = runs(cluster)
    for name, (uid, container, restarts) in new.items():
        assert (uid, container) != old[name][:2], f"{name} was not updated"
        assert restarts == 0, f"{name} was restarted"
        visits = cluster.until(f"{name} has begun", lambda name=name: len(v := visits_of(cluster, name)) > 1 and v)
        assert len(visits) == 2, f"{name} ran {len(visits)} times, once per version expected"


def finished(cluster):
    status = cluster.get("sts", "web")["status"]
    done = status.get("updatedReplicas") == 5 and status.get("readyReplicas") == 5
    return status if done and status["currentRevision"] == status["updateRevision"] else None


def visits_of(cluster, pod):
    """One line for each time that the pod's program was started on its volume."""
    return cluster.kubectl("exec", pod, "--", "cat", "/data/visits").splitlines()


def test_killed_agents_find_their_containers_again(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    before = runs(cluster)
    old = cluster.status()["daemon"]["agents_pid"]
    cluster.kill("agents")
    cluster.until("new agents", lambda: cluster.status()["daemon"]["agents_pid"] not in (None, old))
    cluster.until("exec works", lambda: cluster.kubectl("exec", "web-0", "--", "true", check=False).returncode == 0)
    assert runs(cluster) == before
    assert is_ready(cluster, 2)


def test_down_stops_the_pods_and_up_starts_them_again_on_their_data(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    uids = {name: uid for name, (uid, _, _) in runs(cluster).items()}
    cluster.holdfast("down")
    cluster.up()
    cluster.until("visit 2", lambda: "visit 2" in cluster.kubectl("logs", "web-1", check=False).stdout)
    cluster.until("ready", lambda: is_ready(cluster, 2))
    assert {name: uid for name, (uid, _, _) in runs(cluster).items()} == uids


def test_n192_with_a_time_for_shutdowns_pods_have_failed_and_a_set_makes_others_on_their_data(new_cluster, statefulset):
    cluster = new_cluster("--shutdown-grace-period", "20s")
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    bare = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "host", "command": ["sleep", "infinity"]}],
    }
    cluster.kubectl(
        "apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": bare}
    )
    cluster.until("ready", lambda: is_ready(cluster, 2))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/bare", "--timeout=120s")
    uids = {name: pod["metadata"]["uid"] for name, pod in pods(cluster).items()}
    cluster.holdfast("down")
    cluster.up()
    cluster.until("visit 2", lambda: "visit 2" in cluster.kubectl("logs", "web-1", check=False).stdout)
    now = {name: pod["metadata"]["uid"] for name, pod in pods(cluster).items()}
    assert {name for name, uid in uids.items() if now[name] == uid} == {"bare"}
    status = cluster.get("pod", "bare")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
    assert "imminent node shutdown" in status["message"]


def test_down_ends_pods_whose_agents_were_killed(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    process = first_process(pods(cluster)["web-0"]["metadata"]["uid"])
    status = cluster.status()["daemon"]
    for name in ("pid", "agents_pid"):  # the daemon first: it would start other agents
        os.kill(status[name], signal.SIGKILL)
    cluster.holdfast("down")
    assert not Path(f"/proc/{process}").exists()
    cluster.up()
    cluster.until("ready again", lambda: is_ready(cluster, 2))
    until_said(cluster, "web-0", "web-0 visit 2\n")


def test_down_stops_everything_although_the_daemon_died_while_pods_were_being_deleted(new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 3))
    cluster.until("ready", lambda: is_ready(cluster, 3))
    process = first_process(pods(cluster)["web-1"]["metadata"]["uid"])
    cluster.kubectl("delete", "pod", "--all", "--wait=false")
    cluster.kill("daemon")
    cluster.holdfast("down", within_s=120)
    assert not Path(f"/proc/{process}").exists()
    cluster.up()
    cluster.until("ready again", lambda: is_ready(cluster, 3))
    cluster.until("it has begun again", lambda: len(visits_of(cluster, "web-1")) >= 2)


def test_a_cluster_whose_certificates_ended_while_it_was_down_comes_up_with_new_ones(new_cluster):
    cluster = new_cluster()
    (node,) = cluster.get("nodes")["items"]
    cluster.holdfast("down")
    home = Home(cluster.home)
    for path in (home.ca_certificate, *home.pki.glob("*.crt"), *home.pki.glob("*.key")):
        path.unlink()
    certificates.ensure(home, datetime.now(UTC) - certificates.LIFETIME * 1.1, [node["metadata"]["name"]], [])
    cluster.up()
    container = {"name": "main", "image": "host", "command": ["sh", "-c", "echo here; exec sleep 60"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    cluster.kubectl(
        "apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"}, "spec": spec}
    )
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/new")
    assert cluster.kubectl("logs", "new").strip() == "here", "the agent and the API server believe each other"
    shown = cluster.kubectl("exec", "new", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    assert shown.strip() == home.ca_certificate.read_text().strip()
