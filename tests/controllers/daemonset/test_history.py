"""Revisions of a DaemonSet's template (W42)."""

import pytest

from holdfast.controllers.actions import Create, Delete, Patch
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.daemonset import history
from holdfast.controllers.daemonset.views import HASH_LABEL
from holdfast.controllers.revisions import data_of

from .builders import NEW, OLD, created, daemon_set, look, node, pod, revision, template, trimmed


def decide(one, revisions, pods=(), taken=None):
    named = {each["metadata"]["name"]: each for each in revisions}
    return history.decide(one, revisions, pods, taken or named.get)


def test_w42_a_template_without_a_revision_gets_one_before_anything_else():
    planned = look(daemon_set(), [node()], [], [])
    (create,) = planned.before
    made = create.manifest
    assert made["metadata"]["name"] == f"agent-{NEW}"
    assert made["metadata"]["labels"] == {"app": "agent", HASH_LABEL: NEW}
    assert made["metadata"]["annotations"] == daemon_set().manifest["metadata"]["annotations"]
    assert made["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
    assert (made["revision"], made["data"]) == (1, data_of(template("new")))
    assert created(planned)["n1"]["metadata"]["labels"][HASH_LABEL] == NEW


def test_w42_the_hash_is_that_of_the_template_and_of_the_count_of_collisions():
    assert hash_of(canonical(template("new")), 0) == NEW
    decided = decide(daemon_set(status={"collisionCount": 2}), [])
    assert decided.hash == hash_of(canonical(template("new")), 2)


def test_w42_a_new_template_is_numbered_after_all_others():
    decided = decide(daemon_set(), [revision("old", 4), revision("older", 2)])
    (create,) = decided.before
    assert (create.manifest["revision"], [one["revision"] for one in decided.old]) == (5, [2, 4])


def test_w42_a_template_that_comes_back_is_renumbered_in_place():
    decided = decide(daemon_set(), [revision("new", 1), revision("old", 2)])
    (patch,) = decided.before
    assert isinstance(patch, Patch)
    assert (patch.name, patch.patch["revision"], patch.patch["metadata"]["uid"]) == (
        f"agent-{NEW}",
        3,
        f"agent-{NEW}-uid",
    )
    assert decided.hash == NEW


def test_w42_the_present_revision_is_left_alone():
    assert list(decide(daemon_set(), [revision("old", 1), revision("new", 2)]).before) == []


def test_w42_of_several_revisions_of_one_template_the_newest_stays_and_pods_become_its_own():
    doubles = [revision("new", 1, name="first", **{HASH_LABEL: "one"}), revision("new", 3, name="third")]
    doubles[1]["metadata"]["labels"][HASH_LABEL] = "three"
    pods = [pod("n1", hash="one"), pod("n2", hash="three"), pod("n3", hash=OLD)]
    decided = decide(daemon_set(), [*doubles, revision("old", 2)], pods)
    relabel, delete = decided.before
    assert (relabel.name, relabel.patch["metadata"]["labels"]) == ("agent-n1", {HASH_LABEL: "three"})
    assert isinstance(delete, Delete)
    assert (delete.name, decided.hash) == ("first", "three")


def test_a_revision_without_the_label_is_told_by_its_name():
    bare = revision("new", 1, name="agent-by-hand", other="label")
    decided = decide(daemon_set(), [bare])
    (patch,) = decided.before
    assert (patch.name, patch.patch["metadata"]["labels"]) == ("agent-by-hand", {HASH_LABEL: "agent-by-hand"})
    assert decided.hash == "agent-by-hand"


def test_w42_a_name_that_is_taken_is_counted_in_the_status():
    named = {f"agent-{NEW}": revision("other")}
    planned = look(daemon_set(), [], [], [], revision_named=named.get)
    (create,) = planned.before
    second = hash_of(canonical(template("new")), 1)
    assert (create.manifest["metadata"]["name"], create.manifest["metadata"]["labels"][HASH_LABEL]) == (
        f"agent-{second}",
        second,
    )
    assert planned.status.manifest["status"]["collisionCount"] == 1


def test_w42_one_of_the_same_data_that_has_the_name_is_used():
    named = {f"agent-{NEW}": revision("new")}
    decided = decide(daemon_set(), [], taken=named.get)
    assert (list(decided.before), decided.hash, decided.collisions) == ([], NEW, 0)


def test_a_name_that_would_be_too_long_is_cut():
    one = daemon_set()
    one.manifest["metadata"]["name"] = "a" * 253
    (create,) = decide(one, []).before
    assert isinstance(create, Create)
    name = create.manifest["metadata"]["name"]
    assert (len(name), name.endswith(f"a-{NEW}")) == (253, True)


def test_w117_a_newest_revision_that_means_the_same_by_todays_defaults_is_the_present_one(monkeypatch):
    def default(manifest):
        manifest["spec"]["template"]["spec"].setdefault("learned", "since")

    kept = [revision("old", 1), revision("new", 2)]
    known = type("Resource", (), {"default": staticmethod(default)})()
    monkeypatch.setattr(history, "DAEMON_SETS", known)
    one = daemon_set(pods={"learned": "since"})
    decided = decide(one, kept)
    assert (list(decided.before), decided.hash) == ([], NEW)


@pytest.mark.parametrize(
    ("limit", "pods", "gone"),
    [
        (10, [], []),
        (2, [], ["r1"]),
        (0, [], ["r1", "r2", "r3"]),
        (1, [pod("n1", hash="h1")], ["r2", "r3"]),
        (2, [pod("n1", hash="h1")], ["r2"]),
        (0, [pod("n1", hash="h1", leaving=True, phase="Failed")], ["r2", "r3"]),
    ],
)
def test_w42_the_oldest_revisions_beyond_the_limit_go_but_for_those_pods_stand_on(limit, pods, gone):
    kept = [revision(f"image{n}", n, name=f"r{n}", **{HASH_LABEL: f"h{n}"}) for n in (3, 1, 2)]
    planned = look(
        daemon_set(revisionHistoryLimit=limit, updateStrategy={"type": "OnDelete"}),
        [],
        pods,
        [*kept, revision("new", 4)],
    )
    assert trimmed(planned) == gone


def test_w2_a_revision_that_nobody_controls_is_taken_back():
    orphan = revision("new", 1)
    del orphan["metadata"]["ownerReferences"]
    planned = look(daemon_set(), [], [], [orphan])
    _, adopt = planned.before
    (patch,) = adopt.actions
    assert (patch.resource.kind, patch.name) == ("ControllerRevision", f"agent-{NEW}")
