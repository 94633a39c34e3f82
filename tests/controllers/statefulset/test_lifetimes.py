"""Sets whose claims are bound, whose pods run and take their time to go, and which are deleted: on simulated nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.simulation.cluster import Cluster, simulate
from holdfast.simulation.scenarios import web

HELD = {"metadata": {"finalizers": ["example.com/held"]}}
LET_GO = {"metadata": {"finalizers": None}}


def a_set(replicas: int = 2, when_deleted: str = "Retain", when_scaled: str = "Retain", **spec) -> Manifest:
    made = web(replicas)
    retention = {"whenDeleted": when_deleted, "whenScaled": when_scaled}
    made["spec"] |= {"persistentVolumeClaimRetentionPolicy": retention, **spec}
    return made


@contextmanager
def living(manifest: Manifest) -> Iterator[Cluster]:
    """A cluster in which the set is up."""
    with simulate(0) as cluster:
        cluster.apply(manifest)
        cluster.run_until(lambda: cluster.is_settled("web"))
        yield cluster


def names(cluster: Cluster, resource) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.objects(resource, "default")}


def uids(cluster: Cluster, resource) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in cluster.objects(resource, "default")}


def volumes(cluster: Cluster) -> dict[str, str]:
    claims = cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default")
    return {one["metadata"]["name"]: one["spec"]["volumeName"] for one in claims}


def owners(cluster: Cluster, resource) -> list[tuple[str, str]]:
    """Kind and uid of every owner of every object."""
    return [
        (reference["kind"], reference["uid"])
        for one in cluster.objects(resource, "default")
        for reference in one["metadata"].get("ownerReferences") or ()
    ]


def settles(cluster: Cluster) -> None:
    cluster.run_until(lambda: cluster.is_settled("web"))


def test_s37_claims_and_their_data_outlive_pods_scaling_and_the_set():
    with living(a_set()) as cluster:
        before = volumes(cluster)
        pod = uids(cluster, PODS)["web-0"]
        cluster.delete(PODS, "web-0")
        cluster.run_until(lambda: uids(cluster, PODS).get("web-0", pod) != pod)
        settles(cluster)
        assert volumes(cluster) == before
        cluster.scale("web", 0)
        settles(cluster)
        assert volumes(cluster) == before
        cluster.scale("web", 2)
        settles(cluster)
        assert volumes(cluster) == before
        cluster.delete(STATEFUL_SETS, "web")
        cluster.run_until(lambda: not names(cluster, PODS))
        cluster.run_for(30)
        cluster.apply(a_set())
        settles(cluster)
        assert volumes(cluster) == before


def test_s61_a_claim_goes_after_its_pod_when_nobody_uses_it_any_more():
    with living(a_set(when_scaled="Delete")) as cluster:
        cluster.patch(PODS, "web-1", HELD)
        cluster.scale("web", 1)
        cluster.run_for(30)
        pod = uids(cluster, PODS)["web-1"]
        assert ("Pod", pod) in owners(cluster, PERSISTENT_VOLUME_CLAIMS)
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "www-web-1")
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "www-web-0")
        cluster.run_for(30)
        for name in ("www-web-0", "www-web-1"):
            metadata = cluster.get(PERSISTENT_VOLUME_CLAIMS, name)["metadata"]
            assert ("deletionTimestamp" in metadata, metadata["finalizers"]) == (True, ["kubernetes.io/pvc-protection"])
        cluster.patch(PODS, "web-1", LET_GO)
        cluster.run_until(lambda: names(cluster, PERSISTENT_VOLUME_CLAIMS) == {"www-web-0"})


def test_s61_under_when_scaled_delete_the_claim_goes_by_itself():
    with living(a_set(when_scaled="Delete")) as cluster:
        cluster.scale("web", 1)
        cluster.run_until(lambda: names(cluster, PERSISTENT_VOLUME_CLAIMS) == {"www-web-0"})
        assert names(cluster, PODS) == {"web-0"}


def test_s62_s86_s116_orphans_stay_as_they_are_and_a_set_of_the_same_name_takes_all_back():
    with living(a_set(when_deleted="Delete", when_scaled="Delete")) as cluster:
        kinds = (PODS, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS)
        before = [uids(cluster, kind) for kind in kinds]
        containers = cluster.nodes[0].running_containers()
        old = uids(cluster, STATEFUL_SETS)["web"]
        assert {uid for kind in kinds for _, uid in owners(cluster, kind)} == {old}
        cluster.delete(STATEFUL_SETS, "web", propagation="Orphan")
        cluster.run_until(lambda: not names(cluster, STATEFUL_SETS))
        cluster.run_for(60)
        assert [uids(cluster, kind) for kind in kinds] == before
        assert [owners(cluster, kind) for kind in kinds] == [[], [], []]
        assert cluster.nodes[0].running_containers() == containers
        cluster.apply(a_set(when_deleted="Delete", when_scaled="Delete"))
        settles(cluster)
        cluster.run_for(30)
        assert [uids(cluster, kind) for kind in kinds] == before
        new = uids(cluster, STATEFUL_SETS)["web"]
        assert {uid for kind in kinds for _, uid in owners(cluster, kind)} == {new} != {old}
        assert cluster.nodes[0].running_containers() == containers


def test_s63_a_surplus_pods_claim_goes_through_the_pod_although_the_set_is_deleted():
    with living(a_set(when_deleted="Delete", when_scaled="Delete")) as cluster:
        cluster.patch(PODS, "web-1", HELD)
        pod = uids(cluster, PODS)["web-1"]
        cluster.scale("web", 1)
        cluster.run_until(lambda: ("Pod", pod) in owners(cluster, PERSISTENT_VOLUME_CLAIMS))
        (reference,) = cluster.get(PERSISTENT_VOLUME_CLAIMS, "www-web-1")["metadata"]["ownerReferences"]
        assert reference["kind"] == "Pod"
        cluster.delete(STATEFUL_SETS, "web")
        cluster.run_until(lambda: names(cluster, PERSISTENT_VOLUME_CLAIMS) == {"www-web-1"})
        cluster.patch(PODS, "web-1", LET_GO)
        cluster.run_until(lambda: not names(cluster, PERSISTENT_VOLUME_CLAIMS))


@pytest.mark.parametrize("when_deleted", ["Retain", "Delete"])
def test_s86_s114_in_the_background_the_set_goes_at_once_and_its_pods_all_together(when_deleted):
    with living(a_set(3, when_deleted=when_deleted)) as cluster:
        cluster.kill(cluster.nodes[0].process)
        cluster.delete(STATEFUL_SETS, "web")
        assert not names(cluster, STATEFUL_SETS)
        cluster.run_for(5)
        grace = [one["metadata"].get("deletionGracePeriodSeconds") for one in cluster.objects(PODS, "default")]
        assert grace == [10, 10, 10], "each with its own"
        assert not names(cluster, CONTROLLER_REVISIONS)
        cluster.start(cluster.nodes[0].process)
        cluster.run_until(lambda: not names(cluster, PODS))
        cluster.run_for(30)
        assert len(names(cluster, PERSISTENT_VOLUME_CLAIMS)) == (3 if when_deleted == "Retain" else 0)


def test_s86_s115_in_the_foreground_the_set_stays_until_all_it_owns_is_gone():
    with living(a_set(when_deleted="Delete")) as cluster:
        generation = cluster.get(STATEFUL_SETS, "web")["metadata"]["generation"]
        cluster.patch(PODS, "web-1", HELD)
        cluster.delete(STATEFUL_SETS, "web", propagation="Foreground")
        metadata = cluster.get(STATEFUL_SETS, "web")["metadata"]
        assert (metadata["finalizers"], metadata["generation"]) == (["foregroundDeletion"], generation + 1)
        assert metadata["deletionTimestamp"]
        cluster.run_until(lambda: names(cluster, PODS) == {"web-1"})
        cluster.run_for(60)
        assert names(cluster, PERSISTENT_VOLUME_CLAIMS) == {"www-web-1"}, "which web-1 still uses"
        status = cluster.get(STATEFUL_SETS, "web")["status"]
        assert (status["replicas"], status["observedGeneration"]) == (1, generation + 1)
        cluster.patch(PODS, "web-1", LET_GO)
        cluster.run_until(lambda: not names(cluster, STATEFUL_SETS))
        for kind in (PODS, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS):
            assert not names(cluster, kind)


@pytest.mark.parametrize("grace_period_s", [None, 0, 3])
def test_s117_a_pod_deleted_by_hand_comes_back_under_its_name(grace_period_s):
    with living(a_set()) as cluster:
        before = uids(cluster, PODS)["web-0"]
        cluster.delete(PODS, "web-0", grace_period_s=grace_period_s)
        cluster.run_until(lambda: uids(cluster, PODS).get("web-0", before) != before)
        settles(cluster)


def test_s117_never_while_the_old_one_is_there_even_if_its_node_is_lost():
    with living(a_set()) as cluster:
        before = uids(cluster, PODS)
        cluster.kill(cluster.nodes[0].process)
        cluster.delete(PODS, "web-0")
        cluster.run_for(900)
        assert uids(cluster, PODS)["web-0"] == before["web-0"]
        cluster.delete(PODS, "web-0", grace_period_s=0)
        cluster.run_until(lambda: uids(cluster, PODS).get("web-0", before["web-0"]) != before["web-0"])
