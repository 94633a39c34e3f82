"""Disks of a cloud, and two nodes that want one, on a whole cluster in simulated time: V48, X8."""

from __future__ import annotations

from typing import Any

from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from holdfast.simulation.cluster import Cluster, simulate
from holdfast.simulation.faults import Faults

EBS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "ebs"},
    "provisioner": "kubernetes.io/aws-ebs",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def claim(of_class: str = "ebs", mode: str = "ReadWriteOnce") -> dict[str, Any]:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": of_class}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}


def pod(name: str, node: str, **metadata: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v"}]
    spec = {
        "containers": [{"name": "main", "image": "host", "volumeMounts": mounts}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def phase(cluster: Cluster, name: str) -> str | None:
    found = cluster.get(PODS, name)
    return found["status"]["phase"] if found else None


def told(cluster: Cluster, name: str) -> dict[str, str]:
    found = [each for each in cluster.objects(EVENTS) if each["involvedObject"]["name"] == name]
    return {each["reason"]: each["message"] for each in found}


def attached(cluster: Cluster) -> list[tuple[str, bool]]:
    return [(at["spec"]["nodeName"], at["status"]["attached"]) for at in cluster.objects(VOLUME_ATTACHMENTS)]


def status_of(cluster: Cluster, node: str) -> tuple[Any, Any]:
    found = cluster.get(NODES, node)["status"]
    return found.get("volumesAttached"), found.get("volumesInUse")


def test_v48_the_second_pod_waits_until_the_first_is_gone() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(EBS, claim(), pod("a", "n1"))
        cluster.run_until(lambda: phase(cluster, "a") == "Running")
        volume = cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["spec"]["volumeName"]
        called = f"kubernetes.io/csi/ebs.csi.aws.com^{volume}"
        assert status_of(cluster, "n1") == ([{"name": called, "devicePath": ""}], [called])
        assert told(cluster, "a")["SuccessfulAttachVolume"] == f'AttachVolume.Attach succeeded for volume "{volume}" '
        cluster.apply(pod("b", "n2"))
        cluster.run_for(60)
        assert phase(cluster, "b") == "Pending"
        assert told(cluster, "b") == {
            "Scheduled": "Successfully assigned default/b to n2",
            "FailedAttachVolume": f'Multi-Attach error for volume "{volume}" Volume is already used by pod(s) a',
        }
        waiting = cluster.get(PODS, "b")["status"]["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "ContainerCreating"
        cluster.run_for(100)
        assert told(cluster, "b")["FailedMount"] == (
            "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[v], failed to process"
            " volumes=[]: context deadline exceeded"
        )
        cluster.delete(PODS, "a")
        cluster.run_until(lambda: phase(cluster, "b") == "Running", 20)
        assert attached(cluster) == [("n2", True)]
        assert status_of(cluster, "n1") == (None, None)
        cluster.delete(PODS, "b")
        cluster.run_for(10)
        assert attached(cluster) == []
        assert status_of(cluster, "n2") == (None, None)


def test_v48_two_pods_of_one_node_share_it() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(EBS, claim(), pod("a", "n1"), pod("b", "n1"))
        cluster.run_until(lambda: phase(cluster, "a") == phase(cluster, "b") == "Running", 20)
        cluster.delete(PODS, "a")
        cluster.run_for(10)
        assert attached(cluster) == [("n1", True)]


def test_v48_volumes_that_every_node_has_are_not_attached() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(claim("standard"), pod("a", "n1"), pod("b", "n2"))
        cluster.run_until(lambda: phase(cluster, "a") == phase(cluster, "b") == "Running", 20)
        assert attached(cluster) == []


def test_v48_a_disk_for_many_is_on_both_nodes() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(EBS, claim(mode="ReadWriteMany"), pod("a", "n1"), pod("b", "n2"))
        cluster.run_until(lambda: phase(cluster, "a") == phase(cluster, "b") == "Running", 20)
        assert sorted(attached(cluster)) == [("n1", True), ("n2", True)]


def test_v48_a_node_that_is_away_keeps_its_disk_for_six_minutes_after_its_pod_was_taken_from_it() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(EBS, claim(), pod("a", "n1"))
        cluster.run_until(lambda: phase(cluster, "a") == "Running")
        cluster.kill(cluster.nodes[0].process)
        cluster.apply(pod("b", "n2"))
        cluster.run_for(90)
        cluster.delete(PODS, "a", grace_period_s=0)
        cluster.run_for(300)
        assert phase(cluster, "b") == "Pending"
        exclusive = "Volume is already exclusively attached to one node and can't be attached to another"
        assert any(each["message"].endswith(exclusive) for each in cluster.objects(EVENTS))
        cluster.run_for(90)
        assert phase(cluster, "b") == "Running"


def test_v48_a_node_out_of_service_loses_its_disk_at_once() -> None:
    with simulate(0, nodes=2) as cluster:
        cluster.apply(EBS, claim(), pod("a", "n1"))
        cluster.run_until(lambda: phase(cluster, "a") == "Running")
        cluster.kill(cluster.nodes[0].process)
        cluster.apply(pod("b", "n2"))
        cluster.run_for(90)
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        cluster.permit(cluster.get(PODS, "a")["metadata"]["uid"], by_force=True)
        there = cluster.get(NODES, "n1")["spec"].get("taints", [])
        cluster.patch(NODES, "n1", {"spec": {"taints": [*there, taint]}})
        cluster.run_until(lambda: phase(cluster, "b") == "Running", 120)


def test_v48_whatever_fails_no_disk_is_on_two_nodes() -> None:
    rough = Faults(crash_every_s=10, request_delay_s=0.3, watch_delay_s=1, lost_reply=0.05, broken_watch=0.02)
    for seed in range(6):
        with simulate(seed, nodes=2) as cluster:
            cluster.run_for(5)
            cluster.faults = rough
            cluster.apply(EBS, claim(), pod("a", "n1"))
            cluster.run_for(20)
            for number in range(4):
                here, there = ("n1", "n2") if number % 2 else ("n2", "n1")
                cluster.apply(pod(f"b{number}", here))
                cluster.run_for(5)
                for each in cluster.objects(PODS):
                    if each["spec"].get("nodeName") == there:
                        cluster.delete(PODS, each["metadata"]["name"])
                for _ in range(10):
                    cluster.run_for(1)
                    assert len(attached(cluster)) <= 1
            cluster.heal()
            cluster.run_until(lambda: phase(cluster, "b3") == "Running", 120)
            assert attached(cluster) == [("n1", True)]
