"""Chapter 9: what the status says, and when it is written."""

import pytest

from .builders import Cluster, doing, plan, running, settle, statefulset


def status_of(cluster):
    made = plan(cluster.observed())
    return made.status.manifest["status"] if made.status else None


def test_s127_counts_are_over_slots_and_surplus_pods_alike():
    cluster = Cluster(statefulset(2, status={"replicas": 0, "availableReplicas": 0}, generation=7)).with_revision()
    cluster.with_revision("app:2", 2)
    cluster.change_image("app:2")
    for ordinal, (state, image) in enumerate(
        [("ready", "app:1"), ("running", "app:2"), ("pending", "app:1"), ("failed", "app:2"), ("ready", "app:2")]
    ):
        cluster.add(ordinal, state, image)
    cluster.move(4, "terminating")
    assert status_of(cluster) == {
        "replicas": 5,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": cluster.revision("app:1"),
        "updateRevision": cluster.revision("app:2"),
        "observedGeneration": 8,
        "collisionCount": 0,
    }


def test_s127_available_needs_min_ready_seconds():
    cluster = running(1, min_ready_s=10)
    assert cluster.set["status"]["availableReplicas"] == 0
    cluster.advance(10)
    assert status_of(cluster)["availableReplicas"] == 1


def test_s90_s127_a_ready_condition_without_a_time_is_never_available_under_min_ready_seconds():
    cluster = running(1, min_ready_s=10)
    cluster.pods["web-0"]["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    cluster.advance(1000)
    assert "availableReplicas" not in (status_of(cluster) or {}) or status_of(cluster)["availableReplicas"] == 0


def test_s128_with_one_revision_both_counts_are_the_same():
    cluster = running(3)
    assert cluster.set["status"]["currentReplicas"] == cluster.set["status"]["updatedReplicas"] == 3


def test_s129_s138_a_pod_made_in_this_sync_is_not_counted_yet():
    cluster = Cluster(statefulset(1))
    cluster.step()
    assert (len(cluster.pods), cluster.set["status"]["replicas"]) == (1, 0)


def test_s129_a_pod_deleted_in_this_sync_still_counts():
    cluster = running(2)
    cluster.change(replicas=1)
    cluster.step()
    assert cluster.set["status"]["replicas"] == cluster.set["status"]["readyReplicas"] == 2
    assert cluster.set["status"]["currentReplicas"] == 2


def test_s131_s202_a_quiet_set_writes_nothing():
    cluster = running(3, claims=("data",))
    cluster.step()
    assert (cluster.writes, cluster.events) == ([], [])


@pytest.mark.parametrize("by", [-1, 1])
def test_s131_only_a_larger_observed_generation_is_a_reason_to_write(by):
    cluster = running(1)
    cluster.set["status"]["observedGeneration"] -= by
    assert (status_of(cluster) is not None) == (by > 0)


@pytest.mark.parametrize(
    "member",
    [
        *("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"),
        *("currentRevision", "updateRevision"),
    ],
)
def test_s131_every_count_and_revision_is_a_reason_to_write(member):
    cluster = running(1)
    cluster.set["status"][member] = 7 if member.endswith("Replicas") or member == "replicas" else "web-another"
    assert status_of(cluster) is not None


def test_s131_nothing_else_is():
    cluster = running(1)
    cluster.set["status"] |= {"collisionCount": None, "conditions": []}
    assert status_of(cluster) is None


def test_s132_the_status_is_written_through_its_subresource_against_conflicts():
    made = plan(Cluster(statefulset(0)).observed())
    assert made.status is not None
    assert (made.status.subresource, made.status.insists) == ("status", True)


def test_s133_completion_needs_every_pod_updated_and_ready_and_nothing_left_over():
    cluster = running(2)
    old, new = cluster.revision(), cluster.revision("app:2")
    cluster.with_revision("app:2", 2)
    cluster.change_image("app:2")
    for ordinal in (0, 1):
        cluster.gone(ordinal)
        cluster.add(ordinal, "ready", "app:2")
    cluster.add(2, "ready", "app:2")
    assert status_of(cluster)["currentRevision"] == old
    cluster.gone(2)
    cluster.move(1, "running")
    assert status_of(cluster)["currentRevision"] == old
    cluster.move(1, "ready")
    assert (status_of(cluster)["currentRevision"], status_of(cluster)["currentReplicas"]) == (new, 2)


def test_s133_a_partition_postpones_completion():
    cluster = running(2, partition=1)
    cluster.change_image("app:2")
    settle(cluster)
    status = cluster.set["status"]
    assert (status["currentRevision"], status["updateRevision"]) == (cluster.revision(), cluster.revision("app:2"))
    assert (status["currentReplicas"], status["updatedReplicas"]) == (1, 1)


def test_s130_s134_empty_members_are_left_out_but_two():
    cluster = Cluster(statefulset(0))
    cluster.step()
    name = cluster.revision()
    assert cluster.set["status"] == {
        "replicas": 0,
        "availableReplicas": 0,
        "observedGeneration": 1,
        "currentRevision": name,
        "updateRevision": name,
        "collisionCount": 0,
    }


def test_s137_the_observed_generation_rises_even_if_the_sync_failed():
    cluster = running(1)
    cluster.change(replicas=2)
    cluster.refuse = lambda text: "no" if text == "create pod web-1" else ""
    cluster.step()
    assert cluster.set["status"]["observedGeneration"] == cluster.set["metadata"]["generation"]


def test_s138_a_failed_pod_counts_until_it_is_deleted():
    cluster = running(1)
    cluster.move(0, "failed")
    cluster.step()
    assert cluster.set["status"]["replicas"] == 1
    assert "readyReplicas" not in cluster.set["status"]


def test_s126_s139_conditions_stay_until_the_controller_has_something_to_write():
    cluster = running(1)
    cluster.set["status"]["conditions"] = [{"type": "Mine", "status": "True"}]
    cluster.step()
    assert "conditions" in cluster.set["status"]
    cluster.change(replicas=2)
    cluster.step()
    assert "conditions" not in cluster.set["status"]


def test_s126_the_collision_count_is_carried_over():
    cluster = running(1)
    cluster.set["status"]["collisionCount"] = 3
    cluster.change(replicas=2)
    cluster.step()
    assert cluster.set["status"]["collisionCount"] == 3


def test_s7_nothing_but_status_for_a_set_that_goes():
    cluster = running(1)
    cluster.set["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    cluster.revisions.clear()
    assert doing(plan(cluster.observed())) == []
