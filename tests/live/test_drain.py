"""`kubectl drain` waits for a disruption budget, and goes on (W77, W79)."""

import json
import subprocess
import threading

BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1},
}


def test_a_drain_takes_one_pod_after_the_other_and_the_set_moves(new_cluster, statefulset, debian_kubectl):
    """First with the machine's kubectl, then back again with an old one, which asks in an older version."""
    cluster = new_cluster("--nodes", "2")
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", replicas=4))
    cluster.kubectl("apply", "-f", "-", manifest=BUDGET)
    cluster.until("all are ready", lambda: cluster.get("sts", "web")["status"].get("readyReplicas") == 4)
    cluster.until("the budget knows", lambda: counts(cluster) == (4, 3, 4, 1))
    columns = cluster.kubectl("get", "pdb", "web", "--no-headers").split()
    assert columns[:4] == ["web", "N/A", "1", "1"]

    for kubectl in (None, debian_kubectl):
        node, names = busiest_node(cluster)
        assert len(names) > 1
        said = drain(cluster, node, kubectl)
        assert "Cannot evict pod as it would violate the pod's disruption budget." in said
        assert [name for name in names if f"pod/{name} evicted" not in said] == []
        assert not [pod for pod in pods(cluster) if pod["spec"].get("nodeName") == node]
        cluster.until("all are ready again", lambda: cluster.get("sts", "web")["status"].get("readyReplicas") == 4)
        cluster.until("the budget knows", lambda: counts(cluster) == (4, 3, 4, 1))
        assert "disruptedPods" not in cluster.get("pdb", "web")["status"]
        cluster.kubectl("uncordon", node)


def drain(cluster, node, kubectl):
    """What kubectl said. Meanwhile at least three of the four pods are ready, whenever one looks."""
    fewest = [4]
    is_over = threading.Event()

    def watch():
        while not is_over.wait(0.05):
            ready = sum(is_ready(pod) for pod in pods(cluster))
            fewest[0] = min(fewest[0], ready)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        command = cluster.command("drain", node, "--ignore-daemonsets", "--timeout=240s", kubectl=kubectl)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    finally:
        is_over.set()
        watcher.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert fewest[0] >= 3
    return done.stdout + done.stderr


def busiest_node(cluster):
    on = {}
    for pod in pods(cluster):
        on.setdefault(pod["spec"]["nodeName"], []).append(pod["metadata"]["name"])
    return max(on.items(), key=lambda each: len(each[1]))


def pods(cluster):
    return json.loads(cluster.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]


def is_ready(pod):
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def counts(cluster):
    status = cluster.get("pdb", "web").get("status", {})
    names = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")
    return tuple(status.get(name) for name in names)
