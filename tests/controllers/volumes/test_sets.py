"""The claims of a set and of its pods from one end to the other, in simulated time: V41, V137, V138."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.storage import binding
from holdfast.simulation.cluster import Cluster, simulate

CLAIM = "www-web-0"


def web(replicas: int = 1) -> dict[str, Any]:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    mounts = [{"name": "www", "mountPath": "/www"}]
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "host", "volumeMounts": mounts}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "www"}, "spec": claim}],
        },
    }


def milestones(cluster: Cluster) -> list[str]:
    """What happens to pod and claim, each once, in the order of the writes."""
    seen: list[str] = []

    def note(what: str, has_happened: bool) -> None:
        if has_happened and what not in seen:
            seen.append(what)

    def on_changes(changes: Any) -> None:
        for change in changes:
            made = msgspec.json.decode(change.value)
            if "/pods/default/web-0" in change.key:
                note("the pod is there", True)
                note("the pod has a node", "nodeName" in made["spec"])
                note("the pod runs", made.get("status", {}).get("phase") == "Running")
            elif f"/persistentvolumeclaims/default/{CLAIM}" in change.key:
                marks = made["metadata"].get("annotations", {})
                note("the claim is there", True)
                note("a node is selected", binding.SELECTED_NODE in marks)
                note("a provisioner is named", binding.STORAGE_PROVISIONER in marks)
                note("the claim is bound", made["status"]["phase"] == "Bound")
            elif "/persistentvolumes/" in change.key:
                note("the volume is there", True)

    cluster.store.listen(on_changes)
    return seen


def test_v41_the_pod_gets_its_node_after_its_claim_its_volume() -> None:
    with simulate(0) as cluster:
        seen = milestones(cluster)
        cluster.apply(web())
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert seen == [
            "the claim is there",
            "the pod is there",
            "a node is selected",
            "a provisioner is named",
            "the volume is there",
            "the claim is bound",
            "the pod has a node",
            "the pod runs",
        ]
        told = {event["reason"] for event in cluster.objects(EVENTS) if event["involvedObject"]["name"] == CLAIM}
        assert told >= {"ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"}
        (scheduled,) = [event for event in cluster.objects(EVENTS) if event["reason"] == "Scheduled"]
        assert scheduled["involvedObject"]["name"] == "web-0"


def marks(cluster: Cluster) -> dict[str, str]:
    found = cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM)
    assert found is not None
    return {key: value for key, value in found["metadata"]["annotations"].items() if key.startswith("pv.kubernetes.io")}


def test_v137_the_marks_of_a_binding_survive_all_that_is_done_to_the_claim() -> None:
    with simulate(0) as cluster:
        cluster.apply(web())
        cluster.run_until(lambda: cluster.is_settled("web"))
        bound = marks(cluster)
        assert bound == {binding.BIND_COMPLETED: "yes", binding.BOUND_BY_CONTROLLER: "yes"}
        grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}, "metadata": {"annotations": {"a": "b"}}}
        cluster.patch(PERSISTENT_VOLUME_CLAIMS, CLAIM, grown)
        copy = {"kind": "PersistentVolumeClaim", "name": CLAIM}
        spec = {**web()["spec"]["volumeClaimTemplates"][0]["spec"], "dataSource": copy}
        spec["resources"] = {"requests": {"storage": "2Gi"}}
        clone = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "clone"}, "spec": spec}
        cluster.apply(clone)
        cluster.run_for(30)
        cluster.restart(cluster.control_plane, 1)
        cluster.patch(
            STATEFUL_SETS, "web", {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}
        )
        cluster.run_for(30)
        found = cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM)
        assert found is not None
        assert found["status"]["capacity"] == {"storage": "2Gi"}
        assert found["metadata"]["annotations"]["a"] == "b"
        assert found["metadata"]["ownerReferences"]
        assert marks(cluster) == bound


def test_v138_claims_outlive_their_set_and_the_next_one_finds_them() -> None:
    with simulate(0) as cluster:
        cluster.apply(web(2))
        cluster.run_until(lambda: cluster.is_settled("web"))

        def claims() -> dict[str, tuple[str, str]]:
            found = cluster.objects(PERSISTENT_VOLUME_CLAIMS)
            return {each["metadata"]["name"]: (each["metadata"]["uid"], each["spec"]["volumeName"]) for each in found}

        before, data = claims(), set(cluster.directories.present)
        cluster.delete(STATEFUL_SETS, "web")
        for pod in cluster.objects(PODS):
            cluster.permit(pod["metadata"]["uid"])
        cluster.run_until(lambda: not cluster.objects(PODS))
        cluster.run_for(60)
        assert claims() == before
        assert all(each["status"]["phase"] == "Bound" for each in cluster.objects(PERSISTENT_VOLUMES))
        cluster.apply(web(2))
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert (claims(), cluster.directories.present) == (before, data)
