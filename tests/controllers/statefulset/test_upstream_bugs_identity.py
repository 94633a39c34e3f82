"""Upstream's bugs around names, owners and revisions, which are ours as well: what users see, and how it ends."""

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.controllers.statefulset.revisions import HASH_LABEL
from holdfast.simulation.cluster import simulate
from holdfast.simulation.losses import pod_names

from .builders import Cluster, owner, settle, statefulset
from .upstream import A_LONG_TIME_S, a_set, messages, pod, running


def stray(name, labels):
    metadata = {"name": name, "namespace": "default", "labels": labels}
    spec = {"containers": [{"name": "main", "image": "host"}], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_s24_a_name_that_validation_accepts_may_be_too_long_for_the_label_on_its_pods():
    """S24: names have 63 characters, so has the label that carries the name and a hash: no pod is ever made."""
    name = "a" * 60
    with simulate(0) as cluster:
        made = a_set(1, claims=("data",))
        cluster.apply({**made, "metadata": {**made["metadata"], "name": name}})
        cluster.run_for(60)
        assert pod_names(cluster) == []
        start = f"Create Pod {name}-0 in StatefulSet {name} failed error: "
        refused = [text for text in messages(cluster) if text.startswith(start)]
        assert refused
        assert "must be no more than 63" in refused[0]


def test_s25_an_index_label_that_is_taken_away_does_not_come_back():
    """S25: whether a pod's identity is right is asked of its name and of one label, not of the other."""
    with running(a_set(1)) as cluster:
        cluster.patch(PODS, "web-0", {"metadata": {"labels": {"apps.kubernetes.io/pod-index": None}}})
        cluster.run_for(A_LONG_TIME_S)
        assert "apps.kubernetes.io/pod-index" not in pod(cluster, 0)["metadata"]["labels"]
        cluster.patch(PODS, "web-0", {"metadata": {"labels": {"statefulset.kubernetes.io/pod-name": None}}})
        cluster.run_for(10)
        labels = pod(cluster, 0)["metadata"]["labels"]
        assert labels["apps.kubernetes.io/pod-index"] == "0", "both come back with the other"
        assert labels["statefulset.kubernetes.io/pod-name"] == "web-0"


def test_s26_a_pod_whose_name_is_spelt_otherwise_takes_the_slot_and_holds_everything_up():
    """S26: `web-01` is taken for pod 1 of `web`, and each sync fails to rename it."""
    with simulate(0) as cluster:
        cluster.apply(stray("web-01", {"app": "nginx"}))
        cluster.run_until(lambda: is_pod_ready(cluster, "web-01"))
        cluster.apply(a_set(3))
        cluster.run_for(300)
        assert pod_names(cluster) == ["web-0", "web-01"]
        error = 'Update Pod web-1 in StatefulSet web failed error: pods "web-1" not found'
        assert error in messages(cluster)
        cluster.delete(PODS, "web-01")
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert pod_names(cluster) == ["web-0", "web-1", "web-2"]


def is_pod_ready(cluster, name):
    found = cluster.get(PODS, name)
    conditions = found["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def test_s110_a_pod_that_was_released_keeps_its_name_from_its_successor_without_a_word():
    """S110: the slot is empty, the name is taken, and the failure to create is the one that no event tells."""
    with running(a_set(2)) as cluster:
        uid = pod(cluster, 1)["metadata"]["uid"]
        cluster.patch(PODS, "web-1", {"metadata": {"labels": {"app": "other"}}})
        said = set(messages(cluster))
        cluster.run_for(300)
        assert "ownerReferences" not in pod(cluster, 1)["metadata"]
        assert cluster.get(STATEFUL_SETS, "web")["status"]["replicas"] == 1
        assert {text for text in messages(cluster) if "StatefulSet web" in text} <= said
        cluster.patch(PODS, "web-1", {"metadata": {"labels": {"app": "nginx"}}})
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert pod(cluster, 1)["metadata"]["uid"] == uid


def test_s77_a_collision_of_names_is_counted_once_and_the_label_keeps_the_hash_that_collided():
    """S77: names end in a hash of 32 bits; the second is found by counting, but the label says the first for good."""
    cluster = Cluster(statefulset(1))
    taken = cluster.revision()
    foreign = {"name": taken, "namespace": "default", "uid": "other", "ownerReferences": [owner("Other", "o", "o")]}
    cluster.revisions[taken] = {"kind": "ControllerRevision", "metadata": foreign, "data": {}, "revision": 9}
    settle(cluster)
    first = cluster.set["status"]["updateRevision"]
    assert first != taken
    assert f"web-{cluster.revisions[first]['metadata']['labels'][HASH_LABEL]}" == taken
    cluster.change_image("app:2")
    settle(cluster)
    cluster.change_image("app:1")
    settle(cluster)
    status = cluster.set["status"]
    assert (status["updateRevision"], status["collisionCount"]) == (first, 1), "and is found again by what it says"
    assert len(cluster.revisions) == 3
