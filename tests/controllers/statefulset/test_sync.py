"""Chapter 1: the steps of one sync, and what a failure of each leaves undone."""

import pytest

from .builders import Cluster, doing, plan, running, settle, statefulset


def orphan(manifest):
    del manifest["metadata"]["ownerReferences"]


def test_s3_revisions_are_adopted_before_pods_and_pods_before_anything_else():
    cluster = running(2)
    orphan(cluster.pods["web-1"])
    cluster.pods["web-0"]["metadata"]["labels"] = {}
    (revision,) = cluster.revisions
    orphan(cluster.revisions[revision])
    assert doing(plan(cluster.observed())) == [
        "confirm statefulset web",
        f"patch controllerrevision {revision}",
        "patch pod web-1",
        "patch pod web-0",
        "create pod web-0",
    ]


@pytest.mark.parametrize("refused", ["patch controllerrevision", "patch pod"])
def test_s3_an_error_there_ends_the_sync(refused):
    cluster = running(2)
    for one in (cluster.pods["web-0"], *cluster.revisions.values()):
        orphan(one)
    cluster.change(replicas=3)
    before = cluster.set["status"]
    cluster.refuse = lambda text: "no" if text.startswith(refused) else ""
    cluster.step()
    assert all(text.startswith("patch") for text in cluster.writes)
    assert cluster.set["status"] == before


def test_s4_the_revisions_are_known_before_pods_are_touched():
    cluster = running(2)
    first, second = cluster.revision(), cluster.revision("app:2")
    cluster.change_image("app:2")
    assert doing(plan(cluster.observed())) == [f"create controllerrevision {second}", "delete pod web-1"]
    settle(cluster)
    cluster.change_image("app:1")
    assert doing(plan(cluster.observed())) == [f"patch controllerrevision {first}", "delete pod web-1"]


@pytest.mark.parametrize("image", ["app:1", "app:3"])
def test_s4_without_them_no_pod_is_touched(image):
    cluster = running(2)
    cluster.change_image("app:2")
    settle(cluster)
    cluster.change_image(image)
    cluster.writes.clear()
    cluster.refuse = lambda text: "no" if "controllerrevision" in text else ""
    cluster.step()
    assert len(cluster.writes) == 1


def test_s5_nothing_of_an_earlier_count_is_kept():
    cluster = running(3)
    orphan(cluster.pods["web-0"])
    right = dict(cluster.set["status"])
    cluster.set["status"] |= {"replicas": 9, "readyReplicas": 8, "currentReplicas": 7, "updatedReplicas": 6}
    cluster.step()
    assert cluster.set["status"] == right


def test_s6_pods_are_in_slots_or_surplus_and_the_first_that_is_unavailable_is_known():
    cluster = Cluster(statefulset(2, start=2))
    for ordinal in range(6):
        cluster.add(ordinal)
    cluster.move(0, "running")
    cluster.move(4, "running")
    replicas = cluster.observed().replicas
    assert list(replicas.condemned) == [5, 4, 1, 0]
    assert (replicas.unfit.first, replicas.condemned_unavailable.first) == (None, 0)
    cluster.move(3, "running")
    assert cluster.observed().replicas.unfit.first == 3


@pytest.mark.parametrize(
    ("parallel", "expected"),
    [(False, ["create pod web-0"]), (True, ["create pod web-0", "create pod web-1", "delete pod web-2"])],
)
def test_s8_the_first_slot_that_acts_ends_the_work_of_an_ordered_set(parallel, expected):
    cluster = Cluster(statefulset(3, parallel=parallel)).with_revision()
    cluster.add(2, "failed")
    assert doing(plan(cluster.observed())) == expected


def test_s8_s9_s10_s11_slots_then_claims_of_surplus_pods_then_these_then_one_outdated_pod():
    cluster = running(5, parallel=True, claims=("data",), when_scaled="Delete")
    cluster.gone(0)
    cluster.change(replicas=3)
    cluster.with_revision("app:2", 2)
    cluster.change_image("app:2")
    assert doing(plan(cluster.observed())) == [
        "create pod web-0",
        "update persistentvolumeclaim data-web-4",
        "update persistentvolumeclaim data-web-3",
        "delete pod web-4",
        "delete pod web-3",
        "delete pod web-2",
    ]


def test_s11_under_on_delete_no_outdated_pod_is_deleted():
    cluster = running(3, parallel=True, strategy="OnDelete")
    cluster.change_image("app:2")
    settle(cluster)
    assert not [text for text in cluster.writes if text.startswith("delete")]


def test_s12_the_status_counts_what_admission_let_through():
    cluster = Cluster(statefulset(4, parallel=True))
    cluster.refuse = lambda text: "quota" if text in ("create pod web-2", "create pod web-3") else ""
    for _ in range(3):
        cluster.step()
    assert cluster.set["status"]["replicas"] == 2


@pytest.mark.parametrize("conditions", ["of no known time", "of the future"])
def test_s14_a_set_looks_again_after_min_ready_seconds_at_the_latest(conditions):
    cluster = running(1, min_ready_s=30)
    ready = {"type": "Ready", "status": "True"}
    if conditions == "of the future":
        ready["lastTransitionTime"] = "2026-01-01T13:00:00Z"
    cluster.pods["web-0"]["status"]["conditions"] = [ready]
    assert plan(cluster.observed()).again_after_s == 30
