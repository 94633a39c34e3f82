"""Ordered sets of the `host` image, each pod with a claim: create to all Ready, and delete-to-Ready of one pod."""

from __future__ import annotations

import time
from typing import Any

from .cluster import Cluster, cluster

TIMEOUT_S = 120


def manifest(name: str, replicas: int) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "host",
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


def measure() -> dict[str, Any]:
    """Seconds per set and per replica, and for one replaced pod."""
    result: dict[str, Any] = {}
    with cluster() as made:
        made.up()
        for replicas in (3, 10):
            seconds = _until_ready(made, f"set{replicas}", replicas)
            result[f"ordered_{replicas}_s"] = round(seconds, 3)
            result[f"ordered_{replicas}_per_replica_s"] = round(seconds / replicas, 3)
        result["delete_to_ready_s"] = round(_replace(made, "set3-1"), 3)
    return result


def _until_ready(made: Cluster, name: str, replicas: int) -> float:
    begin = time.monotonic()
    made.call("POST", "/apis/apps/v1/namespaces/default/statefulsets", manifest(name, replicas))
    path = f"/apis/apps/v1/namespaces/default/statefulsets?fieldSelector=metadata.name={name}"
    for event in made.watch(path, TIMEOUT_S):
        if event["object"]["status"].get("readyReplicas", 0) == replicas:
            return time.monotonic() - begin
    raise RuntimeError(f"{name} was not ready within {TIMEOUT_S} s")


def _replace(made: Cluster, pod: str) -> float:
    path = f"/api/v1/namespaces/default/pods/{pod}"
    old = made.call("GET", path)["metadata"]["uid"]
    begin = time.monotonic()
    made.call("DELETE", path)
    for event in made.watch(f"/api/v1/namespaces/default/pods?fieldSelector=metadata.name={pod}", TIMEOUT_S):
        found = event["object"]
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", []))
        if found["metadata"]["uid"] != old and ready:
            return time.monotonic() - begin
    raise RuntimeError(f"{pod} did not come back within {TIMEOUT_S} s")
