"""Chapter 4: what happens per slot, in which order, and to the pods beyond."""

import pytest

from .builders import Cluster, claim, describe, doing, flat, obey, owner, plan, running, statefulset


def at(replicas, states, **options):
    """A set whose pods, from its first ordinal on, are in these states; None is a missing one."""
    cluster = Cluster(statefulset(replicas, **options)).with_revision()
    for ordinal, state in enumerate(states, cluster.statefulset.start):
        if state:
            cluster.add(ordinal, state)
    return cluster


def does(cluster):
    return doing(plan(cluster.observed()))


@pytest.mark.parametrize(
    ("replicas", "states", "expected"),
    [
        pytest.param(3, [], ["create pod web-0"], id="the first comes alone"),
        pytest.param(3, ["pending"], [], id="a pending pod is waited for"),
        pytest.param(3, ["running"], [], id="one that is not ready is waited for"),
        pytest.param(3, ["ready"], ["create pod web-1"], id="the second once the first is ready"),
        pytest.param(3, ["ready", None, "ready"], ["create pod web-1"], id="a gap is filled"),
        pytest.param(3, [None, "ready", "ready"], ["create pod web-0"], id="from below"),
        pytest.param(3, ["ready", "running", None], [], id="nothing above one that is not ready"),
        pytest.param(3, ["ready", "ready", "ready"], [], id="at rest"),
    ],
)
def test_s42_an_ordered_set_creates_a_pod_when_all_below_are_ready(replicas, states, expected):
    assert does(at(replicas, states)) == expected


@pytest.mark.parametrize("state", ["failed", "succeeded"])
def test_s41_a_pod_that_ended_is_deleted_and_nothing_else_happens(state):
    cluster = at(3, ["ready", state])
    assert does(cluster) == ["delete pod web-1"]


def test_s41_a_pod_that_ended_and_is_terminating_is_waited_for():
    cluster = at(3, ["ready", "failed"])
    cluster.move(1, "terminating")
    assert does(cluster) == []


def test_s41_a_terminating_pod_holds_up_an_ordered_set():
    cluster = at(3, ["ready", "ready"])
    cluster.move(0, "terminating")
    assert does(cluster) == []


def test_s41_s90_a_pod_that_is_not_yet_available_holds_up_an_ordered_set():
    cluster = at(2, ["ready"], min_ready_s=30)
    assert does(cluster) == []
    cluster.advance(29)
    assert does(cluster) == []
    cluster.advance(1)
    assert does(cluster) == ["create pod web-1"]


def test_s41_a_pending_pod_gets_the_claims_it_misses():
    assert does(at(1, ["pending"], claims=("data",))) == ["create persistentvolumeclaim data-web-0"]
    assert does(at(1, ["ready"], claims=("data",))) == []


@pytest.mark.parametrize("state", ["pending", "running", "terminating", "failed"])
def test_s42_one_unhealthy_slot_freezes_scale_down(state):
    cluster = at(1, ["ready", "ready"])
    cluster.move(0, state)
    assert "delete pod web-1" not in does(cluster)


def test_s42_nobody_is_told_what_is_waited_for():
    cluster = at(1, ["running", "ready"])
    for _ in range(3):
        cluster.step()
    assert cluster.events == []


def test_s43_surplus_pods_leave_from_the_top_one_at_a_time():
    cluster = at(1, ["ready"] * 4)
    cluster.step()
    assert does(cluster) == []
    cluster.gone(3)
    assert does(cluster) == ["delete pod web-2"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(["ready", "ready", "running"], ["delete pod web-2"], id="the only broken one on top goes"),
        pytest.param(["ready", "running", "ready"], ["delete pod web-2"], id="a healthy one above a broken one goes"),
        pytest.param(["ready", "running", "running"], [], id="two broken ones block"),
        pytest.param(["ready", "running", "terminating"], [], id="the one on top has to leave first"),
    ],
)
def test_s44_of_broken_surplus_pods_only_the_lowest_may_go(states, expected):
    assert does(at(1, states)) == expected


def test_s43_pods_below_the_start_are_surplus_as_well():
    cluster = at(2, ["ready"] * 4)
    cluster.change(ordinals={"start": 2}, replicas=2)
    assert does(cluster) == ["delete pod web-1"]


def test_s45_a_parallel_set_handles_every_slot_and_every_surplus_pod_at_once():
    cluster = at(4, [None, "running", "failed", None, "ready", "running", "ready"], parallel=True)
    cluster.move(6, "terminating")
    assert does(cluster) == [
        "create pod web-0",
        "delete pod web-2",
        "create pod web-3",
        "delete pod web-5",
        "delete pod web-4",
    ]


def test_s45_a_parallel_set_waits_for_nobody():
    cluster = at(3, ["ready", None, None], parallel=True)
    cluster.move(0, "terminating")
    assert does(cluster) == ["create pod web-1", "create pod web-2"]


def test_s46_parallel_work_comes_in_lists_that_may_run_together():
    made = plan(at(3, [], parallel=True, claims=("data",)).observed())
    (waves,) = made.actions
    assert [[describe(action) for action in flat(actions)] for actions in waves.lists] == [
        [f"create persistentvolumeclaim data-web-{n}", f"create pod web-{n}"] for n in range(3)
    ]


def test_s47_an_ordered_set_scales_before_it_updates():
    cluster = running(2)
    cluster.add(2)
    cluster.with_revision("app:2", 2)
    cluster.change_image("app:2")
    assert does(cluster) == ["delete pod web-2"]


def test_s48_a_deletion_leaves_the_grace_period_to_the_pod():
    (delete,) = plan(at(0, ["ready"]).observed()).actions
    assert (delete.grace_period_s, delete.uid) == (None, "uid-3")


def test_s6_a_pod_whose_number_is_too_large_is_in_neither_list():
    cluster = running(1)
    pod = cluster.add(1)
    del cluster.pods["web-1"]
    big = {**pod, "metadata": {**pod["metadata"], "name": "web-99999999999"}}
    cluster.pods["web-99999999999"] = big
    cluster.step()
    assert (cluster.writes, cluster.set["status"]["replicas"]) == ([], 1)


def test_s7_a_set_that_is_being_deleted_gets_its_status_and_nothing_else():
    cluster = at(3, ["ready", "failed", None, "ready"])
    cluster.set["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    cluster.step()
    assert cluster.writes == ["update statefulset web status"]
    assert cluster.set["status"]["replicas"] == 3


def test_s8_repairs_of_lower_slots_do_not_keep_a_higher_one_waiting():
    cluster = at(2, ["ready"])
    del cluster.pods["web-0"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    assert does(cluster) == ["update pod web-0", "create pod web-1"]


def test_s57_a_slot_waits_for_a_claim_that_an_earlier_pod_takes_along():
    cluster = at(1, [], claims=("data",), when_scaled="Delete")
    cluster.claims["data-web-0"] = claim("data-web-0", owner("Pod", "web-0", "earlier"))
    assert does(cluster) == []
    del cluster.claims["data-web-0"]
    assert does(cluster) == ["create persistentvolumeclaim data-web-0", "create pod web-0"]


def test_s57_a_parallel_set_leaves_out_only_that_slot():
    cluster = at(2, [], claims=("data",), when_scaled="Delete", parallel=True)
    cluster.claims["data-web-0"] = claim("data-web-0", owner("Pod", "web-0", "earlier"))
    assert does(cluster) == ["create persistentvolumeclaim data-web-1", "create pod web-1"]


def test_s59_scaling_down_and_up_again_ends_with_a_new_claim():
    cluster = running(3, claims=("data",), when_scaled="Delete")
    old = cluster.claims["data-web-2"]["metadata"]["uid"]
    cluster.change(replicas=2)
    cluster.step()
    cluster.change(replicas=3)
    cluster.step()
    assert "create pod web-2" not in cluster.writes
    cluster.gone(2)
    for _ in range(4):
        cluster.step()
        obey(cluster)
    assert cluster.claims["data-web-2"]["metadata"]["uid"] != old
    assert set(cluster.pods) == {"web-0", "web-1", "web-2"}


def test_s14_a_set_looks_again_when_the_next_pod_becomes_available():
    cluster = at(2, ["ready", "ready"], min_ready_s=30)
    cluster.advance(12)
    cluster.move(1, "ready")
    assert plan(cluster.observed()).again_after_s == 18
    cluster.advance(18)
    assert plan(cluster.observed()).again_after_s == 12
    cluster.advance(12)
    assert plan(cluster.observed()).again_after_s is None


def test_s2_a_selector_that_cannot_be_understood_ends_the_sync():
    cluster = running(1)
    cluster.set["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["x"]}]}
    cluster.change(replicas=3)
    made = plan(cluster.observed())
    assert (doing(made), made.status) == ([], None)


def test_s42_what_is_above_an_unhealthy_slot_is_not_even_repaired():
    cluster = at(3, ["ready", "running", "ready"])
    for ordinal in (0, 2):
        del cluster.pods[f"web-{ordinal}"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    assert does(cluster) == ["update pod web-0"]


def test_s57_without_the_policy_an_earlier_pods_claim_is_used():
    cluster = at(1, [], claims=("data",), when_scaled="Retain")
    cluster.claims["data-web-0"] = claim("data-web-0", owner("Pod", "web-0", "earlier"))
    assert does(cluster) == ["create pod web-0"]


@pytest.mark.parametrize("phase", ["Pending", "Failed", "Unknown"])
def test_s41_a_pod_that_does_not_run_is_not_ready_whatever_its_condition_says(phase):
    cluster = at(2, ["ready"])
    cluster.pods["web-0"]["status"]["phase"] = phase
    assert "create pod web-1" not in does(cluster)


def test_s90_a_surplus_pod_that_is_not_yet_available_is_waited_for_beside_a_lower_one():
    cluster = at(1, ["ready", "ready", "ready"], min_ready_s=10)
    cluster.advance(10)
    for ordinal in (1, 2):
        cluster.move(ordinal, "ready")
    assert does(cluster) == []
    cluster.advance(10)
    assert does(cluster) == ["delete pod web-2"]
