"""Sets that grow with what their pods use, by the real `kubectl autoscale` (W82, W83)."""

from __future__ import annotations

from .test_top import BUSY, PYTHON, rows

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "worker"},
    "spec": {"clusterIP": "None", "selector": {"app": "worker"}},
}
SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "worker"},
    "spec": {
        "serviceName": "worker",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "worker"}},
        "template": {
            "metadata": {"labels": {"app": "worker"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "main",
                        "image": "host",
                        "command": [PYTHON, "-c", BUSY],
                        "resources": {"requests": {"cpu": "50m"}},
                    }
                ],
            },
        },
    },
}


def test_w82_a_set_of_busy_pods_gets_more_of_them(cluster):
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [SERVICE, SET]})
    cluster.kubectl("rollout", "status", "sts/worker", "--timeout=120s")
    cluster.until("its use is known", lambda: "worker-0" in rows(cluster, "pods", "-l", "app=worker"))
    cluster.kubectl("autoscale", "sts/worker", "--cpu-percent=50", "--min=1", "--max=3")
    cluster.until("three pods", lambda: cluster.get("sts", "worker")["status"].get("readyReplicas") == 3)
    described = cluster.until("all are seen", lambda: all_seen(cluster.kubectl("describe", "hpa", "worker")))
    assert "resource cpu on pods  (as a percentage of request):" in described
    assert "TooManyReplicas" in described
    assert "reason: cpu resource utilization (percentage of request) above target" in described
    cluster.kubectl("delete", "hpa,sts,service", "worker")


def all_seen(described):
    """What is described, once the set's pods are told to be three."""
    lines = [line.split() for line in described.splitlines()]
    return ["StatefulSet", "pods:", "3", "current", "/", "3", "desired"] in lines and described
