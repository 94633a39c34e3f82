"""Ordinals that get no pod (K1, docs/beyond.md)."""

from holdfast.controllers.statefulset.replicas import Ordinals
from holdfast.controllers.statefulset.slots import Slots

from .asking import annotate, does, images, template
from .builders import running, settle


def test_k1_reserved_ordinals_are_skipped_and_the_end_moves_up():
    assert [*Slots(0, 3, (1,))] == [0, 2, 3]
    assert [*Slots(5, 3, (1, 5, 6, 8, 11))] == [7, 9, 10]
    assert [*Slots(0, 0, (0,))] == []


def test_k8_a_partition_counts_slots_and_not_gaps():
    slots = Slots(2, 4, (3, 4))
    assert [(ordinal, slots.index(ordinal)) for ordinal in slots] == [(2, 0), (5, 1), (6, 2), (7, 3)]


def test_unasked_only_the_top_can_be_removed():
    cluster = running(3)
    cluster.change(replicas=2)
    assert does(cluster) == ["delete pod web-2"]


def test_k1_to_remove_a_pod_reserve_its_ordinal_and_lower_replicas():
    cluster = running(3)
    annotate(cluster, reserve_ordinals="1")
    cluster.change(replicas=2)
    assert does(cluster) == ["delete pod web-1"]
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-2"}
    assert cluster.set["status"]["replicas"] == 2


def test_k1_to_move_a_pod_reserve_its_ordinal_and_the_new_one_is_up_before_it_goes():
    cluster = running(3)
    annotate(cluster, reserve_ordinals="1")
    assert does(cluster) == ["create pod web-3"]
    cluster.step()
    assert does(cluster) == []
    cluster.move(3, "ready")
    assert does(cluster) == ["delete pod web-1"]
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-2", "web-3"}


def test_a_pod_comes_back_when_its_ordinal_is_no_longer_reserved():
    cluster = running(3)
    annotate(cluster, reserve_ordinals="0-1")
    settle(cluster)
    assert set(cluster.pods) == {"web-2", "web-3", "web-4"}
    annotate(cluster, reserve_ordinals="1")
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-2", "web-3"}


def test_k8_an_update_goes_from_the_top_to_the_partition_across_gaps():
    cluster = running(3, partition=1)
    annotate(cluster, reserve_ordinals="1")
    settle(cluster)
    template(cluster, "app:2", 2)
    settle(cluster)
    assert images(cluster) == {"web-0": "app:1", "web-2": "app:2", "web-3": "app:2"}


def test_missing_slots_of_a_huge_set_are_not_counted_one_by_one():
    slots = Slots(0, 2_000_000_000, (0, 7))
    ordinals = Ordinals(untouched=slots.span, left_out=slots.left_out)
    assert (ordinals.first, len(ordinals)) == (1, 2_000_000_000)
    ordinals.put(1, False)
    assert (ordinals.first, len(ordinals), 7 in ordinals) == (2, 1_999_999_999, False)


def test_the_first_few_are_found_and_stay():
    ordinals = Ordinals(highest=True)
    for ordinal in (3, 1, 4, 1, 5, 9, 2, 6):
        ordinals.put(ordinal, True)
    ordinals.put(9, False)
    ordinals.put(5, False)
    ordinals.put(5, True)
    assert ordinals.few(3) == [6, 5, 4]
    assert ordinals.few(0) == []
    assert ordinals.few(99) == [6, 5, 4, 3, 2, 1]
    assert ordinals.first == 6
