"""Rules that only wrong ones showed to be without a test: see docs/mutations.md."""

import pytest

from holdfast.controllers.statefulset import ownership
from holdfast.controllers.statefulset.views import Pod

from .builders import claim, doing, plan, running, settle


@pytest.mark.parametrize("state", ["running", "terminating"])
def test_s45_a_parallel_set_repairs_a_pod_whether_it_is_well_or_not(state):
    cluster = running(2, parallel=True)
    del cluster.pods["web-1"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    cluster.move(1, state)
    assert doing(plan(cluster.observed())) == ["update pod web-1"]


@pytest.mark.parametrize("state", ["running", "terminating"])
def test_s42_an_ordered_set_waits_for_it_first(state):
    cluster = running(2)
    del cluster.pods["web-1"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    cluster.move(1, state)
    assert doing(plan(cluster.observed())) == []


def test_s118_also_when_only_its_claims_have_the_wrong_owner():
    cluster = running(1, parallel=True, claims=("data",), when_deleted="Delete")
    cluster.claims["data-web-0"] = claim("data-web-0")
    cluster.move(0, "running")
    assert doing(plan(cluster.observed())) == ["update persistentvolumeclaim data-web-0", "update pod web-0"]


def test_s84_a_revision_that_only_a_pod_stands_on_is_kept_at_any_limit():
    cluster = running(2, history_limit=0, strategy="OnDelete")
    for image in ("app:2", "app:3"):
        cluster.change_image(image)
        settle(cluster)
        cluster.gone(1)
        settle(cluster)
    cluster.set["status"]["currentRevision"] = cluster.revision("app:3")
    settle(cluster)
    assert set(cluster.revisions) == {cluster.revision("app:1"), cluster.revision("app:3")}


def not_yet_available():
    """All ready, the last slot's pod not for long enough."""
    cluster = running(2, min_ready_s=30)
    cluster.advance(60)
    settle(cluster)
    cluster.move(1, "ready", since=cluster.now)
    return cluster


def test_s41_s42_ready_is_not_enough_to_scale_down():
    cluster = not_yet_available()
    cluster.add(2)
    assert doing(plan(cluster.observed())) == []
    cluster.advance(30)
    assert doing(plan(cluster.observed())) == ["delete pod web-2"]


def test_s41_s98_nor_to_update():
    cluster = not_yet_available()
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    assert doing(plan(cluster.observed())) == []
    cluster.advance(30)
    assert doing(plan(cluster.observed())) == ["delete pod web-1"]


def test_s74_of_several_equal_revisions_the_newest_is_taken():
    cluster = running(0)
    name = cluster.revision()
    older = cluster.revisions.pop(name)
    for number, of in enumerate(("older", "newer"), 1):
        cluster.revisions[of] = {**older, "revision": number, "metadata": {**older["metadata"], "name": of, "uid": of}}
    cluster.with_revision("app:2", 3)
    assert doing(plan(cluster.observed())) == ["patch controllerrevision newer"]


def test_s124_of_a_set_that_is_being_deleted_nothing_is_taken_or_let_go():
    cluster = running(2)
    cluster.set["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    del cluster.pods["web-0"]["metadata"]["ownerReferences"]
    cluster.pods["web-1"]["metadata"]["labels"] = {}
    pods = [Pod(each) for each in cluster.pods.values()]
    claimed = ownership.claim(cluster.statefulset, pods, [])
    assert (claimed.pods, claimed.before) == ([], ())
