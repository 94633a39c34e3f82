"""Chapter 7: which revision a pod gets, and which goes next for a new one."""

import pytest

from holdfast.controllers.statefulset.views import Pod

from .builders import Cluster, doing, obey, plan, running, settle, statefulset


def rolling(replicas=3, **options):
    """A set at rest that has just been given another template."""
    cluster = running(replicas, **options)
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    return cluster


def images(cluster):
    return [pod["spec"]["containers"][0]["image"] for _, pod in sorted(cluster.pods.items())]


def does(cluster):
    return doing(plan(cluster.observed()))


@pytest.mark.parametrize("parallel", [False, True])
def test_s91_s96_pods_are_replaced_one_at_a_time_from_the_top(parallel):
    cluster = rolling(parallel=parallel)
    deleted = []
    for _ in range(30):
        deleted += [text for text in does(cluster) if text.startswith("delete")]
        cluster.step()
        assert len(cluster.pods) >= 2
        obey(cluster)
    assert deleted == ["delete pod web-2", "delete pod web-1", "delete pod web-0"]
    assert images(cluster) == ["app:2"] * 3
    assert cluster.set["status"]["currentRevision"] == cluster.revision("app:2")


def test_s89_slots_below_the_partition_stay():
    cluster = rolling(4, start=5, partition=3)
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1", "app:1", "app:2"]


def test_s89_a_partition_beyond_the_end_updates_nothing():
    cluster = rolling(2, partition=9)
    assert does(cluster) == []


@pytest.mark.parametrize("state", ["pending", "running", "ready"])
def test_s97_an_outdated_pod_of_a_parallel_set_goes_whether_well_or_not(state):
    cluster = rolling(2, parallel=True)
    cluster.move(1, state)
    assert does(cluster) == ["delete pod web-1"]


@pytest.mark.parametrize("state", ["pending", "running", "terminating"])
def test_s97_an_up_to_date_pod_that_is_unavailable_is_waited_for(state):
    cluster = rolling(2, parallel=True)
    cluster.gone(1)
    cluster.add(1, "ready", "app:2")
    cluster.move(1, state)
    assert does(cluster) == []


def test_s90_an_updated_pod_has_to_be_available_for_the_next_to_go():
    cluster = running(2, min_ready_s=10)
    cluster.advance(60)
    cluster.step()
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    cluster.gone(1)
    cluster.add(1, "ready", "app:2")
    assert does(cluster) == []
    cluster.advance(10)
    assert does(cluster) == ["delete pod web-0"]


def test_s92_on_delete_a_missing_pod_always_gets_the_update_revision():
    cluster = rolling(2, strategy="OnDelete")
    assert does(cluster) == []
    cluster.gone(0)
    settle(cluster)
    assert images(cluster) == ["app:2", "app:1"]


def test_s93_a_missing_pod_below_the_partition_gets_the_current_revision():
    cluster = rolling(3, partition=2)
    settle(cluster)
    cluster.gone(0)
    cluster.gone(2)
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1", "app:2"]


def test_s94_without_rolling_update_a_pod_that_dies_before_its_turn_comes_back_as_it_was():
    cluster = rolling(3, partition=None)
    cluster.step()
    assert cluster.set["status"]["currentReplicas"] == 2
    cluster.gone(2)
    cluster.gone(0)
    cluster.step()
    assert Pod(cluster.pods["web-0"]).revision == cluster.revision("app:1")
    settle(cluster)
    assert images(cluster) == ["app:2"] * 3


def test_s94_and_with_it_it_comes_back_updated():
    cluster = rolling(3)
    cluster.step()
    cluster.gone(2)
    cluster.gone(0)
    cluster.step()
    assert Pod(cluster.pods["web-0"]).revision == cluster.revision("app:2")


def test_s95_a_pod_of_the_current_revision_has_that_revisions_template():
    cluster = rolling(1, partition=1)
    cluster.gone(0)
    cluster.step()
    assert images(cluster) == ["app:1"]
    assert "$patch" not in cluster.pods["web-0"]


def test_s98_an_ordered_set_updates_only_when_every_slot_is_available():
    cluster = rolling(3)
    cluster.move(0, "running")
    assert does(cluster) == []


def test_s41_s98_a_parallel_set_updates_only_if_nothing_failed():
    cluster = rolling(2, parallel=True, claims=("data",))
    cluster.move(0, "pending")
    cluster.claims.clear()
    cluster.refuse = lambda text: "quota" if "claim" in text else ""
    cluster.writes.clear()
    cluster.step()
    assert "delete pod web-1" not in cluster.writes
    cluster.refuse = None
    cluster.step()
    assert "delete pod web-1" in cluster.writes


def test_s99_on_delete_never_completes():
    cluster = rolling(2, strategy="OnDelete")
    for ordinal in (0, 1):
        cluster.gone(ordinal)
    settle(cluster)
    status = cluster.set["status"]
    assert (status["updatedReplicas"], status["currentRevision"]) == (2, cluster.revision("app:1"))


def test_s100_a_rollback_is_an_update_like_any_other():
    cluster = rolling(2)
    settle(cluster)
    cluster.change_image("app:1")
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1"]
    deleted = [text for text in cluster.writes if text.startswith("delete pod")]
    assert deleted == ["delete pod web-1", "delete pod web-0"] * 2


def test_s101_raising_the_partition_brings_no_pod_back_but_a_dead_one():
    cluster = rolling(3)
    cluster.step()
    obey(cluster)
    cluster.step()
    obey(cluster)
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 3}})
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1", "app:2"]
    cluster.gone(2)
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1", "app:1"]


def test_s101_lowering_the_partition_goes_on_with_the_rollout():
    cluster = rolling(3, partition=2)
    settle(cluster)
    assert images(cluster) == ["app:1", "app:1", "app:2"]
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})
    settle(cluster)
    assert images(cluster) == ["app:1", "app:2", "app:2"]


def test_s102_an_ordered_rollout_that_is_stuck_stays_stuck():
    cluster = rolling(2)
    cluster.gone(1)
    cluster.add(1, "running", "app:2")
    cluster.change_image("app:3")
    cluster.step()
    assert does(cluster) == []
    cluster.gone(1)
    settle(cluster)
    assert images(cluster) == ["app:3", "app:3"]


def test_s102_a_parallel_one_heals():
    cluster = rolling(2, parallel=True)
    cluster.gone(1)
    cluster.add(1, "running", "app:2")
    cluster.change_image("app:3")
    settle(cluster)
    assert images(cluster) == ["app:3", "app:3"]


def test_s105_a_set_of_none_is_updated_at_once():
    cluster = rolling(0)
    cluster.step()
    assert cluster.set["status"]["currentRevision"] == cluster.revision("app:2")


def test_s106_a_pod_deleted_by_hand_in_a_rollout_is_skipped_by_the_walk():
    cluster = rolling(3)
    cluster.gone(1)
    cluster.step()
    assert Pod(cluster.pods["web-1"]).revision == cluster.revision("app:2")
    obey(cluster)
    cluster.step()
    cluster.gone(2)
    cluster.step()
    obey(cluster)
    assert "delete pod web-0" in does(cluster)


def test_s107_the_current_count_goes_down_only_for_a_pod_of_the_current_revision():
    cluster = rolling(2)
    for ordinal in (0, 1):
        cluster.gone(ordinal)
        cluster.add(ordinal, "ready", "app:2")
    cluster.change_image("app:3")
    cluster.step()
    assert "currentReplicas" not in cluster.set["status"]


def test_s129_the_current_count_goes_down_with_the_deletion():
    cluster = rolling(2)
    cluster.step()
    status = cluster.set["status"]
    assert (status["replicas"], status["readyReplicas"], status["currentReplicas"]) == (2, 2, 1)


def test_s47_a_parallel_set_does_not_delete_what_it_has_just_made():
    """S94 asks for the current revision where S96 would delete it: the walk waits for what is missing."""
    cluster = Cluster(statefulset(2, parallel=True, partition=None)).with_revision()
    cluster.add(0)
    cluster.set["status"] |= {"currentReplicas": 2, "currentRevision": cluster.revision()}
    cluster.with_revision("app:2", 2)
    cluster.change_image("app:2")
    assert does(cluster) == ["create pod web-1"]


def test_s96_an_outdated_pod_that_is_leaving_is_waited_for():
    cluster = rolling(2, parallel=True)
    cluster.move(1, "terminating")
    assert does(cluster) == []
