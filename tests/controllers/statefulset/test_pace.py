"""Which status may wait a moment for more of its kind, and which is written at once."""

import pytest

from .builders import Cluster, plan, running, statefulset


def may_wait(cluster):
    """None if there is nothing to write."""
    made = plan(cluster.observed())
    return made.status_may_wait if made.status else None


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("partition", [0, 1])
def test_counts_of_pods_on_their_way_may_wait(parallel, partition):
    cluster = running(3, parallel=parallel, partition=partition)
    cluster.move(0, "running")
    assert may_wait(cluster)
    cluster.step()
    cluster.gone(1)
    assert may_wait(cluster)


def test_also_those_of_surplus_pods():
    cluster = running(3)
    cluster.add(3)
    cluster.add(4, "terminating")
    assert may_wait(cluster)


@pytest.mark.parametrize("options", [{}, {"parallel": True}, {"strategy": "OnDelete"}, {"partition": None}])
def test_a_set_that_has_settled_says_so_at_once(options):
    cluster = running(3, **options)
    cluster.move(1, "running")
    cluster.step()
    cluster.move(1, "ready")
    assert may_wait(cluster) is False


def test_s130_a_new_generation_is_acknowledged_at_once():
    cluster = running(3)
    cluster.change(replicas=5)
    assert may_wait(cluster) is False


def test_s137_also_if_the_rest_of_the_sync_fails():
    cluster = running(3)
    cluster.change(replicas=5)
    cluster.refuse = lambda text: "no" if text.startswith("create") else ""
    cluster.step()
    assert cluster.set["status"]["observedGeneration"] == 2


def test_s78_the_revisions_are_what_the_next_sync_decides_by_and_never_wait():
    cluster = running(2)
    cluster.change_image("app:2")
    assert may_wait(cluster) is False, "updateRevision"
    cluster.step()
    for ordinal in (1, 0):
        cluster.gone(ordinal)
        cluster.add(ordinal, "ready", "app:2")
    assert may_wait(cluster) is False, "currentRevision"
    cluster.step()
    assert cluster.set["status"]["currentRevision"] == cluster.revision("app:2")


def test_s94_without_rolling_update_neither_does_the_number_of_pods_at_the_current_revision():
    cluster = running(3, partition=None)
    cluster.change_image("app:2")
    cluster.step()
    assert cluster.set["status"]["currentReplicas"] == 2, "S96: already without the pod that goes"
    cluster.gone(2)
    assert may_wait(cluster), "replicas and readyReplicas alone"
    cluster.step()
    cluster.move(2, "ready")
    cluster.step()
    assert cluster.set["status"]["currentReplicas"] == 1, "pod 1 goes"
    cluster.gone(0)
    cluster.set["status"]["currentReplicas"] = 2
    assert may_wait(cluster) is False, "or a pod that dies now would come back by an old number"


@pytest.mark.parametrize("strategy", ["OnDelete", "RollingUpdate"])
def test_elsewhere_it_is_a_count_as_any_other(strategy):
    cluster = running(3, strategy=strategy)
    cluster.change_image("app:2")
    cluster.step()
    cluster.move(0, "terminating")
    assert may_wait(cluster)


def test_a_new_set_says_at_once_that_it_was_seen():
    assert may_wait(Cluster(statefulset(3))) is False
