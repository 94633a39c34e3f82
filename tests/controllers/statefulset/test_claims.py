"""Chapters 3 and 5: claims, their content, and whose they are."""

import pytest

from holdfast.controllers.statefulset import claims
from holdfast.controllers.statefulset.views import StatefulSet

from .builders import Cluster, claim, claim_template, doing, owner, plan, running, settle, statefulset

SET = owner("StatefulSet", "web", "set-uid")
OLD_SET = owner("StatefulSet", "web", "earlier")
POD = owner("Pod", "web-0", "pod-uid")
OLD_POD = owner("Pod", "web-0", "earlier")
FOREIGN = owner("Backup", "b", "backup-uid", controller=False)
FOREIGN_CONTROLLER = owner("Backup", "b", "backup-uid")
POLICIES = [(d, s) for d in ("Retain", "Delete") for s in ("Retain", "Delete")]


def owners(when_deleted="Retain", when_scaled="Retain", *, condemned=False):
    the_set = StatefulSet(statefulset(when_deleted=when_deleted, when_scaled=when_scaled))
    return claims.owners_of(the_set, "web-0", "pod-uid", is_condemned=condemned)


def test_s29_s30_a_claim_is_its_template_with_the_sets_labels():
    the_set = StatefulSet(statefulset(claims=("data",)))
    made = claims.build_claim(the_set.claim_templates[0], the_set, 4)
    assert made["metadata"] == {
        "name": "data-web-4",
        "namespace": "default",
        "labels": {"tier": "disk", "app": "web"},
        "annotations": {"a": "b"},
    }
    assert made["spec"] == claim_template("data")["spec"]
    assert "status" not in made


def test_s30_expressions_of_the_selector_contribute_nothing():
    made = statefulset(claims=("data",))
    expressions = [{"key": "tier", "operator": "In", "values": ["web"]}, {"key": "x", "operator": "Exists"}]
    made["spec"]["selector"] = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    the_set = StatefulSet(made)
    labels = claims.build_claim(the_set.claim_templates[0], the_set, 0)["metadata"]["labels"]
    assert labels == {"tier": "disk", "app": "web"}


def test_s31_a_claim_replaces_the_templates_volume_of_its_name():
    volumes = [{"name": "conf", "emptyDir": {}}, {"name": "data", "emptyDir": {}}]
    cluster = Cluster(statefulset(1, claims=("data",), template_volumes=volumes)).with_revision()
    assert cluster.add(0)["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
        {"name": "conf", "emptyDir": {}},
    ]


def test_s32_claims_come_before_the_pod_and_those_that_exist_are_used():
    cluster = Cluster(statefulset(1, claims=("data", "log"))).with_revision()
    cluster.claims["log-web-0"] = claim("log-web-0")
    assert doing(plan(cluster.observed())) == ["create persistentvolumeclaim data-web-0", "create pod web-0"]


def test_s32_without_its_claims_no_pod_is_made_but_every_claim_is_tried():
    cluster = Cluster(statefulset(1, claims=("data", "log"))).with_revision()
    cluster.refuse = lambda text: "quota" if "claim" in text else ""
    cluster.step()
    assert cluster.writes[:2] == ["create persistentvolumeclaim data-web-0", "create persistentvolumeclaim log-web-0"]
    assert "create pod web-0" not in cluster.writes


def test_s33_a_claim_that_is_being_deleted_fails_the_pod():
    cluster = Cluster(statefulset(1, claims=("data",))).with_revision()
    going = claim("data-web-0")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    cluster.claims["data-web-0"] = going
    assert doing(plan(cluster.observed()))[0] == "fail: pvc data-web-0 is being deleted"
    cluster.step()
    assert cluster.events == [
        "Warning FailedCreate Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted"
    ]
    assert not cluster.pods


def test_s34_a_claim_that_vanishes_under_a_running_pod_is_not_recreated():
    cluster = running(1, claims=("data",))
    cluster.claims.clear()
    assert doing(plan(cluster.observed())) == []


def test_s34_a_pending_pod_gets_its_claim_even_when_terminating():
    cluster = running(1, claims=("data",))
    cluster.claims.clear()
    cluster.move(0, "pending")
    cluster.move(0, "terminating")
    assert doing(plan(cluster.observed())) == ["create persistentvolumeclaim data-web-0"]


def test_s35_further_volumes_do_not_matter():
    cluster = running(1, claims=("data",))
    cluster.pods["web-0"]["spec"]["volumes"].append({"name": "token", "projected": {}})
    assert doing(plan(cluster.observed())) == []


@pytest.mark.parametrize(
    "volumes",
    [
        [],
        [{"name": "data", "emptyDir": {}}],
        [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}}],
    ],
)
def test_s35_s36_s145_wrong_volumes_are_repaired_by_an_update_that_the_server_refuses(volumes):
    cluster = running(1, claims=("data",))
    cluster.pods["web-0"]["spec"]["volumes"] = volumes
    cluster.refuse = lambda text: "may not change fields" if text == "update pod web-0" else ""
    cluster.step()
    assert cluster.events == [
        "Warning FailedUpdate Update Pod web-0 in StatefulSet web failed error: may not change fields"
    ]


def test_s39_s79_a_pod_of_the_old_revision_has_its_template_and_todays_claims_and_service():
    cluster = running(1, partition=1)
    cluster.change_image("app:2")
    cluster.change(volumeClaimTemplates=[claim_template("data")], serviceName="today", replicas=2)
    settle(cluster)
    cluster.gone(0)
    settle(cluster)
    spec = cluster.pods["web-0"]["spec"]
    assert spec["containers"][0]["image"] == "app:1"
    assert (spec["subdomain"], [volume["name"] for volume in spec["volumes"]]) == ("today", ["data"])
    assert set(cluster.claims) == {"data-web-0", "data-web-1"}


@pytest.mark.parametrize(("when_deleted", "when_scaled"), POLICIES)
def test_s49_the_controller_gives_claims_owners_and_deletes_none(when_deleted, when_scaled):
    cluster = running(3, claims=("data",), when_deleted=when_deleted, when_scaled=when_scaled)
    cluster.change(replicas=1)
    settle(cluster)
    assert not [text for text in cluster.writes if text.startswith("delete persistentvolumeclaim")]
    assert len(cluster.claims) == (1 if when_scaled == "Delete" else 3), "the rest is the garbage collector's"


def test_s49_without_a_policy_claims_are_retained():
    cluster = running(2, claims=("data",))
    del cluster.set["spec"]["persistentVolumeClaimRetentionPolicy"]
    cluster.change(replicas=1)
    settle(cluster)
    assert [one["metadata"].get("ownerReferences", []) for one in cluster.claims.values()] == [[], []]


@pytest.mark.parametrize(
    ("when_deleted", "when_scaled", "in_slot", "condemned"),
    [
        ("Retain", "Retain", "", ""),
        ("Delete", "Retain", "StatefulSet", "StatefulSet"),
        ("Retain", "Delete", "", "Pod"),
        ("Delete", "Delete", "StatefulSet", "Pod"),
    ],
)
def test_s50_who_should_own_a_claim(when_deleted, when_scaled, in_slot, condemned):
    assert owners(when_deleted, when_scaled).wanted == in_slot
    assert owners(when_deleted, when_scaled, condemned=True).wanted == condemned


@pytest.mark.parametrize("condemned", [False, True])
@pytest.mark.parametrize(("when_deleted", "when_scaled"), POLICIES)
@pytest.mark.parametrize("before", [[], [SET], [POD], [SET, POD], [FOREIGN], [FOREIGN, SET]])
def test_s50_a_rewritten_claim_is_right_and_has_the_owner_it_should_have(when_deleted, when_scaled, condemned, before):
    wanted = owners(when_deleted, when_scaled, condemned=condemned)
    after = claims.with_owner(claim("data-web-0", *before), wanted)
    assert claims.is_claim_right(after, wanted)
    kinds = [reference["kind"] for reference in after["metadata"]["ownerReferences"]]
    assert kinds == ["Backup"] * (FOREIGN in before) + ([wanted.wanted] if wanted.wanted else [])


@pytest.mark.parametrize("before", [[], [SET], [POD], [SET, POD]])
def test_s50_only_the_wanted_owner_is_right(before):
    for when_deleted, when_scaled in POLICIES:
        for condemned in (False, True):
            wanted = owners(when_deleted, when_scaled, condemned=condemned)
            expected = {"": [], "StatefulSet": [SET], "Pod": [POD]}[wanted.wanted]
            assert claims.is_claim_right(claim("data-web-0", *before), wanted) == (before == expected)


def test_s51_a_reference_added_is_a_controller_reference():
    after = claims.with_owner(claim("data-web-0"), owners("Delete"))
    assert after["metadata"]["ownerReferences"] == [SET]
    after = claims.with_owner(claim("data-web-0"), owners(when_scaled="Delete", condemned=True))
    assert after["metadata"]["ownerReferences"] == [POD]


@pytest.mark.parametrize("stale", [OLD_SET, OLD_POD])
@pytest.mark.parametrize(("when_deleted", "when_scaled"), POLICIES)
def test_s53_a_claim_of_an_earlier_set_or_pod_is_left_alone(stale, when_deleted, when_scaled):
    wanted = owners(when_deleted, when_scaled)
    assert claims.is_claim_right(claim("data-web-0", stale), wanted)
    has_policy = (when_deleted, when_scaled) != ("Retain", "Retain")
    assert claims.has_unexpected_controller(claim("data-web-0", stale), wanted) == has_policy


def test_s54_another_controllers_claim_is_left_alone():
    assert claims.is_claim_right(claim("data-web-0", FOREIGN_CONTROLLER), owners("Delete"))


def test_s54_our_references_beside_another_controllers_are_removed():
    shared = claim("data-web-0", FOREIGN_CONTROLLER, SET)
    assert not claims.is_claim_right(shared, owners("Delete"))
    assert claims.with_owner(shared, owners("Delete"))["metadata"]["ownerReferences"] == [FOREIGN_CONTROLLER]


def test_s54_under_retain_other_controllers_are_no_concern():
    assert not claims.has_unexpected_controller(claim("data-web-0", FOREIGN_CONTROLLER), owners())


@pytest.mark.parametrize("mine", ["StatefulSet", "Pod"])
def test_s55_our_reference_has_to_be_the_controller(mine):
    plain = {"StatefulSet": owner(mine, "web", "set-uid", False), "Pod": owner(mine, "web-0", "pod-uid", False)}[mine]
    wanted = owners("Delete", "Delete", condemned=mine == "Pod")
    assert not claims.is_claim_right(claim("data-web-0", plain), wanted)
    assert claims.with_owner(claim("data-web-0", plain), wanted)["metadata"]["ownerReferences"] == [
        {**plain, "controller": True, "blockOwnerDeletion": True}
    ]


def test_s55_a_foreign_owner_that_is_no_controller_stays_beside_ours():
    after = claims.with_owner(claim("data-web-0", FOREIGN), owners("Delete"))
    assert after["metadata"]["ownerReferences"] == [FOREIGN, SET]


def test_s56_a_new_pods_claims_get_their_owner_right_after_it():
    cluster = Cluster(statefulset(1, claims=("data",), when_deleted="Delete")).with_revision()
    cluster.step()
    assert cluster.writes == [
        "create persistentvolumeclaim data-web-0",
        "create pod web-0",
        "patch persistentvolumeclaim data-web-0",
        "update statefulset web status",
    ]
    assert cluster.claims["data-web-0"]["metadata"]["ownerReferences"] == [SET]


def test_s56_a_claim_that_was_there_gets_its_owner_with_the_new_pod():
    cluster = Cluster(statefulset(1, claims=("data",), when_deleted="Delete")).with_revision()
    cluster.claims["data-web-0"] = claim("data-web-0")
    cluster.step()
    assert cluster.claims["data-web-0"]["metadata"]["ownerReferences"] == [SET]


def test_s56_s61_the_claims_of_all_surplus_pods_change_hands_before_the_first_pod_goes():
    cluster = running(3, claims=("data",), when_scaled="Delete", when_deleted="Delete")
    cluster.change(replicas=1)
    assert doing(plan(cluster.observed())) == [
        "update persistentvolumeclaim data-web-2",
        "update persistentvolumeclaim data-web-1",
        "delete pod web-2",
    ]
    cluster.step()
    assert [one["kind"] for one in cluster.claims["data-web-1"]["metadata"]["ownerReferences"]] == ["Pod"]


def test_s56_s61_a_claim_that_is_gone_does_not_keep_a_surplus_pod_from_going():
    """Found by `simulation mixed --seed 5163`: the patch of a claim that was not there failed, again and again."""
    cluster = running(2, claims=("data", "log"), when_scaled="Delete")
    del cluster.claims["data-web-1"]
    cluster.change(replicas=1)
    assert doing(plan(cluster.observed())) == ["update persistentvolumeclaim log-web-1", "delete pod web-1"]


def test_s56_an_unhealthy_slot_keeps_surplus_claims_as_they_are():
    cluster = running(3, claims=("data",), when_scaled="Delete")
    cluster.change(replicas=2)
    cluster.move(0, "running")
    assert doing(plan(cluster.observed())) == []


def test_s60_claims_without_a_pod_are_never_touched():
    cluster = running(1, claims=("data",))
    cluster.claims["data-web-7"] = claim("data-web-7")
    cluster.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Delete"})
    settle(cluster)
    assert "ownerReferences" not in cluster.claims["data-web-7"]["metadata"]


@pytest.mark.parametrize("parallel", [False, True])
def test_s64_s120_s144_a_changed_policy_reaches_every_claim_with_a_pod_write_that_says_so(parallel):
    cluster = running(2, claims=("data",), parallel=parallel)
    cluster.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"})
    settle(cluster)
    assert [one["metadata"]["ownerReferences"] for one in cluster.claims.values()] == [[SET], [SET]]
    assert cluster.events == [
        f"Normal SuccessfulUpdate Update Pod web-{n} in StatefulSet web successful" for n in range(2)
    ]
    cluster.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    settle(cluster)
    assert [one["metadata"]["ownerReferences"] for one in cluster.claims.values()] == [[], []]


def test_s34_a_pending_pod_of_a_parallel_set_has_its_claims_owned_once():
    cluster = running(1, claims=("data",), parallel=True)
    cluster.move(0, "pending")
    cluster.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"})
    assert doing(plan(cluster.observed())) == ["update persistentvolumeclaim data-web-0"]


def test_s204_no_claim_disappears_under_retain():
    cluster = running(3, claims=("data",))
    cluster.change(replicas=0)
    settle(cluster)
    assert (len(cluster.pods), len(cluster.claims)) == (0, 3)


def test_s53_not_even_our_own_reference_is_touched_beside_an_earlier_one():
    assert claims.is_claim_right(claim("data-web-0", OLD_POD, SET), owners())
    assert claims.is_claim_right(claim("data-web-0", OLD_SET, POD), owners("Delete", "Retain"))


@pytest.mark.parametrize(("uids", "added"), [("ours", [SET]), ("earlier", [])])
def test_s52_references_of_these_names_are_dropped_whatever_their_uid_and_others_kept(uids, added):
    neighbour = owner("Pod", "web-1", "another", controller=False)
    named = [SET, POD] if uids == "ours" else [OLD_SET, OLD_POD]
    after = claims.with_owner(claim("data-web-0", FOREIGN, *named, neighbour), owners("Delete"))
    assert after["metadata"]["ownerReferences"] == [FOREIGN, neighbour, *added]


def test_s53_such_a_claim_is_told_of():
    cluster = Cluster(statefulset(1, claims=("data",), when_deleted="Delete")).with_revision()
    cluster.claims["data-web-0"] = claim("data-web-0", OLD_SET)
    cluster.step()
    assert [text.split()[1] for text in cluster.events] == ["ConflictingController", "SuccessfulCreate"]
    assert cluster.claims["data-web-0"]["metadata"]["ownerReferences"] == [OLD_SET]


def test_s52_a_uid_that_is_there_already_is_not_added_again():
    other_version = {**SET, "apiVersion": "apps/v1beta2"}
    after = claims.with_owner(claim("data-web-0", other_version), owners("Delete"))
    assert after["metadata"]["ownerReferences"] == [other_version]
