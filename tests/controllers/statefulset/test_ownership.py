"""Chapter 8: adoption and release."""

import pytest

from holdfast.api.errors import Invalid, NotFound
from holdfast.controllers.actions import Confirm, Each
from holdfast.controllers.statefulset.identity import controller_uid

from .builders import doing, owner, plan, running, settle


def orphan(cluster, name):
    del cluster.pods[name]["metadata"]["ownerReferences"]


def test_s109_an_orphan_that_matches_is_adopted_after_the_set_was_read_live():
    cluster = running(2)
    orphan(cluster, "web-0")
    orphan(cluster, "web-1")
    made = plan(cluster.observed())
    assert [type(action) for action in made.before] == [Confirm, Each]
    assert doing(made) == ["confirm statefulset web", "patch pod web-0", "patch pod web-1"]
    cluster.step()
    assert {controller_uid(pod) for pod in cluster.pods.values()} == {"set-uid"}
    assert cluster.events == []


def test_s109_an_adopted_pod_counts_in_the_same_sync():
    cluster = running(2)
    orphan(cluster, "web-0")
    assert plan(cluster.observed()).status is None


def test_s109_adoption_is_guarded_by_the_pods_uid():
    cluster = running(1)
    orphan(cluster, "web-0")
    patch = plan(cluster.observed()).before[1].actions[0].patch
    assert patch["metadata"]["uid"] == cluster.pods["web-0"]["metadata"]["uid"]


def test_s109_a_terminating_orphan_is_not_adopted():
    cluster = running(1)
    orphan(cluster, "web-0")
    cluster.move(0, "terminating")
    assert "patch pod web-0" not in doing(plan(cluster.observed()))


@pytest.mark.parametrize("change", ["labels", "name"])
def test_s110_a_pod_that_no_longer_matches_is_released(change):
    cluster = running(1)
    pod = cluster.pods.pop("web-0")
    metadata = {**pod["metadata"], **({"labels": {}} if change == "labels" else {"name": "db-0"})}
    cluster.pods[metadata["name"]] = {**pod, "metadata": metadata}
    made = plan(cluster.observed())
    assert doing(made)[:1] == [f"patch pod {metadata['name']}"]
    assert made.before[0].actions[0].patch["metadata"]["ownerReferences"] == [{"$patch": "delete", "uid": "set-uid"}]
    assert made.status is not None
    assert made.status.manifest["status"]["replicas"] == 0


def test_s111_a_pod_of_another_controller_is_ignored():
    cluster = running(1)
    cluster.pods["web-0"]["metadata"]["ownerReferences"] = [owner("Other", "o", "other-uid")]
    assert doing(plan(cluster.observed())) == ["create pod web-0"]


def test_s111_ours_are_claimed_even_when_they_terminate():
    cluster = running(1)
    cluster.move(0, "terminating")
    cluster.step()
    assert cluster.set["status"]["replicas"] == 1


def test_s111_and_when_the_set_is_being_deleted():
    cluster = running(2)
    cluster.set["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    cluster.gone(1)
    cluster.step()
    assert cluster.set["status"]["replicas"] == 1


@pytest.mark.parametrize(
    ("controller", "labels", "name", "expected"),
    [
        pytest.param("set-uid", {"app": "web"}, "web-0", [], id="ours"),
        pytest.param("set-uid", {"app": "db"}, "web-0", ["patch pod web-0"], id="ours by owner only"),
        pytest.param("", {"app": "web"}, "web-0", ["confirm statefulset web", "patch pod web-0"], id="an orphan"),
        pytest.param("", {"app": "db"}, "web-0", [], id="an orphan of other labels"),
        pytest.param("", {"app": "web"}, "webb-0", [], id="an orphan of another name"),
        pytest.param("other", {"app": "web"}, "web-0", [], id="another's"),
    ],
)
def test_s108_candidates_are_those_we_control_or_nobody_and_labels_and_name_decide(controller, labels, name, expected):
    cluster = running(1)
    pod = cluster.pods.pop("web-0")
    owners = [owner("StatefulSet", "web", controller)] if controller else []
    cluster.pods[name] = {**pod, "metadata": {**pod["metadata"], "name": name, "labels": labels}}
    cluster.pods[name]["metadata"]["ownerReferences"] = owners
    written = [text for text in doing(plan(cluster.observed())) if text.startswith(("confirm", "patch"))]
    assert written == expected


def test_s112_what_is_gone_is_ignored_and_to_release_also_what_is_invalid():
    cluster = running(2)
    orphan(cluster, "web-0")
    cluster.pods["web-1"]["metadata"]["labels"] = {}
    adopting, releasing = plan(cluster.observed()).before[1].actions
    assert adopting.ignore == (NotFound,)
    assert releasing.ignore == (NotFound, Invalid)


def test_s112_every_candidate_is_tried_before_an_error_ends_the_sync():
    cluster = running(3)
    for name in cluster.pods:
        orphan(cluster, name)
    cluster.change(replicas=4)
    cluster.refuse = lambda text: "no" if text == "patch pod web-0" else ""
    cluster.step()
    assert cluster.writes == [f"patch pod web-{ordinal}" for ordinal in range(3)]


def test_s113_an_orphaned_revision_is_adopted_the_same_way():
    cluster = running(1)
    (revision,) = cluster.revisions.values()
    del revision["metadata"]["ownerReferences"]
    made = plan(cluster.observed())
    assert doing(made) == ["confirm statefulset web", f"patch controllerrevision {revision['metadata']['name']}"]


def test_s113_revisions_are_never_released():
    cluster = running(1)
    (revision,) = cluster.revisions.values()
    revision["metadata"]["labels"] = {}
    assert not any("patch" in text for text in doing(plan(cluster.observed())))


def test_s86_a_new_set_of_the_same_name_takes_pods_and_revisions_back_as_they_are():
    cluster = running(2)
    for one in (*cluster.pods.values(), *cluster.revisions.values()):
        del one["metadata"]["ownerReferences"]
    cluster.set["metadata"]["uid"] = "new-uid"
    cluster.set["status"] = {"replicas": 0, "availableReplicas": 0}
    settle(cluster)
    assert not [text for text in cluster.writes if text.startswith(("create", "delete"))]
    assert cluster.set["status"]["updatedReplicas"] == 2


def test_s124_a_set_being_deleted_neither_adopts_nor_releases():
    cluster = running(2)
    orphan(cluster, "web-0")
    cluster.pods["web-1"]["metadata"]["labels"] = {}
    cluster.set["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert doing(plan(cluster.observed())) == []


def test_s123_adoption_does_not_look_at_spec_revision_or_node():
    cluster = running(1, partition=1)
    orphan(cluster, "web-0")
    cluster.pods["web-0"]["metadata"]["labels"]["controller-revision-hash"] = "other"
    cluster.pods["web-0"]["spec"] = {"containers": [], "nodeName": "far"}
    cluster.step()
    assert controller_uid(cluster.pods["web-0"]) == "set-uid"


def test_s119_a_repair_that_meets_a_conflict_says_nothing():
    from holdfast.api.errors import Conflict

    cluster = running(1)
    del cluster.pods["web-0"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    (update,) = plan(cluster.observed()).actions
    assert update.quiet == (Conflict,)
    assert update.manifest["metadata"]["resourceVersion"] == cluster.pods["web-0"]["metadata"]["resourceVersion"]
