"""Updates in batches, behind the gate MaxUnavailableStatefulSet (S103)."""

import pytest

from .asking import BATCHES, UNSTICK, does, images, template
from .builders import obey, running, settle


def rolling(replicas, most, **options):
    """A parallel set that has just been given another template, where the gate is on."""
    cluster = running(replicas, parallel=True, **options)
    cluster.gates = BATCHES
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": most}}
    cluster.change(updateStrategy=strategy)
    template(cluster, "app:2", 2)
    return cluster


@pytest.mark.parametrize(
    ("most", "deleted"), [(2, [4, 3]), ("40%", [4, 3]), ("59%", [4, 3]), ("1%", [4]), ("100%", [4, 3, 2, 1, 0])]
)
def test_s103_as_many_pods_are_replaced_as_may_be_unavailable(most, deleted):
    assert does(rolling(5, most)) == [f"delete pod web-{ordinal}" for ordinal in deleted]


def test_s103_without_the_gate_the_field_means_nothing():
    cluster = rolling(5, 3)
    cluster.gates = frozenset()
    assert does(cluster) == ["delete pod web-4"]


def test_s103_pods_that_are_unavailable_below_the_partition_count_too():
    cluster = rolling(5, 2)
    rolling_update = {"partition": 3, "maxUnavailable": 2}
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling_update})
    cluster.move(0, "running")
    assert does(cluster) == ["delete pod web-4"]
    cluster.move(1, "running")
    assert does(cluster) == []


def test_s103_never_more_are_away_and_none_below_the_partition_goes():
    cluster = rolling(7, 3)
    rolling_update = {"partition": 2, "maxUnavailable": 3}
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling_update})
    for _ in range(40):
        cluster.step()
        away = 7 - sum(pod["status"]["phase"] == "Running" for pod in cluster.pods.values())
        leaving = sum("deletionTimestamp" in pod["metadata"] for pod in cluster.pods.values())
        assert away + leaving <= 3
        obey(cluster)
    assert [*images(cluster).values()] == ["app:1"] * 2 + ["app:2"] * 5


def test_s103_an_ordered_set_lets_several_go_and_brings_them_back_one_by_one():
    cluster = running(4)
    cluster.gates = BATCHES
    rolling_update = {"partition": 0, "maxUnavailable": 2}
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling_update})
    template(cluster, "app:2", 2)
    assert does(cluster) == ["delete pod web-3", "delete pod web-2"]
    cluster.step()
    cluster.gone(3)
    cluster.gone(2)
    assert does(cluster) == ["create pod web-2"]


def test_s103_the_trap_a_broken_pod_blocks_its_own_replacement():
    cluster = rolling(3, 1)
    cluster.move(1, "running")
    for _ in range(10):
        assert does(cluster) == []
        cluster.step()


def test_s103_the_trap_is_none_for_a_set_that_asks_not_to_be_stuck():
    cluster = rolling(3, 1, annotations=UNSTICK)
    cluster.move(1, "running")
    assert does(cluster) == ["delete pod web-1"]
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}


def test_broken_pods_go_first_and_count_once():
    cluster = rolling(6, 3, annotations=UNSTICK)
    cluster.move(0, "running")
    cluster.move(2, "running")
    assert does(cluster) == ["delete pod web-2", "delete pod web-0", "delete pod web-5"]


def test_no_more_broken_pods_go_at_once_than_may_be_unavailable():
    cluster = rolling(6, 2, annotations=UNSTICK)
    for ordinal in range(4):
        cluster.move(ordinal, "running")
    assert does(cluster) == ["delete pod web-3", "delete pod web-2"]
