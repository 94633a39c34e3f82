"""Deployments as people use them: kubectl's own commands, with real pods."""

import json

SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]


def test_a_deployment_is_created_scaled_updated_restarted_and_rolled_back(cluster):
    cluster.kubectl("create", "deployment", "web", "--image=host", "--replicas=2", "--", *SLEEP)
    finish(cluster)
    assert len(pods(cluster)) == 2
    first = {pod["metadata"]["uid"] for pod in pods(cluster)}

    cluster.kubectl("scale", "deployment/web", "--replicas=3")
    finish(cluster)
    assert first < {pod["metadata"]["uid"] for pod in pods(cluster)}

    cluster.kubectl("set", "env", "deployment/web", "COLOUR=blue")
    finish(cluster)
    name = pods(cluster)[0]["metadata"]["name"]
    assert cluster.kubectl("exec", name, "--", "/bin/sh", "-c", "echo $COLOUR") == "blue\n"

    cluster.kubectl("rollout", "restart", "deployment/web")
    finish(cluster)
    assert "kubectl.kubernetes.io/restartedAt" in json.dumps(pods(cluster)[0]["metadata"]["annotations"])

    cluster.kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    finish(cluster)
    history = cluster.kubectl("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3", "4"]
    assert "COLOUR" not in json.dumps(pods(cluster)[0]["spec"])

    described = cluster.kubectl("describe", "deployment", "web")
    assert "Scaled up replica set web-" in described
    assert "NewReplicaSetAvailable" in described
    columns = cluster.kubectl("get", "deployment", "web", "--no-headers").split()
    assert columns[:4] == ["web", "3/3", "3", "3"]

    cluster.kubectl("delete", "deployment", "web")
    cluster.until("everything of the deployment is gone", lambda: not cluster.get("pods,rs", "-l", "app=web")["items"])


def test_a_replication_controller_keeps_its_pods_until_they_are_scaled_away(cluster):
    container = {"name": "main", "image": "host", "command": SLEEP}
    template = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "template": template}
    manifest = {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"}, "spec": spec}
    cluster.kubectl("create", "-f", "-", manifest=manifest)
    cluster.until("both are ready", lambda: cluster.get("rc", "old")["status"].get("readyReplicas") == 2)
    cluster.kubectl("delete", "pod", "-l", "app=old", "--wait=false")
    cluster.until("both are replaced", lambda: len(pods(cluster, "old")) == 2)
    cluster.kubectl("scale", "rc", "old", "--replicas=0")
    cluster.until("all are gone", lambda: not cluster.get("pods", "-l", "app=old")["items"])
    cluster.kubectl("delete", "rc", "old")


def finish(cluster):
    """kubectl's own word that the rollout is over, and no pod that is on its way out."""
    said = cluster.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert 'deployment "web" successfully rolled out' in said

    def is_at_rest():
        return all("deletionTimestamp" not in pod["metadata"] for pod in cluster.get("pods", "-l", "app=web")["items"])

    cluster.until("the old pods have left", is_at_rest)


def pods(cluster, app="web"):
    return [
        pod
        for pod in cluster.get("pods", "-l", f"app={app}")["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
    ]
