"""Conditions and the deadline for progress, which a set may ask for (docs/beyond.md); unasked it is S126 and S139."""

import pytest

from holdfast.api.apps import stateful_set_beyond as beyond

from .builders import Cluster, obey, plan, running, settle, statefulset

ASKED = {beyond.CONDITIONS: "true"}
DEADLINE = {beyond.PROGRESS_DEADLINE: "60"}
FOREIGN = {"type": "Tested", "status": "True", "reason": "E2E", "message": "set by hand"}


def conditions(cluster):
    found = cluster.set["status"].get("conditions", [])
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def condition(cluster, type):
    return next(one for one in cluster.set["status"]["conditions"] if one["type"] == type)


def put(cluster, *found):
    cluster.set = {**cluster.set, "status": {**cluster.set["status"], "conditions": list(found)}}


def annotate(cluster, annotations):
    cluster.set = {**cluster.set, "metadata": {**cluster.set["metadata"], "annotations": annotations}}


def starting(annotations, replicas=2, **options):
    """A new set of which the first pod is on its way."""
    cluster = Cluster(statefulset(replicas, annotations=annotations, **options)).with_revision()
    cluster.add(0, "pending")
    cluster.step()
    return cluster


@pytest.mark.parametrize("annotations", [None, {beyond.CONDITIONS: "false"}, {beyond.CONDITIONS: "perhaps"}])
def test_s126_l18_unasked_there_are_no_conditions(annotations):
    cluster = starting(annotations)
    cluster.advance(100000)
    settle(cluster)
    assert "conditions" not in cluster.set["status"]
    assert plan(cluster.observed()).again_after_s is None


def test_s139_unasked_conditions_of_others_stay_until_there_is_something_to_write():
    cluster = running(2)
    theirs = {"type": "Progressing", "status": "True", "reason": "Mine", "message": ""}
    put(cluster, FOREIGN, theirs)
    assert plan(cluster.observed()).status is None
    cluster.gone(1)
    cluster.step()
    assert "conditions" not in cluster.set["status"]


def test_a_set_that_starts_says_what_it_waits_for():
    cluster = starting(ASKED)
    assert conditions(cluster) == {
        "Available": ("False", "ReplicasUnavailable", "0 of 2 pods are available: waiting for pod 0 to be ready"),
        "Progressing": ("True", "RolloutProgressing", "waiting for pod 0 to be ready"),
    }


def test_a_parallel_set_that_only_waits_says_for_which_pod():
    cluster = running(3, parallel=True, strategy="OnDelete", annotations=ASKED)
    cluster.move(1, "running")
    cluster.step()
    message = "2 of 3 pods are available: waiting for pod 1 to be available"
    assert conditions(cluster)["Available"] == ("False", "ReplicasUnavailable", message)


@pytest.mark.parametrize("options", [{}, {"parallel": True}, {"strategy": "OnDelete"}, {"partition": 1}])
def test_a_set_at_rest_is_complete_and_available_and_writes_nothing(options):
    cluster = starting(DEADLINE, **options)
    settle(cluster)
    assert conditions(cluster) == {
        "Available": ("True", "AllReplicasAvailable", "2 of 2 pods are available"),
        "Progressing": ("True", "RolloutComplete", "every pod is as updated as it shall be"),
    }
    cluster.writes.clear()
    cluster.advance(100000)
    made = plan(cluster.observed())
    assert (made.status, made.again_after_s) == (None, None)


@pytest.mark.parametrize("partition", [0, 1, 9])
def test_an_update_is_complete_once_the_partition_is_reached(partition):
    cluster = running(3, partition=partition, annotations=ASKED)
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    cluster.step()
    assert conditions(cluster)["Progressing"][1] == ("RolloutComplete" if partition == 9 else "RolloutProgressing")
    settle(cluster)
    assert conditions(cluster)["Progressing"][1] == "RolloutComplete"


def test_a_pod_that_stumbles_in_a_complete_set_concerns_availability_alone():
    cluster = running(2, annotations=DEADLINE)
    cluster.move(0, "running")
    cluster.advance(100000)
    cluster.step()
    assert conditions(cluster) == {
        "Available": ("False", "ReplicasUnavailable", "1 of 2 pods are available: waiting for pod 0 to be ready"),
        "Progressing": ("True", "RolloutComplete", "every pod is as updated as it shall be"),
    }
    cluster.move(0, "ready")
    cluster.step()
    assert conditions(cluster)["Available"][0] == "True"


def test_no_progress_within_the_deadline_is_a_failure_until_there_is_some():
    cluster = starting(DEADLINE)
    assert plan(cluster.observed()).again_after_s == 60
    cluster.advance(59)
    assert plan(cluster.observed()).again_after_s == 1
    cluster.step()
    assert conditions(cluster)["Progressing"][0] == "True"
    cluster.advance(1)
    cluster.step()
    message = "no progress within 60 s: waiting for pod 0 to be ready"
    assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded", message)
    made = plan(cluster.observed())
    assert (made.status, made.again_after_s) == (None, None)
    cluster.move(0, "ready")
    cluster.step()
    assert conditions(cluster)["Progressing"] == ("True", "RolloutProgressing", "pod 1 is missing")


def test_without_a_deadline_there_is_no_failure():
    cluster = starting(ASKED)
    cluster.advance(100000)
    assert plan(cluster.observed()).status is None


def test_each_pod_that_becomes_ready_starts_the_clock_again():
    cluster = starting(DEADLINE, replicas=3)
    for ordinal in range(2):
        cluster.advance(50)
        cluster.move(ordinal, "ready")
        cluster.step()
        cluster.step()
    assert conditions(cluster)["Progressing"][:2] == ("True", "RolloutProgressing")
    assert plan(cluster.observed()).again_after_s == 60


def test_pods_that_only_come_and_go_are_no_progress():
    cluster = starting(DEADLINE)
    for _ in range(15):
        cluster.advance(10)
        cluster.move(0, "failed")
        cluster.step()
        cluster.step()
    assert conditions(cluster)["Progressing"][:2] == ("False", "ProgressDeadlineExceeded")


def test_another_template_starts_the_clock_again():
    cluster = starting(DEADLINE)
    cluster.advance(60)
    cluster.step()
    assert conditions(cluster)["Progressing"][1] == "ProgressDeadlineExceeded"
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    cluster.step()
    assert conditions(cluster)["Progressing"][1] == "RolloutProgressing"


def test_surplus_pods_that_leave_are_progress():
    cluster = running(3, annotations=DEADLINE)
    cluster.change(replicas=1)
    cluster.step()
    cluster.advance(59)
    cluster.gone(2)
    cluster.step()
    assert plan(cluster.observed()).again_after_s == 60


def test_a_pause_that_holds_something_back_stops_the_clock():
    cluster = running(2, annotations={**DEADLINE, beyond.PAUSED: "true"})
    assert conditions(cluster)["Progressing"][1] == "RolloutComplete"
    cluster.change_image("app:2")
    cluster.with_revision("app:2", 2)
    settle(cluster)
    assert conditions(cluster)["Progressing"] == ("Unknown", "RolloutPaused", "updates are paused")
    assert plan(cluster.observed()).again_after_s is None
    cluster.advance(100000)
    annotate(cluster, DEADLINE)
    cluster.step()
    assert conditions(cluster)["Progressing"][:2] == ("True", "RolloutProgressing")


def test_conditions_of_others_are_kept():
    cluster = starting(ASKED)
    put(cluster, FOREIGN, *cluster.set["status"]["conditions"])
    settle(cluster)
    assert [one["type"] for one in cluster.set["status"]["conditions"]] == ["Tested", "Available", "Progressing"]
    assert condition(cluster, "Tested") == FOREIGN


def test_once_no_longer_asked_for_they_go_and_those_of_others_stay():
    cluster = starting(ASKED)
    settle(cluster)
    put(cluster, FOREIGN, *cluster.set["status"]["conditions"])
    annotate(cluster, {})
    cluster.step()
    assert cluster.set["status"]["conditions"] == [FOREIGN]
    assert plan(cluster.observed()).status is None


def test_the_time_of_availability_is_when_it_turned():
    cluster = starting(ASKED)
    first = condition(cluster, "Available")["lastTransitionTime"]
    cluster.advance(10)
    cluster.move(0, "ready")
    cluster.step()
    assert condition(cluster, "Available")["lastTransitionTime"] == first
    obey(cluster)
    cluster.step()
    assert condition(cluster, "Available")["status"] == "True"
    assert condition(cluster, "Available")["lastTransitionTime"] > first


def test_a_failure_to_act_is_told_with_its_error():
    made = plan(Cluster(statefulset(1, annotations=ASKED)).with_revision().observed())
    written = {one["type"]: one["message"] for one in made.failed_status.manifest["status"]["conditions"]}
    assert written == {
        "Available": "0 of 1 pods are available: pod 0 is missing",
        "Progressing": "pod 0 is missing: {error}",
    }


def test_unasked_a_failure_to_act_leaves_the_status_to_upstreams_rules():
    assert plan(Cluster(statefulset(1)).with_revision().observed()).failed_status is None


def test_claims_that_grow_one_after_the_other_are_progress():
    asked = {**DEADLINE, beyond.CLAIM_UPDATE_POLICY: "InPlace"}
    cluster = running(2, claims=("data",), annotations=asked)
    for name, one in cluster.claims.items():
        spec = {"resources": {"requests": {"storage": "512Mi"}}}
        cluster.claims[name] = {**one, "spec": spec, "status": {"phase": "Bound", "capacity": {"storage": "512Mi"}}}
    cluster.step()
    cluster.step()
    assert conditions(cluster)["Progressing"][2] == "waiting for claim data-web-1 to grow to 1Gi"
    cluster.advance(59)
    grown = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    cluster.claims["data-web-1"] = {**cluster.claims["data-web-1"], "status": grown}
    cluster.step()
    cluster.step()
    assert conditions(cluster)["Progressing"][2] == "waiting for claim data-web-0 to grow to 1Gi"
    cluster.advance(59)
    assert plan(cluster.observed()).again_after_s == 1
    cluster.advance(1)
    cluster.step()
    message = "no progress within 60 s: waiting for claim data-web-0 to grow to 1Gi"
    assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded", message)
