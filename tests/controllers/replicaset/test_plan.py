"""So many pods, whom to delete first, and what is reported."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.times import format_time
from holdfast.controllers.actions import Confirm, Each, Waves
from holdfast.controllers.pod_writes import build_pod
from holdfast.controllers.replicaset.plan import Observed, plan
from holdfast.controllers.replicaset.victims import DELETION_COST, victims

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def ago(seconds):
    return format_time(NOW - timedelta(seconds=seconds))


def pod(name, phase="Running", *, ready_s=100, node="n", owner="set-uid", cost=None, restarts=0, age_s=100, **metadata):
    """`ready_s`: ready for so long; None is not ready."""
    conditions = [] if ready_s is None else [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready_s)}]
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"{name}-uid",
        "labels": {"app": "web"},
        "creationTimestamp": ago(age_s),
        "ownerReferences": [{"uid": owner, "controller": True}] if owner else [],
        **metadata,
    }
    if cost is not None:
        metadata["annotations"] = {DELETION_COST: cost}
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [{"name": "a", "restartCount": restarts}]}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


def leaving(name):
    return pod(name, deletionTimestamp=ago(0))


def replica_set(replicas=3, min_ready_s=0, status=None, **metadata):
    template = {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": {"containers": []}}
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "set-uid", "generation": 2, **metadata},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "minReadySeconds": min_ready_s,
        },
        "status": status or {"replicas": 0},
    }


def look(one, pods, *, terminating=False):
    return plan(Observed(REPLICA_SETS, one, pods, pods, terminating, NOW))


def deleted(planned):
    return [action.name for group in planned.actions if isinstance(group, Each) for action in group.actions]


def created(planned):
    return sum(len(group.lists) for group in planned.actions if isinstance(group, Waves))


@pytest.mark.parametrize(
    ("pods", "missing"),
    [
        ([], 3),
        ([pod("a"), pod("b")], 1),
        ([pod("a"), leaving("b"), pod("c", "Failed"), pod("d", "Succeeded")], 2),
        ([pod("a"), pod("b", owner="other"), pod("c", labels={"app": "else"})], 2),
        ([pod("a"), pod("b"), pod("c", "Pending")], 0),
    ],
)
def test_n189_w10_what_is_terminating_or_ended_is_replaced_at_once(pods, missing):
    assert created(look(replica_set(), pods)) == missing


def test_w11_at_most_500_pods_are_created_in_one_round():
    assert created(look(replica_set(1200), [])) == 500


def test_w5_nothing_is_created_in_a_namespace_that_goes_or_by_a_set_that_goes():
    assert created(look(replica_set(), [], terminating=True)) == 0
    assert created(look(replica_set(deletionTimestamp=ago(0)), [])) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("z", node=""), pod("a", "Pending", ready_s=None)),
        (pod("z", "Pending", ready_s=None), pod("a", "Unknown", ready_s=None)),
        (pod("z", "Unknown", ready_s=None), pod("a", ready_s=None)),
        (pod("z", ready_s=None), pod("a", cost="-5")),
        (pod("z", cost="-1"), pod("a")),
        (pod("z", ready_s=10), pod("a", ready_s=1000)),
        (pod("z", restarts=3), pod("a", restarts=2)),
        (pod("z", age_s=10), pod("a", age_s=1000)),
        (pod("a", ready_s=100, age_s=100), pod("b", ready_s=101, age_s=101)),
    ],
)
def test_w12_victims_are_those_that_are_missed_least(first, second):
    assert victims([second, first], [], 1, NOW) == [first]
    assert victims([first, second], [], 1, NOW) == [first]


def test_w12_a_pod_goes_first_where_most_of_its_siblings_are():
    pods = [pod("a", node="one"), pod("b", node="two")]
    siblings = [*pods, pod("c", node="two", owner="other"), leaving("d")]
    assert victims(pods, siblings, 1, NOW) == [pods[1]]


def test_w14_the_status_counts_active_pods_and_says_who_is_leaving():
    pods = [pod("a"), pod("b", ready_s=3), pod("c", ready_s=None), leaving("d"), pod("e", "Failed")]
    planned = look(replica_set(min_ready_s=10), pods)
    assert planned.status.manifest["status"] == {
        "replicas": 3,
        "terminatingReplicas": 1,
        "fullyLabeledReplicas": 3,
        "observedGeneration": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
    }
    assert planned.again_after_s == 7
    assert look(replica_set(min_ready_s=10, status=planned.status.manifest["status"]), pods).status is None


def test_w14_a_failure_is_a_condition_until_the_first_success():
    failing = look(replica_set(), [])
    status = failing.failed_status.manifest["status"]
    (condition,) = status["conditions"]
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    again = look(replica_set(status=status), [])
    assert again.failed_status.manifest["status"] == status
    assert "conditions" not in again.status.manifest["status"]
    surplus = look(replica_set(0), [pod("a")])
    assert surplus.failed_status.manifest["status"]["conditions"][0]["reason"] == "FailedDelete"


def test_w15_events_name_the_pod():
    (waves,) = look(replica_set(1), []).actions
    assert waves.lists[0][0].on_success.message == "Created pod: {name}"
    assert waves.lists[0][0].on_failure.message == "Error creating: {error}"
    (group,) = look(replica_set(0), [pod("a")]).actions
    assert group.actions[0].on_success.message == "Deleted pod: a"


def test_w2_an_orphan_is_adopted_after_a_look_at_the_set_and_a_stranger_released():
    pods = [pod("orphan", owner=""), pod("stranger", labels={"app": "else"}), pod("other", owner="other")]
    planned = look(replica_set(1), pods)
    confirm, group = planned.before
    assert isinstance(confirm, Confirm)
    assert [action.name for action in group.actions] == ["orphan", "stranger"]
    assert not created(planned)
    assert not deleted(planned)
    assert not look(replica_set(1, deletionTimestamp=ago(0)), pods).before


def test_w3_a_pod_is_named_by_the_server_and_carries_the_templates_metadata():
    made = build_pod(REPLICATION_CONTROLLERS, replica_set(), replica_set()["spec"]["template"])["metadata"]
    assert (made["generateName"], made["labels"], made["annotations"]) == ("web-", {"app": "web"}, {"a": "b"})
    (owner,) = made["ownerReferences"]
    assert (owner["apiVersion"], owner["kind"], owner["controller"]) == ("v1", "ReplicationController", True)
