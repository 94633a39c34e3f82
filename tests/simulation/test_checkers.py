"""Each checker passes the right history and catches the wrong one."""

from __future__ import annotations

import pytest

from holdfast.simulation.checkers.claims import ClaimsAreKept, ClaimsBelongAsThePolicySays
from holdfast.simulation.checkers.generations import GenerationsCountSpecs
from holdfast.simulation.checkers.ownership import PodsAreAdoptedByTheLiving
from holdfast.simulation.checkers.pods import PodsStartInTurn, PodsStopForAReason
from holdfast.simulation.checkers.revisions import RevisionsAreKept
from holdfast.simulation.checkers.status import StatusIsHonest

from .histories import COLLECTOR, CONTROLLER, History, a_set, claim, owned_by, pod, revision

PARALLEL = {"podManagementPolicy": "Parallel"}
SCALED = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
DELETED = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}


def history(checker, *objects):
    told = History(checker())
    for manifest in objects:
        told.put(manifest)
    return told


def with_strategy(partition=None, kind="RollingUpdate", **more):
    rolling = {} if partition is None else {"rollingUpdate": {"partition": partition}}
    return {"updateStrategy": {"type": kind, **rolling}, **more}


# When pods start


@pytest.mark.parametrize(
    ("objects", "started", "problem"),
    [
        pytest.param([a_set()], pod(0), "", id="the first"),
        pytest.param([a_set(), pod(0)], pod(1), "", id="after its predecessor"),
        pytest.param([a_set(), pod(0, ready=False)], pod(1), "before web-0 was available", id="S42"),
        pytest.param([a_set(), pod(0, going=True)], pod(1), "before web-0 was available", id="S41.4"),
        pytest.param([a_set(minReadySeconds=60), pod(0)], pod(1), "before web-0 was available", id="S90"),
        pytest.param([a_set(**PARALLEL)], pod(2), "", id="S45"),
        pytest.param([a_set(replicas=1)], pod(1), "for no slot", id="beyond the slots"),
        pytest.param([a_set(ordinals={"start": 4})], pod(4), "", id="S21"),
        pytest.param([a_set(ordinals={"start": 4})], pod(0), "for no slot", id="below the start"),
        pytest.param([a_set(going=True)], pod(0), "for a set that is being deleted", id="S7"),
        pytest.param([], pod(0), "for no set", id="without a set"),
    ],
)
def test_pods_start_in_turn(objects, started, problem):
    told = history(PodsStartInTurn, revision(1), *objects)
    found = told.put(started, CONTROLLER)
    assert problem in found
    assert bool(found) == bool(problem)


@pytest.mark.parametrize(
    ("strategy", "status", "ordinal", "right", "wrong"),
    [
        pytest.param(with_strategy(1), {}, 0, 1, 2, id="S93 below the partition"),
        pytest.param(with_strategy(1), {}, 1, 2, 1, id="S93 above the partition"),
        pytest.param(with_strategy(), {"currentReplicas": 2}, 1, 1, 2, id="S94 not its turn yet"),
        pytest.param(with_strategy(), {"currentReplicas": 2}, 2, 2, 1, id="S94 updated"),
        pytest.param(with_strategy(kind="OnDelete"), {}, 0, 2, 1, id="S92"),
    ],
)
def test_a_new_pod_is_of_the_revision_that_the_partition_asks_for(strategy, status, ordinal, right, wrong):
    objects = [revision(1), revision(2), a_set(2, status=status, **PARALLEL, **strategy)]
    assert not history(PodsStartInTurn, *objects).put(pod(ordinal, right), CONTROLLER)
    found = history(PodsStartInTurn, *objects).put(pod(ordinal, wrong), CONTROLLER)
    assert f"of revision web-{wrong}" in found


def test_a_pod_of_a_revision_that_does_not_exist_is_seen():
    """S203."""
    assert "of revision web-7" in history(PodsStartInTurn, revision(1), a_set()).put(pod(0, 7), CONTROLLER)


def test_what_may_not_have_been_seen_yet_is_no_reason_to_object():
    told = history(PodsStartInTurn, revision(1), a_set(), pod(0))
    told.views_stop()
    told.put(pod(0, ready=False))
    told.put(a_set(replicas=1))
    assert not told.put(pod(1), CONTROLLER)


# When pods stop


@pytest.mark.parametrize(
    ("objects", "stopped", "problem"),
    [
        pytest.param([a_set(replicas=1), pod(0), pod(1)], 1, "", id="surplus"),
        pytest.param([a_set(replicas=1), pod(0), pod(1), pod(2)], 1, "before web-2 was gone", id="S43"),
        pytest.param([a_set(replicas=1), pod(0), pod(1), pod(2, going=True)], 1, "before web-2 was gone", id="leaving"),
        pytest.param([a_set(replicas=1), pod(0, ready=False), pod(1)], 1, "web-0 was not available", id="S42"),
        pytest.param(
            [a_set(replicas=1), pod(0), pod(1, ready=False), pod(2, ready=False)], 2, "neither", id="S44 two broken"
        ),
        pytest.param([a_set(replicas=1), pod(0), pod(1), pod(2, ready=False)], 2, "", id="S44 one broken"),
        pytest.param([a_set(replicas=1, **PARALLEL), pod(1), pod(2)], 1, "", id="S45"),
        pytest.param([a_set(), pod(0), pod(1), pod(2)], 2, "without a reason", id="wanted"),
        pytest.param([a_set(), pod(0, phase="Failed")], 0, "", id="S41.1"),
        pytest.param([a_set(going=True, replicas=0), pod(0)], 0, "being deleted", id="S7"),
        pytest.param([a_set(replicas=0), pod(0, owners=owned_by(uid="x"))], 0, "was not the set's", id="S111"),
        pytest.param([a_set(2), pod(0), pod(1), pod(2)], 2, "", id="S96"),
        pytest.param([a_set(2), pod(0), pod(1), pod(2)], 1, "before web-2 was updated", id="S96 highest first"),
        pytest.param([a_set(2), pod(0), pod(1), pod(2, 2)], 1, "", id="the next"),
        pytest.param([a_set(2, **PARALLEL), pod(1), pod(2, 2, ready=False)], 1, "before web-2", id="S91 one at a time"),
        pytest.param([a_set(2), pod(0), pod(1), pod(2, 2, ready=False)], 1, "web-2 was not available", id="S98"),
        pytest.param([a_set(2), pod(0), pod(1), pod(2), pod(3)], 2, "before web-3 was gone", id="S47"),
        pytest.param([a_set(2, **with_strategy(2)), pod(0), pod(1), pod(2, 2)], 1, "below the partition", id="S89"),
        pytest.param(
            [a_set(2, **with_strategy(kind="OnDelete")), pod(0), pod(1), pod(2)], 2, "the user's to make", id="S99"
        ),
    ],
)
def test_pods_stop_for_a_reason(objects, stopped, problem):
    told = history(PodsStopForAReason, revision(1), revision(2), *objects)
    before = told.facts.past.now("Pod", f"default/web-{stopped}")
    found = told.put({**before, "metadata": {**before["metadata"], "deletionTimestamp": "now"}}, CONTROLLER)
    assert problem in found
    assert bool(found) == bool(problem)


def test_a_controller_has_to_know_what_it_deleted_itself():
    """S1: a second deletion on the view that led to the first."""
    told = history(PodsStopForAReason, revision(1), revision(2), a_set(2), pod(0), pod(1), pod(2))
    told.views_stop()
    assert not told.put(pod(2, going=True), CONTROLLER)
    told.put(a_set(2, replicas=2))
    assert "web-1 was deleted" in told.put(pod(1, going=True), CONTROLLER)


def test_what_others_delete_is_not_the_controllers_doing():
    told = history(PodsStopForAReason, revision(1), a_set(), pod(0), pod(1))
    assert not told.put(pod(0, going=True), "user")
    assert not told.remove(pod(1), "taint-eviction-controller")


# Whose pods are whose


def test_a_set_adopts_what_matches_it_and_belongs_to_nobody():
    told = history(PodsAreAdoptedByTheLiving, a_set(), pod(0, owners=[]))
    assert not told.put(pod(0), CONTROLLER)
    told.put(pod(0, labels={}))
    assert not told.put(pod(0, labels={}, owners=[]), CONTROLLER)


@pytest.mark.parametrize("before", [a_set(going=True), a_set(selector={"matchLabels": {"app": "other"}})])
def test_a_set_that_is_deleted_or_does_not_match_adopts_nothing(before):
    """S109, S124."""
    told = history(PodsAreAdoptedByTheLiving, before, pod(0, owners=[]))
    assert "was adopted by a set that must not" in told.put(pod(0), CONTROLLER)


def test_a_pod_that_matches_is_not_released():
    told = history(PodsAreAdoptedByTheLiving, a_set(), pod(0))
    assert "was released by a set that must not" in told.put(pod(0, owners=[]), CONTROLLER)


# Claims


def test_a_claim_goes_with_its_user_or_its_owners():
    told = history(ClaimsAreKept, claim(0), claim(1, owned_by("Pod", "web-1", "pod-1")))
    told.facts.by_user.add("claim-0")
    assert not told.put(claim(0, going=True), "user")
    assert not told.put(claim(1, owned_by("Pod", "web-1", "pod-1"), going=True), COLLECTOR)


def test_a_claim_whose_owner_lives_is_kept():
    """S204: a claim of a pod in a slot."""
    told = history(ClaimsAreKept, pod(1), claim(1, owned_by("Pod", "web-1", "pod-1")))
    found = told.put(claim(1, owned_by("Pod", "web-1", "pod-1"), going=True), COLLECTOR)
    assert found == "claim default/data-web-1 was deleted, and its owner Pod web-1 lives"


@pytest.mark.parametrize("by", ["user", CONTROLLER, COLLECTOR])
def test_a_claim_of_nobody_is_deleted_by_nobody(by):
    assert "by nobody who may" in history(ClaimsAreKept, claim(0)).put(claim(0, going=True), by)


def test_a_claim_keeps_its_volume():
    told = history(ClaimsAreKept, claim(0, volume="a"))
    assert not told.put(claim(0, volume="a"))
    assert "went from a to b" in told.put(claim(0, volume="b"))


@pytest.mark.parametrize(
    ("policy", "replicas", "right"),
    [
        pytest.param({}, 3, [], id="retained"),
        pytest.param(DELETED, 3, owned_by(), id="whenDeleted"),
        pytest.param(SCALED, 3, [], id="whenScaled, in a slot"),
        pytest.param(SCALED, 1, owned_by("Pod", "web-1", "pod-1"), id="whenScaled, condemned"),
    ],
)
def test_claims_belong_as_the_policy_says(policy, replicas, right):
    """S50."""
    for owners in ([], owned_by(), owned_by("Pod", "web-1", "pod-1")):
        before = owned_by("Node", "other", "x") if owners == [] else []
        told = history(ClaimsBelongAsThePolicySays, a_set(replicas=replicas, **policy), pod(1), claim(1, before))
        found = told.put(claim(1, owners), CONTROLLER)
        assert bool(found) == (owners != right), found


# Revisions


def test_a_new_template_has_the_next_number():
    told = history(RevisionsAreKept, a_set(2), revision(1, 4))
    assert "became number 9 after [4]" in told.put(revision(2, 9), CONTROLLER)
    told = history(RevisionsAreKept, a_set(2), revision(1, 4))
    assert not told.put(revision(2, 5), CONTROLLER)


def test_a_template_has_one_revision():
    """S73, S82, S205: scaling makes none."""
    told = history(RevisionsAreKept, a_set(1), revision(1))
    again = revision(1, 2)
    again["metadata"] = {**again["metadata"], "name": "web-again"}
    assert "was made beside web-1, which is the same" in told.put(again, CONTROLLER)


def test_a_return_to_an_old_template_renumbers_it():
    told = history(RevisionsAreKept, a_set(1), revision(1), revision(2))
    assert not told.put(revision(1, 3), CONTROLLER)
    assert "is of no set's template" in told.put(revision(2, 4), CONTROLLER)


def test_data_of_a_revision_never_changes():
    """S80."""
    told = history(RevisionsAreKept, revision(1))
    assert "changed its data" in told.put({**revision(1), "data": revision(2)["data"]})


@pytest.mark.parametrize(
    ("trimmed", "limit", "problem"),
    [
        pytest.param(1, 1, "", id="the oldest"),
        pytest.param(2, 1, "the limit is 1 of 2", id="not the oldest"),
        pytest.param(1, 2, "the limit is 2 of 2", id="within the limit"),
        pytest.param(3, 0, "a pod stands on it", id="of a pod"),
        pytest.param(4, 0, "it was current", id="current"),
        pytest.param(5, 0, "it was the newest", id="newest"),
    ],
)
def test_only_old_revisions_that_nobody_needs_are_trimmed(trimmed, limit, problem):
    """S84, S203."""
    owner = a_set(5, revisionHistoryLimit=limit, status={"currentRevision": "web-4"})
    told = history(RevisionsAreKept, owner, pod(0, 3), *(revision(number) for number in range(1, 6)))
    found = told.remove(revision(trimmed), CONTROLLER)
    assert problem in found
    assert bool(found) == bool(problem)


# Status

ALL = {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 3, "currentReplicas": 3}
HONEST = {**ALL, "observedGeneration": 1, "currentRevision": "web-1", "updateRevision": "web-1"}


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        pytest.param({}, "", id="honest"),
        pytest.param({"replicas": 2}, "replicas 2, there were 3", id="replicas"),
        pytest.param({"readyReplicas": 2}, "readyReplicas 2, there were 3", id="ready"),
        pytest.param({"availableReplicas": 2}, "availableReplicas 2, there were 3", id="available"),
        pytest.param({"updatedReplicas": 1}, "updatedReplicas 1, there were 3", id="updated"),
        pytest.param({"currentReplicas": 1}, "currentReplicas 1, there were 3", id="current"),
        pytest.param({"observedGeneration": 2}, "observed generation 2 of 1", id="generation of the future"),
        pytest.param({"observedGeneration": 0}, "generation 0, it was 1", id="generation of the past"),
        pytest.param({"updateRevision": "web-2"}, "update revision web-2", id="update revision"),
        pytest.param({"currentRevision": "web-2"}, "current revision web-2, it was web-1", id="current revision"),
    ],
)
def test_status_is_honest(lie, problem):
    told = history(StatusIsHonest, revision(1), revision(2), a_set(), pod(0), pod(1), pod(2))
    found = told.put(a_set(status={**HONEST, **lie}), CONTROLLER)
    assert problem in found
    assert bool(found) == bool(problem)


def test_an_update_is_not_complete_before_all_pods_are_updated():
    """S133."""
    told = history(StatusIsHonest, revision(1), revision(2), a_set(2), pod(0, 1), pod(1, 2), pod(2, 2))
    status = {**HONEST, "updateRevision": "web-2", "currentRevision": "web-2", "updatedReplicas": 2}
    found = told.put(a_set(2, status={**status, "currentReplicas": 2}), CONTROLLER)
    assert "current revision web-2, it was web-1" in found
    told.put(pod(0, 2))
    assert not told.put(a_set(2, status={**status, "updatedReplicas": 3}), CONTROLLER)


def test_a_status_of_some_moment_that_could_be_seen_is_honest():
    told = history(StatusIsHonest, revision(1), a_set(), pod(0), pod(1), pod(2))
    told.views_stop()
    told.put(pod(2, ready=False))
    assert not told.put(a_set(status=HONEST), CONTROLLER)


# Generations


def test_generations_count_specs():
    """S179, S205."""
    told = history(GenerationsCountSpecs, a_set())
    assert not told.put(a_set(status={"replicas": 3}))
    assert not told.put(a_set(replicas=2, generation=2))
    assert not told.put(a_set(replicas=2, generation=3, going=True))
    assert "went from generation 3 to 4" in told.put(a_set(replicas=2, generation=4, going=True))
    assert "went from generation 4 to 4" in told.put(a_set(replicas=1, generation=4, going=True))
