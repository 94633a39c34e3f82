"""A pod's claims in the decision: V35 to V42, N222."""

import random

import pytest

from holdfast.scheduler.plan import decide

from .builders import cluster, node, pod, storage, where

BOUND = {"pv.kubernetes.io/bind-completed": "yes"}
SELECTED = "volume.kubernetes.io/selected-node"


def claim(name="data", *, of_class="fast", size="1Gi", volume="", phase="Pending", annotations=None, **more):
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": of_class,
    }
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "1"}
    metadata["annotations"] = annotations or (BOUND if volume else {})
    if volume:
        spec["volumeName"] = volume
    return {"metadata": {**metadata, **more.pop("metadata", {})}, "spec": {**spec, **more}, "status": {"phase": phase}}


def volume(name, *, on="", of_class="fast", size="1Gi", **spec):
    made = {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": of_class,
            **spec,
        },
        "status": {"phase": "Available"},
    }
    if on:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}
        made["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return made


def fast(mode="WaitForFirstConsumer", provisioner="holdfast.dev/local", **more):
    return {"metadata": {"name": "fast"}, "provisioner": provisioner, "volumeBindingMode": mode, **more}


NOWHERE = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("of_storage", "problem"),
    [
        pytest.param(storage(), 'persistentvolumeclaim "data" not found', id="no claim"),
        pytest.param(
            storage((claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),)),
            'persistentvolumeclaim "data" is being deleted',
            id="going",
        ),
        pytest.param(
            storage((claim(volume="v", phase="Lost"),)),
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
            id="lost",
        ),
        pytest.param(
            storage((claim(volume="v", phase="Bound"),)),
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
            id="no volume",
        ),
        pytest.param(
            storage((claim(),), classes=(fast("Immediate"),)),
            "pod has unbound immediate PersistentVolumeClaims",
            id="V35",
        ),
        pytest.param(storage((claim(),)), "pod has unbound immediate PersistentVolumeClaims", id="V42: no class"),
    ],
)
def test_n222_v35_v42_v140_a_claim_that_keeps_the_pod_from_every_node(of_storage, problem):
    assert where(pod(claims=("data",)), cluster(node()), of_storage) == (
        f"0/1 nodes are available: {problem}. {NOWHERE}"
    )


def test_n222_an_ephemeral_volumes_claim_is_waited_for():
    wanted = pod()
    wanted["spec"]["volumes"] = [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}]
    assert 'waiting for ephemeral volume controller to create the persistentvolumeclaim "web-0-tmp"' in where(
        wanted, cluster(node())
    )


def decided(of_storage, view):
    return decide(pod(claims=("data",)), view.nodes, of_storage, random.Random(0))


def test_v37_a_delayed_claim_is_to_be_provisioned_at_the_chosen_node():
    decision = decided(storage((claim(),), classes=(fast(),)), cluster(node()))
    assert decision.waits_for_volumes
    assert [each["metadata"]["name"] for each in decision.reservation.provisions] == ["data"]


def test_v37_a_free_volume_at_the_node_is_taken_before_one_is_provisioned():
    of_storage = storage((claim(),), (volume("big", size="9Gi"), volume("small")), (fast(),))
    decision = decided(of_storage, cluster(node()))
    assert [of["metadata"]["name"] for _, of in decision.reservation.matches] == ["small"]


def test_v29_v37_the_pod_follows_the_volume_where_nothing_can_be_provisioned():
    classes = (fast(provisioner="kubernetes.io/no-provisioner"),)
    view = cluster(node("n1"), node("n2"))
    assert where(pod(claims=("data",)), view, storage((claim(),), (volume("v", on="n2"),), classes)) == "n2"
    assert where(pod(claims=("data",)), cluster(node("n1")), storage((claim(),), (volume("v", on="n2"),), classes)) == (
        f"0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind. {NOWHERE}"
    )


def test_v37_one_volume_is_not_given_to_two_claims_of_a_pod():
    classes = (fast(provisioner="kubernetes.io/no-provisioner"),)
    claims = (claim("a"), claim("b"))
    one, two = (volume("v"),), (volume("v"), volume("w"))
    assert "didn't find" in where(pod(claims=("a", "b")), cluster(node()), storage(claims, one, classes))
    assert where(pod(claims=("a", "b")), cluster(node()), storage(claims, two, classes)) == "n1"


def test_a_claim_marked_with_a_node_binds_the_pod_to_it():
    marked = claim(annotations={SELECTED: "n2"})
    view = cluster(node("n1"), node("n2"))
    assert where(pod(claims=("data",)), view, storage((marked,), classes=(fast(),))) == "n2"


def test_a_bound_volumes_affinity_decides():
    of_storage = storage((claim(volume="v", phase="Bound"),), (volume("v", on="n2"),))
    assert where(pod(claims=("data",)), cluster(node("n1"), node("n2")), of_storage) == "n2"
    assert where(pod(claims=("data",)), cluster(node("n1")), of_storage) == (
        f"0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity. {NOWHERE}"
    )


def test_v79_a_claim_for_one_pod_only_keeps_a_second_pod_out():
    taken = claim(volume="v", phase="Bound", accessModes=["ReadWriteOncePod"])
    user = pod("other", on="n1", claims=("data",))
    message = where(pod(claims=("data",)), cluster(node()), storage((taken,), (volume("v"),), users=(user,)))
    assert (
        "1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by"
        " another pod." in message
    )


def test_allowed_topologies_limit_where_volumes_are_made():
    topologies = [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]
    of_storage = storage((claim(),), classes=(fast(allowedTopologies=topologies),))
    view = cluster(node("n1", labels={"zone": "b"}), node("n2", labels={"zone": "a"}))
    assert where(pod(claims=("data",)), view, of_storage) == "n2"
