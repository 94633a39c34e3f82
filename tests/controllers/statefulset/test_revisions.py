"""Chapter 6: the history of a set's template."""

import json
from dataclasses import replace

import pytest

from holdfast.controllers import revisions
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.statefulset import revisions as of_sets

from .builders import Cluster, doing, plan, running, settle, statefulset

BARE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "nginx:1.27", "name": "c"}]}}
SERVED = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "image": "nginx:1.27",
                "imagePullPolicy": "IfNotPresent",
                "name": "c",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    },
}


def name_hash(template, collisions=0):
    return hash_of(canonical(revisions.data_of(template)), collisions)


def made_first(cluster):
    return doing(plan(cluster.observed()))[0]


def numbers(cluster):
    return {name: one["revision"] for name, one in cluster.revisions.items()}


def test_s65_the_data_is_the_template_that_replaces():
    assert revisions.data_of(BARE) == {"spec": {"template": {**BARE, "$patch": "replace"}}}
    assert revisions.template_of({"data": revisions.data_of(BARE)}) == BARE
    assert canonical(revisions.data_of(BARE)).startswith(b'{"spec":{"template":{"$patch":"replace","metadata"')


def test_s66_a_revision_carries_the_templates_labels_and_the_sets_annotations():
    cluster = Cluster(statefulset(0, annotations={"kubernetes.io/change-cause": "v1"}))
    cluster.step()
    (revision,) = cluster.revisions.values()
    suffix = revision["metadata"]["name"].removeprefix("web-")
    assert revision["metadata"]["labels"] == {"app": "web", "controller.kubernetes.io/hash": suffix}
    assert revision["metadata"]["annotations"] == {"kubernetes.io/change-cause": "v1"}
    assert revision["metadata"]["ownerReferences"][0]["uid"] == "set-uid"
    assert revision["metadata"]["ownerReferences"][0]["controller"]
    assert (revision["revision"], revision["kind"], revision["apiVersion"]) == (1, "ControllerRevision", "apps/v1")


def test_s66_the_sets_name_is_cut_in_the_name():
    cluster = Cluster(statefulset(0, name="w" * 240))
    cluster.step()
    (name,) = cluster.revisions
    assert name.startswith("w" * 223 + "-")


@pytest.mark.parametrize(
    ("template", "collisions", "suffix"),
    [
        (BARE, 0, "57477469df"),
        (BARE, 1, "57477469dd"),
        (BARE, 2, "57477469f5"),
        (SERVED, 0, "6578754d74"),
        ({**SERVED, "spec": {**SERVED["spec"], "nodeName": "n1"}}, 0, "584dff9b48"),
    ],
)
def test_s67_s68_the_hash_is_upstreams(template, collisions, suffix):
    assert name_hash(template, collisions) == suffix


def test_s68_the_bytes_are_sorted_tight_and_escape_what_html_minds():
    text = {"b": "<a> & \u2028\u2029 é", "a": [1, {"z": None, "y": True}]}
    assert (
        canonical(text)
        == rb'{"a":[1,{"y":true,"z":null}],"b":"\u003ca\u003e \u0026 \u2028\u2029 ' + "é".encode() + b'"}'
    )
    assert json.loads(canonical(text)) == text


def test_s70_revisions_are_in_order_of_number_then_time_then_name():
    def one(name, number, time):
        return {"metadata": {"name": name, "creationTimestamp": time}, "revision": number}

    mixed = [one("c", 2, "1"), one("b", 1, "2"), one("d", 1, "1"), one("a", 1, "2")]
    assert [revisions.name_of(revision) for revision in revisions.in_order(mixed)] == ["d", "a", "b", "c"]


def test_s71_a_revision_of_the_same_data_is_equal_whatever_else_is_different():
    cluster = Cluster(statefulset(0)).with_revision()
    (name,) = cluster.revisions
    one = cluster.revisions.pop(name)
    metadata = {**one["metadata"], "name": "web-other", "labels": {"app": "web", "more": "x"}, "annotations": {}}
    cluster.revisions["web-other"] = {**one, "metadata": metadata, "revision": 7}
    cluster.step()
    assert cluster.writes == ["update statefulset web status"]
    assert cluster.set["status"]["updateRevision"] == "web-other"


def test_s72_s76_the_first_revision_is_number_1_and_comes_before_everything_else():
    cluster = Cluster(statefulset(1))
    made = plan(cluster.observed())
    assert doing(made) == [f"create controllerrevision {cluster.revision()}", "create pod web-0"]
    assert len(made.before) == 1, "if it cannot be written, nothing else is"
    cluster.refuse = lambda text: "no"
    cluster.step()
    assert cluster.set["status"] == {"replicas": 0, "availableReplicas": 0}
    assert not cluster.pods


def test_s73_the_same_template_writes_nothing():
    cluster = running(1)
    cluster.change(replicas=1)
    assert doing(plan(cluster.observed())) == []


def test_s74_s83_going_back_makes_the_old_revision_the_newest():
    cluster = running(0)
    first, second = cluster.revision(), cluster.revision("app:2")
    for image, expected in [
        ("app:2", {first: 1, second: 2}),
        ("app:1", {first: 3, second: 2}),
        ("app:2", {first: 3, second: 4}),
    ]:
        cluster.change_image(image)
        settle(cluster)
        assert numbers(cluster) == expected


def test_s74_of_several_older_ones_the_newest_is_taken():
    cluster = running(0)
    (first,) = cluster.revisions
    twin = cluster.revisions[first]
    cluster.revisions["web-twin"] = {**twin, "metadata": {**twin["metadata"], "name": "web-twin"}, "revision": 2}
    cluster.with_revision("app:2", 3)
    cluster.step()
    assert numbers(cluster) == {first: 1, "web-twin": 4, cluster.revision("app:2"): 3}


def test_s81_only_the_newest_one_may_mean_the_same(monkeypatch):
    def default(manifest):
        manifest["spec"]["template"]["spec"].setdefault("newDefault", "x")

    cluster = running(1)
    cluster.change_image("app:2")
    settle(cluster)
    cluster.change_image("app:1")
    template = cluster.set["spec"]["template"]
    cluster.change(template={**template, "spec": {**template["spec"], "newDefault": "x"}})
    monkeypatch.setattr(of_sets, "STATEFUL_SETS", replace(of_sets.STATEFUL_SETS, default=default))
    assert made_first(cluster).startswith("create controllerrevision")


def test_s75_s81_a_template_that_means_the_same_is_not_rolled_out(monkeypatch):
    def default(manifest):
        manifest["spec"]["template"]["spec"].setdefault("newDefault", "x")

    cluster = running(1)
    template = cluster.set["spec"]["template"]
    cluster.change(template={**template, "spec": {**template["spec"], "newDefault": "x"}})
    assert made_first(cluster).startswith("create controllerrevision"), "without the step it would be"
    monkeypatch.setattr(
        of_sets, "STATEFUL_SETS", type("Resource", (), {"default": staticmethod(default)})(), raising=True
    )
    cluster.step()
    assert cluster.writes == ["update statefulset web status"]
    assert cluster.set["status"]["updateRevision"] == cluster.set["status"]["currentRevision"]


def test_s77_a_name_that_is_taken_raises_the_collision_count():
    cluster = Cluster(statefulset(0))
    taken = cluster.revision()
    cluster.revisions[taken] = {
        "kind": "ControllerRevision",
        "metadata": {"name": taken, "namespace": "default", "uid": "other", "ownerReferences": [{"uid": "x"}]},
        "data": {},
    }
    cluster.step()
    (made,) = [one for name, one in cluster.revisions.items() if name != taken]
    data = canonical(made["data"])
    assert made["metadata"]["name"] == f"web-{hash_of(data, 1)}"
    assert made["metadata"]["labels"]["controller.kubernetes.io/hash"] == hash_of(data, 0)
    assert cluster.set["status"]["collisionCount"] == 1


def test_s77_a_revision_of_the_name_with_the_same_data_is_used_as_it_is():
    cluster = Cluster(statefulset(0)).with_revision()
    name = cluster.revision()
    cluster.revisions[name]["metadata"]["labels"] = {}
    cluster.step()
    assert cluster.writes == ["update statefulset web status"]
    assert cluster.set["status"]["updateRevision"] == name


def test_s77_the_collision_count_takes_part_in_all_later_names():
    cluster = Cluster(statefulset(0, status={"replicas": 0, "availableReplicas": 0, "collisionCount": 2}))
    cluster.step()
    (name,) = cluster.revisions
    assert name == f"web-{hash_of(canonical(cluster.revisions[name]['data']), 2)}"


def test_s78_without_the_revision_that_the_status_names_the_update_revision_is_the_current_one():
    cluster = running(1)
    cluster.set["status"]["currentRevision"] = "web-deleted"
    cluster.step()
    assert cluster.set["status"]["currentRevision"] == cluster.revision()


def test_s82_only_the_template_makes_revisions():
    cluster = running(1)
    cluster.change(replicas=2, minReadySeconds=0, updateStrategy={"type": "OnDelete"})
    cluster.set["metadata"]["annotations"] = {"a": "b"}
    settle(cluster)
    assert len(cluster.revisions) == 1
    template = cluster.set["spec"]["template"]
    cluster.change(template={**template, "metadata": {**template["metadata"], "annotations": {"restarted": "now"}}})
    cluster.step()
    assert len(cluster.revisions) == 2


@pytest.mark.parametrize(("limit", "kept"), [(0, 1), (1, 2), (2, 3), (10, 5), (-1, 5)])
def test_s84_the_oldest_history_beyond_the_limit_goes(limit, kept):
    cluster = running(1, history_limit=-1)
    for number in range(2, 6):
        cluster.change_image(f"app:{number}")
        settle(cluster)
    cluster.change(revisionHistoryLimit=limit)
    settle(cluster)
    assert sorted(numbers(cluster).values()) == list(range(6 - kept, 6))


def test_s84_revisions_that_pods_stand_on_are_live():
    cluster = running(2, history_limit=0, strategy="OnDelete")
    cluster.change_image("app:2")
    settle(cluster)
    assert sorted(numbers(cluster).values()) == [1, 2]
    for ordinal in range(2):
        cluster.gone(ordinal)
    cluster.step()
    cluster.set["status"]["currentRevision"] = cluster.revision("app:2")
    settle(cluster)
    assert sorted(numbers(cluster).values()) == [2]


def test_s85_trimming_happens_although_something_failed():
    cluster = running(1, history_limit=-1)
    for number in (2, 3):
        cluster.change_image(f"app:{number}")
        settle(cluster)
    cluster.change(revisionHistoryLimit=0, replicas=2)
    cluster.refuse = lambda text: "no" if text == "create pod web-1" else ""
    cluster.step()
    assert sorted(numbers(cluster).values()) == [3]


def test_s87_a_pod_without_a_known_revision_is_outdated():
    cluster = running(2)
    cluster.pods["web-1"]["metadata"]["labels"]["controller-revision-hash"] = "web-gone"
    assert doing(plan(cluster.observed())) == ["delete pod web-1"]
    del cluster.pods["web-1"]["metadata"]["labels"]["controller-revision-hash"]
    assert doing(plan(cluster.observed())) == ["delete pod web-1"]
