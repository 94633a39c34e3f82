"""A cloud's disk on two nodes, with real containers: V48, X8.1."""

from __future__ import annotations

import pytest

PERFORMER = {"name": "main", "image": "host", "command": ["sleep", "1000"]}


def claim(name):
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "32Mi"}},
        "storageClassName": "ebs",
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod(name, node):
    mounts = [{"name": "data", "mountPath": "/data"}]
    spec = {
        "containers": [{**PERFORMER, "volumeMounts": mounts}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "ledger"}}],
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def two_nodes(new_cluster):
    cluster = new_cluster("--nodes", "2")
    nodes = [node["metadata"]["labels"]["kubernetes.io/hostname"] for node in cluster.get("nodes")["items"]]
    return cluster, nodes


def phase(cluster, name):
    return cluster.get("pod", name)["status"]["phase"]


def events(cluster, name, reason):
    listed = cluster.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in listed]


def test_v48_a_disk_moves_when_its_pod_is_gone_also_if_the_agents_were_killed(two_nodes):
    cluster, (here, there) = two_nodes
    cluster.kubectl("apply", "-f", "-", manifest=claim("ledger"))
    cluster.kubectl("apply", "-f", "-", manifest=pod("a", here))
    cluster.until("it runs", lambda: phase(cluster, "a") == "Running")
    cluster.kubectl("exec", "a", "--", "sh", "-c", "echo written > /data/book")
    volume = cluster.get("pvc", "ledger")["spec"]["volumeName"]
    (attachment,) = cluster.get("volumeattachments")["items"]
    assert (attachment["spec"]["source"]["persistentVolumeName"], attachment["status"]["attached"]) == (volume, True)

    cluster.kubectl("apply", "-f", "-", manifest=pod("b", there))
    refusal = f'Multi-Attach error for volume "{volume}" Volume is already used by pod(s) a'
    cluster.until("it is told", lambda: events(cluster, "b", "FailedAttachVolume") == [refusal])
    assert "ContainerCreating" in cluster.kubectl("get", "pod", "b")
    said = cluster.holdfast("why", "pod/b", check=False).stdout
    assert refusal in said

    cluster.kill("agents")
    cluster.until("they are back", lambda: cluster.status()["daemon"].get("agents_pid"))
    in_use = f"kubernetes.io/csi/ebs.csi.aws.com^{volume}"
    assert cluster.get("node", here)["status"]["volumesInUse"] == [in_use]
    cluster.kubectl("delete", "pod", "a", "--wait=false")
    cluster.until("the other runs", lambda: phase(cluster, "b") == "Running")
    assert cluster.kubectl("exec", "b", "--", "cat", "/data/book") == "written\n"
    cluster.until("it is let go of", lambda: "volumesInUse" not in cluster.get("node", here)["status"])
