"""Paused updates (K9, docs/beyond.md)."""

import pytest

from holdfast.api.apps import stateful_set_beyond as beyond

from .asking import annotate, does, images, reason, template
from .builders import running, settle


def half_rolled(**options):
    """Pods 2 and 3 of four are updated."""
    cluster = running(4, **options)
    template(cluster, "app:2", 2)
    for ordinal in (2, 3):
        cluster.gone(ordinal)
        cluster.add(ordinal, "ready", "app:2")
    return cluster


def test_k9_a_pause_ends_the_update_and_its_end_lets_it_go_on():
    cluster = half_rolled()
    assert does(cluster) == ["delete pod web-1"]
    annotate(cluster, paused="true")
    settle(cluster)
    assert [*images(cluster).values()] == ["app:1", "app:1", "app:2", "app:2"]
    assert reason(cluster) == "updates are paused"
    annotate(cluster, paused=None)
    settle(cluster)
    assert set(images(cluster).values()) == {"app:2"}
    assert beyond.PAUSED_REVISIONS not in cluster.set["metadata"].get("annotations", {})


@pytest.mark.parametrize("ordinal", range(4))
@pytest.mark.parametrize("dies", ["failed", "gone"])
@pytest.mark.parametrize("options", [{}, {"partition": None}, {"strategy": "OnDelete"}, {"parallel": True}])
def test_l4_while_paused_a_pod_comes_back_in_the_revision_it_had(ordinal, dies, options):
    cluster = half_rolled(**options)
    annotate(cluster, paused="true")
    settle(cluster)
    before = images(cluster)
    cluster.gone(ordinal) if dies == "gone" else cluster.move(ordinal, dies)
    settle(cluster)
    assert images(cluster) == before


def test_l4_unasked_a_large_partition_takes_an_updated_pod_back():
    cluster = half_rolled(partition=0)
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 4}})
    cluster.gone(3)
    settle(cluster)
    assert images(cluster)["web-3"] == "app:1"


def test_while_paused_a_pod_keeps_a_revision_that_is_neither_current_nor_wanted_any_more():
    cluster = half_rolled(history_limit=0)
    annotate(cluster, paused="true")
    template(cluster, "app:3", 3)
    settle(cluster)
    cluster.gone(2)
    cluster.gone(3)
    settle(cluster)
    assert [*images(cluster).values()] == ["app:1", "app:1", "app:2", "app:2"]


def test_k9_while_paused_a_set_grows_by_pods_of_the_current_revision_and_shrinks():
    cluster = half_rolled()
    annotate(cluster, paused="true")
    settle(cluster)
    cluster.change(replicas=5)
    settle(cluster)
    assert images(cluster)["web-4"] == "app:1"
    cluster.change(replicas=1)
    settle(cluster)
    assert images(cluster) == {"web-0": "app:1"}


def test_a_pod_that_was_on_its_way_when_the_pause_came_is_not_updated():
    cluster = half_rolled()
    cluster.step()
    assert "deletionTimestamp" in cluster.pods["web-1"]["metadata"]
    annotate(cluster, paused="true")
    settle(cluster)
    assert images(cluster)["web-1"] == "app:1"


def test_a_paused_set_at_rest_writes_nothing():
    cluster = half_rolled()
    annotate(cluster, paused="true")
    settle(cluster)
    cluster.writes.clear()
    cluster.step()
    assert cluster.writes == []


def test_a_note_that_cannot_be_understood_means_the_current_revision():
    cluster = half_rolled()
    annotate(cluster, paused="true", paused_revisions="2-2=nobody,x,9-1=")
    cluster.gone(2)
    cluster.gone(3)
    settle(cluster)
    assert set(images(cluster).values()) == {"app:1"}
