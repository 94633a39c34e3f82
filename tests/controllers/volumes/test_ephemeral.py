"""Claims that a pod brings along: made for it, owned by it, never somebody else's (V110)."""

from __future__ import annotations

from typing import Any

from holdfast.api.core.event import EVENTS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.controllers.volumes.ephemeral import ObservedPod, plan_ephemeral
from holdfast.simulation.cluster import Cluster, simulate

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
CLAIM = "web-0-scratch"


def pod() -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": SPEC}
    volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}
    spec = {"containers": [{"name": "main", "image": "host"}], "volumes": [volume], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0"}, "spec": spec}


def is_running(cluster: Cluster) -> bool:
    found = cluster.get(PODS, "web-0")
    return bool(found and (found.get("status") or {}).get("phase") == "Running")


def test_v110_a_pod_gets_a_claim_of_its_own_which_goes_with_it() -> None:
    with simulate(0) as cluster:
        cluster.apply(pod())
        cluster.run_until(lambda: is_running(cluster))
        claim = cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM)
        assert claim is not None
        (owner,) = claim["metadata"]["ownerReferences"]
        uid = cluster.get(PODS, "web-0")["metadata"]["uid"]
        assert owner == {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "web-0",
            "uid": uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        assert claim["metadata"]["labels"] == {"app": "web"}
        assert claim["status"]["phase"] == "Bound"
        cluster.delete(PODS, "web-0")
        cluster.run_until(lambda: cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM) is None)


def uid_of_claim(cluster: Cluster) -> str:
    found = cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM)
    return found["metadata"]["uid"] if found else ""


def test_a_claim_that_is_deleted_before_its_pod_has_a_node_is_made_anew() -> None:
    with simulate(0, nodes=0) as cluster:
        cluster.apply(pod())
        cluster.run_until(lambda: uid_of_claim(cluster) != "")
        old = uid_of_claim(cluster)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, CLAIM)
        cluster.run_until(lambda: uid_of_claim(cluster) not in ("", old))


def test_v110_a_foreign_claim_of_that_name_is_left_alone_and_told_of() -> None:
    with simulate(0) as cluster:
        metadata = {"name": CLAIM}
        cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": SPEC}, pod())
        cluster.run_for(10)
        text = f"ephemeral volume scratch: PVC default/{CLAIM} was not created for pod default/web-0 (pod is not owner)"
        assert text in [event["message"] for event in cluster.objects(EVENTS) if event["reason"] == "FailedBinding"]
        assert not is_running(cluster)
        assert "ownerReferences" not in cluster.get(PERSISTENT_VOLUME_CLAIMS, CLAIM)["metadata"]


def test_a_pod_that_ends_gets_no_new_claim() -> None:
    ending = pod()
    ending["metadata"] |= {"namespace": "default", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    over = pod() | {"status": {"phase": "Succeeded"}}
    over["metadata"] |= {"namespace": "default", "uid": "1"}
    for each in (ending, over):
        assert plan_ephemeral(ObservedPod(each, {CLAIM: None})).actions == ()
