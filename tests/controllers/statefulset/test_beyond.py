"""What a set may ask for beyond upstream (docs/beyond.md), decision by decision; and that it is upstream's unasked."""

import pytest

from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET, STATEFUL_SET_RECREATE_STRATEGY
from holdfast.controllers.statefulset.replicas import Ordinals
from holdfast.controllers.statefulset.slots import Slots

from .builders import Cluster, claim, doing, obey, plan, running, settle, statefulset

UNSTICK = {beyond.UNSTICK: "true"}
BATCHES = frozenset({MAX_UNAVAILABLE_STATEFUL_SET})
RECREATES = frozenset({STATEFUL_SET_RECREATE_STRATEGY})


def does(cluster):
    return doing(plan(cluster.observed()))


def reason(cluster):
    return plan(cluster.observed()).reason


def images(cluster):
    return {name: pod["spec"]["containers"][0]["image"] for name, pod in sorted(cluster.pods.items())}


def annotate(cluster, **annotations):
    """Sets or, with None, takes away annotations of ours; by their names without prefix, in snake case."""
    found = dict(cluster.set["metadata"].get("annotations") or {})
    for name, value in annotations.items():
        found[beyond.PREFIX + name.replace("_", "-")] = value
    found = {name: value for name, value in found.items() if value is not None}
    cluster.set = {**cluster.set, "metadata": {**cluster.set["metadata"], "annotations": found}}


def template(cluster, image, number):
    cluster.change_image(image)
    cluster.with_revision(image, number)


# Rollouts that are stuck (kubernetes#67250)


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


# Batches (MaxUnavailableStatefulSet)


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


# Reserved ordinals


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


# Pause


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


# Claims that grow (KEP-4650)


def growing(replicas=3, policy="InPlace", **options):
    """A set with claims of 1Gi that are bound, and a template that has just been changed to ask for 2Gi."""
    cluster = running(replicas, claims=("data",), **options)
    annotate(cluster, volume_claim_update_policy=policy)
    for name in cluster.claims:
        cluster.claims[name] = sized(cluster.claims[name], "1Gi", "1Gi")
    ask(cluster, "2Gi")
    return cluster


def sized(one, asks, has, phase="Bound", **status):
    return {
        **one,
        "spec": {"resources": {"requests": {"storage": asks}}},
        "status": {"phase": phase, "capacity": {"storage": has}, **status},
    }


def ask(cluster, size):
    made = cluster.set["spec"]["volumeClaimTemplates"][0]
    spec = {**made["spec"], "resources": {"requests": {"storage": size}}}
    cluster.change(volumeClaimTemplates=[{**made, "spec": spec}])


def asked(cluster):
    return {name: one["spec"]["resources"]["requests"]["storage"] for name, one in sorted(cluster.claims.items())}


def expand(cluster):
    """What grows volumes: every claim gets what it asks for."""
    obey(cluster)
    for name, one in cluster.claims.items():
        size = one["spec"]["resources"]["requests"]["storage"]
        if size != one.get("status", {}).get("capacity", {}).get("storage"):
            cluster.claims[name] = sized(one, size, size)


@pytest.mark.parametrize("policy", [None, "OnClaimDelete"])
def test_l1_unasked_claims_that_exist_are_never_touched(policy):
    cluster = growing(policy=policy)
    settle(cluster)
    assert set(asked(cluster).values()) == {"1Gi"}


@pytest.mark.parametrize("parallel", [False, True])
def test_claims_grow_one_pod_after_the_other_from_the_top(parallel):
    cluster = growing(parallel=parallel)
    assert does(cluster) == ["patch persistentvolumeclaim data-web-2"]
    cluster.step()
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "1Gi", "data-web-2": "2Gi"}
    assert does(cluster) == []
    assert reason(cluster) == "waiting for claim data-web-2 to grow to 2Gi"
    cluster.claims["data-web-2"] = sized(cluster.claims["data-web-2"], "2Gi", "2Gi")
    assert does(cluster) == ["patch persistentvolumeclaim data-web-1"]
    settle(cluster, environment=expand)
    assert set(asked(cluster).values()) == {"2Gi"}
    assert "Normal SuccessfulUpdate Update Claim data-web-0 Pod web-0 in StatefulSet web success" in cluster.events
    assert not [text for text in cluster.writes if "pod" in text.split()]


def test_a_pod_is_updated_once_its_claims_have_grown():
    cluster = growing()
    template(cluster, "app:2", 2)
    settle(cluster, environment=expand)
    order = [text for text in cluster.writes if text.startswith(("patch", "delete"))]
    assert order == [
        f"{text}-{ordinal}"
        for ordinal in (2, 1, 0)
        for text in ("patch persistentvolumeclaim data-web", "delete pod web")
    ]


def test_a_claim_of_which_only_the_file_system_is_left_to_grow_holds_nobody_up():
    cluster = growing(2)
    pending = [{"type": "FileSystemResizePending", "status": "True"}]
    cluster.claims["data-web-1"] = sized(cluster.claims["data-web-1"], "2Gi", "1Gi", conditions=pending)
    assert does(cluster) == ["patch persistentvolumeclaim data-web-0"]


def test_a_claim_is_asked_to_grow_only_once_it_is_bound():
    cluster = growing(1)
    cluster.claims["data-web-0"] = sized(cluster.claims["data-web-0"], "1Gi", "0", phase="Pending")
    assert (does(cluster), reason(cluster)) == ([], "waiting for claim data-web-0 to be bound, to grow")


def test_a_claim_that_is_larger_already_is_left_alone():
    cluster = growing(1)
    cluster.claims["data-web-0"] = sized(cluster.claims["data-web-0"], "5Gi", "2Gi")
    assert does(cluster) == []


def test_a_claim_that_grows_by_another_hand_meanwhile_is_not_overruled():
    cluster = growing(1)
    action = plan(cluster.observed()).actions[0].actions[0]
    assert action.patch["metadata"] == {"resourceVersion": "1"}


def test_claims_below_the_partition_stay():
    cluster = growing(3, partition=2)
    settle(cluster, environment=expand)
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "1Gi", "data-web-2": "2Gi"}


def test_a_claim_that_cannot_grow_is_told_of_and_holds_up_the_update():
    cluster = growing(2)
    template(cluster, "app:2", 2)
    cluster.refuse = lambda text: "no expansion" if text.startswith("patch") else ""
    for _ in range(5):
        cluster.step()
        obey(cluster)
    failed = "Update Claim data-web-1 for Pod web-1 in StatefulSet web failed error: no expansion"
    assert set(cluster.events) == {f"Warning FailedUpdate {failed}"}
    assert set(images(cluster).values()) == {"app:1"}


def test_a_pod_that_dies_comes_back_although_its_claim_cannot_grow():
    cluster = growing(2)
    cluster.refuse = lambda text: "no expansion" if text.startswith("patch") else ""
    cluster.gone(1)
    cluster.step()
    assert "web-1" in cluster.pods


def test_on_delete_a_claim_grows_as_its_pod_is_made_anew():
    cluster = growing(2, strategy="OnDelete")
    assert does(cluster) == []
    cluster.gone(1)
    assert does(cluster) == ["create pod web-1", "patch persistentvolumeclaim data-web-1"]
    settle(cluster, environment=expand)
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "2Gi"}


def test_while_paused_no_claim_grows():
    cluster = growing(2)
    annotate(cluster, paused="true")
    settle(cluster, environment=expand)
    assert set(asked(cluster).values()) == {"1Gi"}


def test_new_claims_are_of_the_new_size():
    cluster = growing(2, policy="OnClaimDelete")
    cluster.change(replicas=3)
    settle(cluster)
    assert cluster.claims["data-web-2"]["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_claims_at_rest_cause_no_writes():
    cluster = growing(2)
    settle(cluster, environment=expand)
    cluster.writes.clear()
    cluster.step()
    assert cluster.writes == []


def test_a_claim_without_a_word_on_its_size_is_none_of_our_business():
    cluster = running(1, claims=("data",))
    annotate(cluster, volume_claim_update_policy="InPlace")
    cluster.claims["data-web-0"] = claim("data-web-0")
    assert does(cluster) == []


def test_a_claim_that_is_on_its_way_out_need_not_grow():
    cluster = growing(1)
    one = cluster.claims["data-web-0"]
    cluster.claims["data-web-0"] = {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert does(cluster) == []


def test_in_batches_pods_wait_for_their_claims_to_grow():
    cluster = growing(3, parallel=True)
    cluster.gates = BATCHES
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 3}})
    template(cluster, "app:2", 2)
    cluster.claims["data-web-2"] = sized(cluster.claims["data-web-2"], "2Gi", "2Gi")
    assert does(cluster) == ["delete pod web-2"]


def test_while_paused_a_pod_that_is_stuck_is_waited_for():
    cluster = stuck(annotations={**UNSTICK, beyond.PAUSED: "true"})
    cluster.step()
    assert does(cluster) == []


# The strategy Recreate (KEP-3541)


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
