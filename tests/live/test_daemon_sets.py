"""DaemonSets as people use them: kubectl's own commands, with real pods on three nodes."""

import json

import pytest

from .conftest import Cluster

SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]


@pytest.fixture
def cluster(new_cluster):
    return new_cluster("--nodes", "3")


def manifest(**spec):
    container = {"name": "main", "image": "host", "command": SLEEP}
    template = {
        "metadata": {"labels": {"app": "agent"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template, **spec},
    }


@pytest.mark.parametrize("kubectl", ["any_kubectl", "debian_kubectl"])
def test_a_daemon_set_is_applied_changed_moved_rolled_back_and_deleted(request, cluster, kubectl):
    cluster = Cluster(cluster.home, request.getfixturevalue(kubectl))
    nodes = node_names(cluster)
    assert cluster.kubectl("apply", "-f", "-", manifest=manifest()) == "daemonset.apps/agent created\n"
    finish(cluster)
    assert sorted(pods(cluster)) == nodes
    header, row = cluster.kubectl("get", "ds").splitlines()
    assert header.split()[1:] == ["DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE", "SELECTOR", "AGE"]
    assert row.split()[:7] == ["agent", "3", "3", "3", "3", "3", "<none>"]

    cluster.kubectl("set", "env", "ds/agent", "COLOUR=blue")
    finish(cluster)
    name = pods(cluster)[nodes[0]]["metadata"]["name"]
    assert cluster.kubectl("exec", name, "--", "/bin/sh", "-c", "echo $COLOUR") == "blue\n"

    cluster.kubectl("rollout", "restart", "ds/agent")
    finish(cluster)
    assert "kubectl.kubernetes.io/restartedAt" in pods(cluster)[nodes[0]]["metadata"]["annotations"]
    assert history(cluster) == ["1", "2", "3"]

    cluster.kubectl("label", "node", nodes[1], "disk=ssd")
    select = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}
    cluster.kubectl("patch", "ds", "agent", "-p", json.dumps(select))
    cluster.until("only the node of that label has a pod", lambda: list(pods(cluster)) == [nodes[1]])
    finish(cluster)
    assert cluster.kubectl("get", "ds", "agent", "--no-headers").split()[1:7] == ["1", "1", "1", "1", "1", "disk=ssd"]
    cluster.kubectl("label", "node", nodes[2], "disk=ssd")
    cluster.until("the next node of the label has one too", lambda: sorted(pods(cluster)) == nodes[1:])

    assert "rolled back" in cluster.kubectl("rollout", "undo", "ds/agent", "--to-revision=1")
    cluster.until("every node has its pod again", lambda: sorted(pods(cluster)) == nodes)
    finish(cluster)
    assert history(cluster) == ["2", "3", "4", "5"]
    assert "COLOUR" not in json.dumps(pods(cluster)[nodes[0]]["spec"])
    assert "COLOUR" in cluster.kubectl("rollout", "history", "ds/agent", "--revision=2")

    described = cluster.kubectl("describe", "ds", "agent")
    assert "Desired Number of Nodes Scheduled: 3" in described
    assert "Pods Status:  3 Running / 0 Waiting / 0 Succeeded / 0 Failed" in described
    assert "Created pod: agent-" in described
    assert "Deleted pod: agent-" in described

    cluster.kubectl("delete", "ds", "agent")
    owned = "pods,controllerrevisions"
    cluster.until("all of it is gone", lambda: not cluster.get(owned, "-l", "app=agent")["items"])


def test_an_update_that_surges_has_every_node_served_all_the_time(cluster):
    surge = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    cluster.kubectl("apply", "-f", "-", manifest=manifest(updateStrategy=surge, minReadySeconds=3))
    finish(cluster)
    cluster.kubectl("set", "env", "ds/agent", "COLOUR=blue")
    most = 0

    def is_through():
        nonlocal most
        found = cluster.get("pods", "-l", "app=agent")["items"]
        ready = {pod["spec"].get("nodeName") for pod in found if is_ready(pod)}
        assert len(ready) == 3, f"nodes with a ready pod: {ready}"
        most = max(most, len([pod for pod in found if "deletionTimestamp" not in pod["metadata"]]))
        return all("COLOUR" in json.dumps(pod["spec"]) for pod in found) and len(found) == 3

    cluster.until("all pods are new", is_through)
    assert most == 4
    finish(cluster)


def test_a_drain_leaves_daemons_where_they_are_and_takes_the_others(cluster):
    nodes = node_names(cluster)
    cluster.kubectl("apply", "-f", "-", manifest=manifest())
    finish(cluster)
    cluster.kubectl("create", "deployment", "web", "--image=host", "--replicas=3", "--", *SLEEP)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    before = pods(cluster)

    refused = cluster.kubectl("drain", nodes[0], check=False)
    assert refused.returncode == 1
    assert "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): default/agent-" in refused.stderr

    said = cluster.kubectl("drain", nodes[0], "--ignore-daemonsets", "--timeout=90s")
    assert f"node/{nodes[0]} drained" in said
    on_node = cluster.get("pods", "--field-selector", f"spec.nodeName={nodes[0]}")["items"]
    assert [pod["metadata"]["uid"] for pod in on_node] == [before[nodes[0]]["metadata"]["uid"]]
    assert cluster.get("ds", "agent")["status"]["desiredNumberScheduled"] == 3

    cluster.kubectl("delete", "pod", before[nodes[0]]["metadata"]["name"])
    cluster.until("a cordoned node gets its daemon back", lambda: sorted(pods(cluster)) == nodes)
    finish(cluster)
    cluster.kubectl("uncordon", nodes[0])


def finish(cluster):
    """kubectl's own word that the rollout is over."""
    said = cluster.kubectl("rollout", "status", "ds/agent", "--timeout=120s")
    assert 'daemon set "agent" successfully rolled out' in said


def history(cluster):
    lines = cluster.kubectl("rollout", "history", "ds/agent").splitlines()
    return [line.split()[0] for line in lines[2:] if line]


def node_names(cluster):
    return sorted(node["metadata"]["name"] for node in cluster.get("nodes")["items"])


def pods(cluster):
    """The ready pods that stay, by node; a node with two of them is an error."""
    found = {}
    for pod in cluster.get("pods", "-l", "app=agent")["items"]:
        if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]:
            assert found.setdefault(pod["spec"]["nodeName"], pod) is pod
    return found


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
