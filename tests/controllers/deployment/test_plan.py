"""Steps of a rollout as a table, and from any start to rest within the bounds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.times import format_time
from holdfast.controllers.actions import Create, Delete, Update
from holdfast.controllers.deployment import rollout, scaling, sets
from holdfast.controllers.deployment.plan import Observed, plan
from holdfast.controllers.deployment.views import Deployment, ReplicaSet

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def template(image):
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}], "restartPolicy": "Always"},
    }


def deployment(replicas, image="new", surge="25%", unavailable="25%", **spec):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "web-uid", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": rolling,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            **spec,
        },
        "status": {},
    }


def replica_set(name, replicas, available=None, *, age=0, image=None, revision=None, **annotations):
    """A set of its own template, as large as it should be."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid", "controller": True}
    if revision is not None:
        annotations[sets.REVISION] = str(revision)
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"{name}-uid",
            "labels": {"app": "web"},
            "creationTimestamp": format_time(NOW - timedelta(seconds=age)),
            "ownerReferences": [owner],
            "annotations": annotations,
        },
        "spec": {"replicas": replicas, "template": template(image or name)},
        "status": {"replicas": replicas, "availableReplicas": replicas if available is None else available},
    }


def look(manifest, stored, pods=(), now=NOW):
    by_name = {one["metadata"]["name"]: one for one in stored}
    return plan(Observed(Deployment(manifest), stored, pods, by_name.get, now))


def sizes(planned):
    return {
        action.manifest["metadata"]["name"]: action.manifest["spec"]["replicas"]
        for action in planned.actions
        if isinstance(action, Create | Update)
    }


def conditions(planned):
    return {one["type"]: one for one in planned.status.manifest["status"]["conditions"]}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "bounds"),
    [
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (10, 0, "5%", (0, 1)),
        (3, 2, 0, (2, 0)),
        (2, "100%", 5, (2, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_w20_a_surge_is_rounded_up_and_what_may_be_missing_down_but_not_both_to_nothing(
    replicas, surge, unavailable, bounds
):
    one = Deployment(deployment(replicas, surge=surge, unavailable=unavailable))
    assert (one.max_surge, one.max_unavailable) == bounds


@pytest.mark.parametrize(
    ("new", "old", "step"),
    [
        ((0, 0), (4, 4), (1, 4)),
        ((1, 0), (4, 4), (1, 3)),
        ((1, 1), (3, 3), (2, 3)),
        ((2, 1), (3, 3), (2, 2)),
        ((1, 0), (4, 0), (1, 3)),
        ((4, 3), (1, 1), (4, 0)),
        ((4, 4), (0, 0), (4, 0)),
        ((6, 6), (0, 0), (4, 0)),
    ],
)
def test_w23_a_step_is_up_as_far_as_there_is_room_or_down_as_far_as_pods_can_be_missed(new, old, step):
    one = Deployment(deployment(4))
    first, second = ReplicaSet(replica_set("new", *new)), ReplicaSet(replica_set("old", *old))
    rollout.roll(one, first, [second])
    assert (first.replicas, second.replicas) == step


@pytest.mark.parametrize(
    ("replicas", "before", "after"),
    [
        (20, {"a": 8, "b": 5}, {"a": 15, "b": 10}),
        (4, {"a": 8, "b": 5}, {"a": 3, "b": 2}),
        (0, {"a": 8, "b": 5}, {"a": 0, "b": 0}),
    ],
)
def test_w24_a_new_size_is_shared_out_in_proportion_and_the_largest_takes_the_rest(replicas, before, after):
    one = Deployment(deployment(replicas))
    stored = [
        ReplicaSet(replica_set(name, count, **{sets.DESIRED: "10", sets.MAXIMUM: "13"}))
        for name, count in before.items()
    ]
    scaling.scale(one, stored[0], stored[1:])
    assert {each.name: each.replicas for each in stored} == after
    assert not scaling.is_due(one, stored)


def test_w25_a_new_size_half_way_does_not_keep_recreate_from_going_on():
    one = deployment(5)
    one["spec"]["strategy"] = {"type": "Recreate"}
    noted = {sets.DESIRED: "4", sets.MAXIMUM: "4"}
    stored = [replica_set("new", 2, revision=2, **noted), replica_set("old", 2, revision=1, **noted)]
    scaled = [action.manifest for action in look(one, stored).actions]
    assert [each["spec"]["replicas"] for each in scaled] == [2, 2]
    assert sizes(look(one, scaled)) == {"old": 0}


def test_w21_a_first_set_is_created_with_the_hash_in_name_labels_selector_and_pods():
    planned = look(deployment(3), [])
    (create, emitted) = planned.actions
    manifest = create.manifest
    suffix = manifest["metadata"]["labels"]["pod-template-hash"]
    assert manifest["metadata"]["name"] == f"web-{suffix}"
    assert manifest["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": suffix}
    assert manifest["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": suffix}
    assert emitted.report.message == f"Scaled up replica set web-{suffix} from 0 to 3"
    assert conditions(planned)["Progressing"]["reason"] == "NewReplicaSetCreated"
    assert planned.status.manifest["metadata"]["annotations"] == {sets.REVISION: "1"}


def test_w26_a_set_that_cannot_be_created_is_all_that_the_status_tells_then():
    known = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    counts = {"observedGeneration": 1, "replicas": 3}
    one = {**deployment(3), "status": {**counts, "conditions": [known]}}
    failed = look(one, []).failed_status.manifest["status"]
    told = failed.pop("conditions")
    assert failed == counts
    assert [(each["type"], each["status"], each["reason"]) for each in told] == [
        ("Available", "True", "MinimumReplicasAvailable"),
        ("Progressing", "False", "ReplicaSetCreateError"),
    ]


def test_w21_a_name_that_another_template_has_is_avoided_and_counted():
    (create, _) = look(deployment(1), []).actions
    other = replica_set(create.manifest["metadata"]["name"], 0, image="other")
    planned = look(deployment(1), [other])
    assert planned.actions[0].manifest["metadata"]["name"] != other["metadata"]["name"]
    assert planned.status.manifest["status"]["collisionCount"] == 1


def test_w22_a_set_used_again_gets_the_highest_revision_and_keeps_its_former_one_as_history():
    stored = [replica_set("new", 0, age=9, revision=1), replica_set("old", 1, revision=2)]
    (update,) = [one for one in look(deployment(1), stored).actions if one.manifest["metadata"]["name"] == "new"]
    annotations = update.manifest["metadata"]["annotations"]
    assert (annotations[sets.REVISION], annotations[sets.HISTORY]) == ("3", "1")


def test_w25_the_new_set_waits_for_terminating_old_pods_but_not_for_ended_ones():
    one = deployment(2)
    one["spec"]["strategy"] = {"type": "Recreate"}
    old = replica_set("old", 0, revision=1)
    pod = {"metadata": {"deletionTimestamp": format_time(NOW)}, "status": {"phase": "Running"}}
    assert sizes(look(one, [old], [pod])) == {}
    ended = {"metadata": {}, "status": {"phase": "Failed"}}
    assert list(sizes(look(one, [old], [ended])).values()) == [2]


def test_w28_the_deadline_is_counted_from_the_last_progress_and_looked_at_again_in_time():
    stored = [replica_set("new", 1, 0, revision=1, **{sets.DESIRED: "1", sets.MAXIMUM: "2"})]
    started = look(deployment(1), stored)
    one = {**deployment(1), **{key: started.status.manifest[key] for key in ("metadata", "status")}}
    assert conditions(started)["Progressing"]["message"] == 'ReplicaSet "new" is progressing.'
    waiting = look(one, stored, now=NOW + timedelta(seconds=500))
    assert (waiting.status, waiting.again_after_s) == (None, 101)
    late = look(one, stored, now=NOW + timedelta(seconds=601))
    progress = conditions(late)["Progressing"]
    assert (progress["status"], progress["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert progress["message"] == 'ReplicaSet "new" has timed out progressing.'


def test_w29_of_old_sets_only_those_without_pods_go_and_the_oldest_first():
    stored = [replica_set(f"old{number}", int(number == 1), revision=number) for number in range(1, 5)]
    old = [ReplicaSet(one) for one in stored]
    gone = sets.superfluous(Deployment(deployment(1, revisionHistoryLimit=1)), old)
    assert [one.name for one in gone] == ["old2", "old3"]


def test_a_deployment_that_is_being_deleted_only_reports():
    one = deployment(3)
    one["metadata"]["deletionTimestamp"] = format_time(NOW)
    planned = look(one, [replica_set("old", 2)])
    assert not planned.actions
    assert planned.status.manifest["status"]["replicas"] == 2


COUNTS = st.integers(0, 6)


@settings(max_examples=150, deadline=None)
@given(
    replicas=COUNTS,
    surge=st.sampled_from([0, 1, 2, "25%", "50%", "100%"]),
    unavailable=st.sampled_from([0, 1, 2, "25%", "50%"]),
    old=st.lists(st.tuples(COUNTS, st.booleans()), max_size=3),
    is_paused_first=st.booleans(),
)
def test_w23_any_start_comes_to_rest_and_never_beyond_the_bounds(replicas, surge, unavailable, old, is_paused_first):
    manifest = deployment(replicas, surge=surge, unavailable=unavailable, paused=is_paused_first)
    stored = {
        f"old{number}": replica_set(f"old{number}", count, count if is_up else 0, age=9 - number, revision=number + 1)
        for number, (count, is_up) in enumerate(old)
    }
    bounds = Deployment(manifest)
    size_before = sum(one["spec"]["replicas"] for one in stored.values())
    available_before = sum(one["status"]["availableReplicas"] for one in stored.values())
    most = max(size_before, replicas + bounds.max_surge)
    least = min(available_before, replicas - bounds.max_unavailable)
    for _ in range(60):
        planned = look(manifest, list(stored.values()))
        if planned.status is not None:
            written = planned.status.manifest
            manifest = {**manifest, "metadata": written["metadata"], "status": written["status"]}
        for action in (*planned.actions, *planned.cleanup):
            if isinstance(action, Create | Update):
                one = action.manifest
                name = one["metadata"]["name"]
                one["metadata"].setdefault("uid", f"{name}-uid")
                one["metadata"].setdefault("creationTimestamp", format_time(NOW))
                one["metadata"]["ownerReferences"][0].setdefault("controller", True)
                stored[name] = {**one, "status": stored.get(name, {}).get("status", {})}
            elif isinstance(action, Delete):
                del stored[action.name]
        assert sum(one["spec"]["replicas"] for one in stored.values()) <= most
        up = [min(one["spec"]["replicas"], one["status"].get("availableReplicas", 0)) for one in stored.values()]
        assert sum(up) >= least or manifest["spec"]["paused"]
        if planned.status is None and not planned.actions:
            if not manifest["spec"]["paused"]:
                break
            manifest = {**manifest, "spec": {**manifest["spec"], "paused": False}}
            up_now = sum(up)
            least, most = min(least, up_now), max(most, replicas + bounds.max_surge)
        for name, one in stored.items():  # the pods follow
            count = one["spec"]["replicas"]
            stored[name] = {**one, "status": {"replicas": count, "availableReplicas": count}}
    else:
        raise AssertionError("does not come to rest")
    assert {one["spec"]["replicas"] for one in stored.values() if one["spec"]["replicas"]} <= {replicas}
    assert manifest["status"].get("availableReplicas", 0) == manifest["status"].get("updatedReplicas", 0) == replicas
