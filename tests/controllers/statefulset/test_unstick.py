"""A rollout that was broken goes on once the template is mended, where the set asks for it (docs/beyond.md)."""

import pytest

from holdfast.api.apps import stateful_set_beyond as beyond

from .asking import UNSTICK, does, images, reason, template
from .builders import Cluster, obey, running, settle, statefulset


def stuck(parallel=False, annotations=None, **options):
    """Three pods, of which the highest was updated to app:2 and never became ready; then the template was mended."""
    cluster = running(3, parallel=parallel, annotations=annotations, **options)
    template(cluster, "app:2", 2)
    cluster.gone(2)
    cluster.add(2, "running", "app:2")
    cluster.step()
    template(cluster, "app:3", 3)
    return cluster


def test_s102_unasked_a_mended_template_does_not_reach_the_pod_that_is_stuck():
    cluster = stuck()
    for _ in range(20):
        cluster.step()
        obey(cluster)
    assert images(cluster) == {"web-0": "app:1", "web-1": "app:1", "web-2": "app:2"}


def test_asked_to_a_mended_template_replaces_the_pod_that_is_stuck_and_rolls_on():
    cluster = stuck(annotations=UNSTICK)
    assert does(cluster) == ["delete pod web-2"]
    settle(cluster)
    assert set(images(cluster).values()) == {"app:3"}
    assert cluster.set["status"]["currentRevision"] == cluster.revision("app:3")


def test_asked_to_a_template_that_is_taken_back_replaces_the_pod_that_is_stuck():
    cluster = stuck(annotations=UNSTICK)
    cluster.change_image("app:1")
    cluster.with_revision("app:1", 4)
    settle(cluster)
    assert set(images(cluster).values()) == {"app:1"}


def test_asked_to_a_first_template_that_never_worked_can_be_mended():
    cluster = Cluster(statefulset(3, annotations=UNSTICK)).with_revision()
    cluster.add(0, "running")
    cluster.step()
    template(cluster, "app:2", 2)
    assert does(cluster) == ["delete pod web-0"]
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}


def test_asked_to_a_first_template_can_be_mended_also_where_no_partition_is_given():
    """S94: the pod would come back as it was if the status still counted it."""
    cluster = Cluster(statefulset(3, partition=None, annotations=UNSTICK)).with_revision()
    cluster.add(0, "pending")
    cluster.step()
    assert cluster.set["status"]["currentReplicas"] == 1
    template(cluster, "app:2", 2)
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}


def test_a_pod_that_would_come_back_as_it_is_is_not_replaced():
    """S94: without a partition the lowest pods come back in the current revision."""
    cluster = running(3, partition=None, annotations=UNSTICK)
    template(cluster, "app:2", 2)
    cluster.move(1, "running")
    assert does(cluster) == []


@pytest.mark.parametrize("state", ["ready", "terminating"])
def test_a_pod_that_is_ready_or_leaving_is_not_stuck(state):
    cluster = running(2, min_ready_s=60, annotations=UNSTICK)
    template(cluster, "app:2", 2)
    cluster.move(1, state)
    assert does(cluster) == []


def test_a_pod_of_the_newest_revision_is_waited_for():
    cluster = stuck(annotations=UNSTICK)
    cluster.gone(2)
    cluster.add(2, "running", "app:3")
    assert does(cluster) == []
    assert reason(cluster) == "waiting for pod 2 to be ready"


def test_a_pod_below_the_partition_is_waited_for():
    cluster = running(2, partition=1, annotations=UNSTICK)
    template(cluster, "app:2", 2)
    cluster.move(0, "running")
    assert does(cluster) == []


@pytest.mark.parametrize("state", ["running", "terminating", "pending"])
def test_never_two_at_a_time(state):
    cluster = stuck(annotations=UNSTICK)
    cluster.gone(2)
    cluster.add(2, "ready", "app:3")
    cluster.move(2, state)
    cluster.move(0, "running")
    assert does(cluster) == []


def test_of_two_that_are_stuck_the_second_goes_once_the_first_is_back():
    cluster = stuck(annotations=UNSTICK)
    cluster.move(1, "running")
    assert does(cluster) == ["delete pod web-1"]
    cluster.step()
    assert does(cluster) == []
    cluster.gone(1)
    cluster.step()
    assert does(cluster) == []
    cluster.move(1, "ready")
    assert does(cluster) == ["delete pod web-2"]


def test_on_delete_nothing_is_replaced():
    cluster = running(2, strategy="OnDelete", annotations=UNSTICK)
    template(cluster, "app:2", 2)
    cluster.move(1, "running")
    assert does(cluster) == []


def test_s96_unasked_a_parallel_set_may_lose_a_pod_that_is_well_while_another_is_broken():
    cluster = running(3, parallel=True)
    template(cluster, "app:2", 2)
    cluster.move(0, "running")
    assert does(cluster) == ["delete pod web-2"]


def test_asked_to_a_parallel_set_replaces_the_broken_pod_first_and_nothing_else():
    cluster = running(3, parallel=True, annotations=UNSTICK)
    template(cluster, "app:2", 2)
    cluster.move(0, "running")
    assert does(cluster) == ["delete pod web-0"]
    cluster.step()
    assert does(cluster) == []
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}


def test_while_paused_a_pod_that_is_stuck_is_waited_for():
    cluster = stuck(annotations={**UNSTICK, beyond.PAUSED: "true"})
    cluster.step()
    assert does(cluster) == []
