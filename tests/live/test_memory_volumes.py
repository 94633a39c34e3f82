"""What is in memory and not on the disk: V87, V101."""

from __future__ import annotations

import os

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "main",
                "image": "host",
                "command": ["sleep", "1000"],
                "resources": {"limits": {"memory": "64Mi"}},
                "volumeMounts": [
                    {"name": "small", "mountPath": "/small"},
                    {"name": "shm", "mountPath": "/dev/shm"},
                    {"name": "secret", "mountPath": "/secret"},
                ],
            }
        ],
        "volumes": [
            {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
            {"name": "secret", "secret": {"secretName": "s"}},
        ],
    },
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "not on any disk"}}


def in_pod(cluster, command):
    return cluster.kubectl("exec", "p", "--", "sh", "-c", command)


def test_v87_v101_volumes_in_memory_have_a_size_outlive_the_agent_and_leave_nothing(new_cluster):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=SECRET)
    cluster.kubectl("apply", "-f", "-", manifest=POD)
    cluster.until("it runs", lambda: cluster.get("pod", "p")["status"]["phase"] == "Running")
    sizes = in_pod(cluster, "df --output=fstype,size -B1M /small /dev/shm /secret").splitlines()[1:]
    assert [line.split() for line in sizes[:2]] == [["tmpfs", "8"], ["tmpfs", "64"]]
    assert sizes[2].split()[0] == "tmpfs"
    said = in_pod(cluster, "head -c 16M /dev/zero > /small/large || true; echo kept > /dev/shm/file; ls -l /small")
    assert str(8 << 20) in said
    in_pod(cluster, "rm /small/large")

    cluster.kill("agents")
    cluster.until("they are back", lambda: cluster.status()["daemon"].get("agents_pid"))
    newer = {**SECRET, "stringData": {"key": "newer"}}
    cluster.kubectl("apply", "-f", "-", manifest=newer)
    cluster.until("it is seen in the container", lambda: in_pod(cluster, "cat /secret/key") == "newer")
    assert in_pod(cluster, "cat /dev/shm/file") == "kept\n"
    assert [place for place, _, files in os.walk(cluster.home) if "key" in files] == []
    cluster.kubectl("delete", "pod", "p")
