"""The strategy Recreate, behind its gate (KEP-3541)."""

import pytest

from .asking import RECREATES, annotate, does, images, reason, template
from .builders import running, settle


def recreating(replicas=3, **options):
    cluster = running(replicas, strategy="Recreate", partition=None, **options)
    cluster.gates = RECREATES
    template(cluster, "app:2", 2)
    return cluster


@pytest.mark.parametrize("parallel", [False, True])
def test_recreate_lets_all_pods_go_before_the_first_comes_back(parallel):
    cluster = recreating(parallel=parallel)
    assert sorted(does(cluster)) == ["delete pod web-0", "delete pod web-1", "delete pod web-2"]
    cluster.step()
    cluster.gone(2)
    cluster.gone(0)
    assert (does(cluster), reason(cluster)) == ([], "waiting for 1 outdated pods to leave")
    cluster.gone(1)
    assert does(cluster) == [f"create pod web-{ordinal}" for ordinal in range(3 if parallel else 1)]
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}
    assert cluster.set["status"]["currentRevision"] == cluster.revision("app:2")


def test_recreate_replaces_pods_that_are_stuck():
    cluster = recreating()
    for name in list(cluster.pods):
        cluster.move(int(name[-1]), "running")
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}


def test_recreate_leaves_pods_alone_that_are_up_to_date():
    cluster = recreating()
    settle(cluster)
    cluster.gone(1)
    assert does(cluster) == ["create pod web-1"]


def test_recreate_gives_the_claims_of_surplus_pods_away_before_they_go():
    cluster = recreating(claims=("data",), when_scaled="Delete")
    cluster.change(replicas=2)
    assert does(cluster)[0] == "update persistentvolumeclaim data-web-2"
    settle(cluster)
    assert set(cluster.claims) == {"data-web-0", "data-web-1"}
    assert set(images(cluster).values()) == {"app:2"}


def test_recreate_waits_while_paused():
    cluster = recreating()
    annotate(cluster, paused="true")
    settle(cluster)
    cluster.gone(1)
    settle(cluster)
    assert set(images(cluster).values()) == {"app:1"}


def test_without_its_gate_a_stored_recreate_is_a_rolling_update():
    cluster = recreating()
    cluster.gates = frozenset()
    assert does(cluster) == ["delete pod web-2"]
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}
