"""Claims and volumes on a whole cluster, in simulated time: V9 to V60, X3, X7."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.machines import TASK

RWO, RWX = "ReadWriteOnce", "ReadWriteMany"


def claim(name: str, size: str = "1Gi", *modes: str, of_class: str | None = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": list(modes or (RWO,)), "resources": {"requests": {"storage": size}}}
    if of_class is not None:
        spec["storageClassName"] = of_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def volume(name: str, size: str = "1Gi", *modes: str, policy: str = "Retain", of_class: str = "", path: str = "/x"):
    spec = {
        "capacity": {"storage": size},
        "accessModes": list(modes or (RWO,)),
        "persistentVolumeReclaimPolicy": policy,
        "storageClassName": of_class,
        "hostPath": {"path": path},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def storage_class(name: str, provisioner: str, mode: str = "Immediate", *, default: bool = False) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    }


def pod(name: str, *claims: str, node: str = "") -> dict[str, Any]:
    volumes = [{"name": f"v{number}", "persistentVolumeClaim": {"claimName": c}} for number, c in enumerate(claims)]
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "host"}], "volumes": volumes}
    if node:
        spec["nodeName"] = node
    spec["terminationGracePeriodSeconds"] = 1
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def status(cluster, name):
    found = cluster.get(PERSISTENT_VOLUME_CLAIMS, name)
    return found["status"]["phase"], found["spec"].get("volumeName")


def phase(cluster, name):
    found = cluster.get(PERSISTENT_VOLUMES, name)
    return found and found["status"]["phase"]


def reasons(cluster, name):
    return [each["reason"] for each in cluster.objects(EVENTS) if each["involvedObject"]["name"] == name]


def test_v19_v23_two_sizes_find_their_claims_in_either_order():
    """X3.2."""
    for order in ((0, 1), (1, 0)):
        with simulate(0, nodes=0) as cluster:
            volumes = (volume("nfs-0001", "2Gi", RWO, RWX), volume("nfs-0002", "5Gi", RWO, RWX))
            cluster.apply(*volumes)
            cluster.run_for(1)
            assert phase(cluster, "nfs-0001") == "Available"
            claims = (claim("claim-mysql", "3Gi"), claim("claim-http", "1Gi"))
            cluster.apply(*(claims[each] for each in order))
            cluster.run_for(2)
            assert status(cluster, "claim-mysql") == ("Bound", "nfs-0002")
            assert status(cluster, "claim-http") == ("Bound", "nfs-0001")
            assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "claim-mysql")["status"]["capacity"] == {"storage": "5Gi"}


def test_v25_a_volume_that_comes_later_binds_a_waiting_claim():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(claim("data"))
        cluster.run_for(60)
        assert status(cluster, "data") == ("Pending", None)
        assert set(reasons(cluster, "data")) == {"FailedBinding"}
        cluster.apply(volume("v"))
        cluster.run_for(1)
        assert status(cluster, "data") == ("Bound", "v")


def test_v17_v133_a_released_volume_is_not_given_to_a_claim_of_the_same_name():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(volume("v"), claim("data"))
        cluster.run_for(2)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_for(2)
        assert phase(cluster, "v") == "Released"
        cluster.apply(claim("data"))
        cluster.run_for(30)
        assert status(cluster, "data") == ("Pending", None)
        cluster.patch(PERSISTENT_VOLUMES, "v", {"spec": {"claimRef": None}})
        cluster.run_for(2)
        assert status(cluster, "data") == ("Bound", "v")


def test_v55_a_recycled_volume_is_given_to_the_next_claim():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(volume("v", policy="Recycle"), claim("one"))
        cluster.run_for(2)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "one")
        cluster.run_for(2)
        assert phase(cluster, "v") == "Available"
        assert "VolumeRecycled" in reasons(cluster, "v")
        cluster.apply(claim("two"))
        cluster.run_for(2)
        assert status(cluster, "two") == ("Bound", "v")


def test_v35_v46_v53_a_clouds_class_gives_a_local_volume_at_once_and_takes_it_back_when_the_class_is_gone():
    """X7."""
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("www-disk", "kubernetes.io/gce-pd"), claim("data", of_class="www-disk"))
        cluster.run_for(2)
        state, name = status(cluster, "data")
        assert state == "Bound"
        assert cluster.directories.present == {f"/volumes/{name}"}
        assert reasons(cluster, "data").count("ProvisioningSucceeded") == 1
        cluster.delete(STORAGE_CLASSES, "www-disk")
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_for(2)
        assert phase(cluster, name) is None
        assert cluster.directories.present == set()


def test_v42_a_claim_of_an_unknown_class_binds_as_soon_as_the_class_is_there():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(claim("data", of_class="later"))
        cluster.run_for(40)
        assert set(reasons(cluster, "data")) == {"ProvisioningFailed"}
        cluster.apply(storage_class("later", "holdfast.dev/local"))
        cluster.run_for(2)
        assert status(cluster, "data")[0] == "Bound"


def test_v36_v44_v139_a_claim_waits_for_its_first_consumer_and_no_longer():
    with simulate(0) as cluster:
        cluster.apply(claim("data", of_class=None))
        cluster.run_for(30)
        assert status(cluster, "data") == ("Pending", None)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["spec"]["storageClassName"] == "standard"
        assert set(reasons(cluster, "data")) == {"WaitForFirstConsumer"}
        cluster.apply(pod("user", "data"))
        cluster.run_for(2)
        assert status(cluster, "data")[0] == "Bound"
        assert cluster.get(PODS, "user")["status"]["phase"] == "Running"


def test_v45_a_pod_that_names_its_node_gets_its_volume_too():
    with simulate(0) as cluster:
        cluster.apply(claim("data", of_class=None), pod("user", "data", node="n1"))
        cluster.run_for(2)
        assert status(cluster, "data")[0] == "Bound"


def test_v29_v37_static_volumes_of_a_node_wait_for_the_pod_and_are_taken_where_it_goes():
    with simulate(0, nodes=2) as cluster:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
        local = volume("disk", of_class="local")
        local["spec"]["nodeAffinity"] = affinity
        cluster.apply(storage_class("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"), local)
        cluster.apply(claim("data", of_class="local"))
        cluster.run_for(30)
        assert status(cluster, "data") == ("Pending", None)
        cluster.apply(pod("user", "data"))
        cluster.run_for(2)
        assert status(cluster, "data") == ("Bound", "disk")
        assert cluster.get(PODS, "user")["spec"]["nodeName"] == "n2"


def test_v50_v51_v52_v60_v134_a_claim_in_use_goes_only_after_its_pod():
    with simulate(0) as cluster:
        cluster.apply(claim("data", of_class=None), pod("user", "data"))
        cluster.run_for(5)
        name = status(cluster, "data")[1]
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.delete(PERSISTENT_VOLUMES, name)
        cluster.run_for(60)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["metadata"]["deletionTimestamp"]
        assert phase(cluster, name) == "Bound"
        assert cluster.directories.present
        assert cluster.get(PODS, "user")["status"]["phase"] == "Running"  # V51
        cluster.delete(PODS, "user")
        cluster.run_for(10)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data") is None
        assert phase(cluster, name) is None
        assert not cluster.directories.present


def test_v50_a_claim_that_is_on_its_way_out_gets_no_new_users():
    with simulate(0) as cluster:
        cluster.apply(claim("data", of_class=None), pod("user", "data"))
        cluster.run_for(5)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.apply(pod("late", "data"))
        cluster.run_for(5)
        condition = next(c for c in cluster.get(PODS, "late")["status"]["conditions"] if c["type"] == "PodScheduled")
        assert 'persistentvolumeclaim "data" is being deleted' in condition["message"]


def test_v15_a_bound_claim_whose_volume_is_taken_away_is_lost():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(volume("v"), claim("data"))
        cluster.run_for(2)
        cluster.delete(PERSISTENT_VOLUMES, "v")
        cluster.patch(PERSISTENT_VOLUMES, "v", {"metadata": {"finalizers": None}})
        cluster.run_for(2)
        assert status(cluster, "data")[0] == "Lost"
        assert "ClaimLost" in reasons(cluster, "data")


def test_v27_claims_that_race_for_volumes_get_one_each_whatever_fails():
    rough = Faults(crash_every_s=10, request_delay_s=0.3, watch_delay_s=1, lost_reply=0.05, broken_watch=0.02)
    for seed in range(8):
        with simulate(seed, rough, nodes=0) as cluster:
            cluster.apply(*(volume(f"v{number}", f"{number + 1}Gi") for number in range(5)))
            cluster.apply(*(claim(f"c{number}") for number in range(7)))
            cluster.run_for(40)
            cluster.heal()
            cluster.run_for(60)
            bound = [each for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS) if each["status"]["phase"] == "Bound"]
            assert len({each["spec"]["volumeName"] for each in bound}) == len(bound) == 5
            for each in cluster.objects(PERSISTENT_VOLUMES):
                owner = cluster.get(PERSISTENT_VOLUME_CLAIMS, each["spec"]["claimRef"]["name"])
                assert owner["spec"]["volumeName"] == each["metadata"]["name"]
                assert each["spec"]["claimRef"]["uid"] == owner["metadata"]["uid"]


def test_v40_v135_each_claim_gets_one_directory_whatever_fails():
    rough = Faults(crash_every_s=5, request_delay_s=0.3, watch_delay_s=1, lost_reply=0.1, lost_request=0.1)
    for seed in range(8):
        with simulate(seed, rough, nodes=0) as cluster:
            cluster.apply(storage_class("now", "holdfast.dev/local"))
            cluster.apply(*(claim(f"c{number}", of_class="now") for number in range(4)))
            cluster.run_for(30)
            cluster.delete(PERSISTENT_VOLUME_CLAIMS, "c0")
            cluster.run_for(5)
            cluster.heal()
            cluster.run_for(60)
            names = {each["spec"]["volumeName"] for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS)}
            assert len(names) == 3
            assert cluster.directories.present == {f"/volumes/{name}" for name in names}


def test_v9_a_claim_from_before_there_was_a_default_gets_it_later():
    with simulate(0, nodes=0) as cluster:
        cluster.delete(STORAGE_CLASSES, "standard")
        cluster.run_for(1)
        cluster.apply(claim("data", of_class=None))
        cluster.run_for(20)
        assert "storageClassName" not in cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["spec"]
        cluster.apply(storage_class("late", "holdfast.dev/local", default=True))
        cluster.run_for(2)
        assert status(cluster, "data")[0] == "Bound"
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["spec"]["storageClassName"] == "late"


def test_v10_with_a_default_class_a_hand_made_volume_without_one_stays_free():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(volume("v"), claim("data", of_class=None), claim("other", of_class=""))
        cluster.run_for(5)
        assert status(cluster, "data") == ("Pending", None)
        assert status(cluster, "other") == ("Bound", "v")


def test_v16_the_time_of_the_last_change_of_phase_is_told():
    with simulate(0, nodes=0) as cluster:
        seen = []
        cluster.apply(volume("v"))
        cluster.run_for(10)
        seen.append(cluster.get(PERSISTENT_VOLUMES, "v")["status"])
        cluster.apply(claim("data"))
        cluster.run_for(10)
        seen.append(cluster.get(PERSISTENT_VOLUMES, "v")["status"])
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_for(10)
        seen.append(cluster.get(PERSISTENT_VOLUMES, "v")["status"])
        assert [each["phase"] for each in seen] == ["Available", "Bound", "Released"]
        times = [each["lastPhaseTransitionTime"] for each in seen]
        assert times == sorted(set(times))


def test_v37_a_pod_whose_claim_nobody_serves_says_so_after_ten_minutes_and_is_tried_again():
    with simulate(0) as cluster:
        cluster.apply(
            storage_class("theirs", "example.com/x", "WaitForFirstConsumer"), claim("data", of_class="theirs")
        )
        cluster.apply(pod("user", "data"))
        cluster.run_for(590)
        selected = cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["metadata"]["annotations"]
        assert selected["volume.kubernetes.io/selected-node"] == "n1"
        assert "nodeName" not in cluster.get(PODS, "user")["spec"]
        assert "FailedScheduling" not in reasons(cluster, "user")
        cluster.run_for(30)
        assert "FailedScheduling" in reasons(cluster, "user")
        cluster.apply(volume("v", of_class="theirs"))
        cluster.patch(PERSISTENT_VOLUMES, "v", {"spec": {"claimRef": {"name": "data", "namespace": "default"}}})
        cluster.run_for(30)
        assert cluster.get(PODS, "user")["status"]["phase"] == "Running"


def test_v44_a_volume_of_this_machine_has_whatever_modes_are_asked_for():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("now", "holdfast.dev/local"))
        modes = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
        cluster.apply(*(claim(mode.lower(), "1Gi", mode, of_class="now") for mode in modes))
        cluster.run_for(5)
        found = {each["metadata"]["name"]: each["status"] for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS)}
        assert {name: (each["phase"], each["accessModes"]) for name, each in found.items()} == {
            mode.lower(): ("Bound", [mode]) for mode in modes
        }


@pytest.mark.parametrize(
    "provisioner",
    ["aws-ebs", "azure-disk", "azure-file", "cinder", "gce-pd", "portworx-volume", "vsphere-volume"],
)
def test_v46_every_cloud_that_was_in_tree_is_served(provisioner):
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("theirs", f"kubernetes.io/{provisioner}"), claim("data", of_class="theirs"))
        cluster.run_for(3)
        assert status(cluster, "data")[0] == "Bound"


def test_v47_a_volume_of_this_machine_goes_where_its_pod_goes():
    with simulate(0, nodes=2) as cluster:
        cluster.apply(storage_class("now", "holdfast.dev/local"), claim("data", of_class="now"))
        for node in ("n1", "n2"):
            wanted = pod("user", "data")
            wanted["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
            cluster.apply(wanted)
            cluster.run_until(lambda: cluster.get(PODS, "user")["status"]["phase"] == "Running", 30)
            assert cluster.get(PODS, "user")["spec"]["nodeName"] == node
            cluster.delete(PODS, "user")
            cluster.run_for(10)


def test_v50_a_pod_that_has_ended_still_counts_and_one_without_a_node_does_not():
    with simulate(0) as cluster:
        cluster.apply(claim("data", of_class=None))
        done = pod("done", "data")
        done["spec"]["restartPolicy"] = "Never"
        done["spec"]["containers"][0]["command"] = list(TASK)
        nowhere = pod("nowhere", "data")
        nowhere["spec"]["nodeSelector"] = {"no": "such"}
        cluster.apply(done, nowhere)
        cluster.run_until(lambda: cluster.get(PODS, "done")["status"]["phase"] in ("Succeeded", "Failed"), 120)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_for(60)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["metadata"]["deletionTimestamp"]
        cluster.delete(PODS, "done")
        cluster.run_for(5)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data") is None
        assert cluster.get(PODS, "nowhere")["status"]["phase"] == "Pending"


def test_v58_the_policy_that_counts_is_the_one_at_release():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("now", "holdfast.dev/local"), claim("data", of_class="now"))
        cluster.run_for(2)
        name = status(cluster, "data")[1]
        cluster.patch(PERSISTENT_VOLUMES, name, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_for(30)
        assert phase(cluster, name) == "Released"
        assert cluster.directories.present == {f"/volumes/{name}"}


def test_v59_the_volumes_of_a_namespace_go_after_its_pods():
    with simulate(0) as cluster:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}}
        inside = [claim("data", of_class=None), pod("user", "data")]
        for each in inside:
            each["metadata"]["namespace"] = "gone"
        inside[1]["spec"]["terminationGracePeriodSeconds"] = 20
        cluster.faults = Faults(slow_stop_s=10)
        cluster.apply(namespace)
        cluster.run_for(2)
        cluster.apply(*inside)
        cluster.run_until(lambda: cluster.get(PODS, "user", "gone")["status"]["phase"] == "Running", 30)
        for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS, "gone"):
            cluster.permit(each["metadata"]["uid"])
        cluster.permit(cluster.get(PODS, "user", "gone")["metadata"]["uid"])
        cluster.delete(NAMESPACES, "gone")
        while cluster.get(NAMESPACES, "gone") is not None:
            cluster.run_for(0.25)
            if cluster.get(PODS, "user", "gone") is not None:
                assert [each["status"]["phase"] for each in cluster.objects(PERSISTENT_VOLUMES)] == ["Bound"]
                assert cluster.directories.present
        cluster.run_for(5)
        assert cluster.objects(PERSISTENT_VOLUMES) == []
        assert not cluster.directories.present
