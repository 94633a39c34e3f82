"""What a Job does step by step: one test for each rule."""

import pytest

from holdfast.api.times import format_time
from holdfast.controllers.actions import Confirm, Each
from holdfast.controllers.job import indexes
from holdfast.controllers.job.pods import INDEX, TRACKING

from .builders import START, World, indexed, job

DONE = [("SuccessCriteriaMet", "True", "CompletionsReached"), ("Complete", "True", "CompletionsReached")]


def failed(reason):
    return [("FailureTarget", "True", reason), ("Failed", "True", reason)]


def started(the_job):
    """After the first sync."""
    world = World(the_job)
    world.step()
    return world


# Pods


def test_w50_a_job_starts_its_pods_and_says_so():
    world = started(job(parallelism=2, completions=3))
    assert len(world.active()) == 2
    assert world.status == {
        "active": 2,
        "ready": 0,
        "terminating": 0,
        "startTime": format_time(START),
        "uncountedTerminatedPods": {},
    }
    assert world.events == [f"Normal SuccessfulCreate Created pod: {name}" for name in world.active()]
    assert not world.settle().actions


def test_w52_pods_carry_the_finalizer_and_what_the_template_says():
    world = started(job(template={"annotations": {"a": "b"}, "finalizers": ["example.com/mine"]}))
    (pod,) = world.pods.values()
    assert pod["metadata"]["finalizers"] == ["example.com/mine", TRACKING]
    assert pod["metadata"]["annotations"] == {"a": "b"}
    assert pod["metadata"]["generateName"] == "once-"
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Job", "job-uid", True)
    assert pod["spec"] == world.job["spec"]["template"]["spec"]


def test_w50_never_more_pods_than_are_left_to_succeed():
    world = started(job(parallelism=5, completions=3))
    assert len(world.active()) == 3
    for name in world.active()[:2]:
        world.end(name)
    world.settle()
    assert len(world.active()) == 1


def test_w50_at_most_500_pods_are_made_at_once():
    assert len(started(job(parallelism=700, completions=700)).active()) == 500


def test_w50_parallelism_0_makes_nothing_and_is_not_complete():
    world = started(job(parallelism=0))
    assert not world.pods
    assert not world.conditions()


def test_completions_0_is_complete_at_once():
    world = World(job(completions=0))
    world.settle()
    assert world.conditions() == DONE
    assert not world.pods


def test_w50_without_completions_one_success_is_enough_and_the_others_may_end():
    world = started(job(parallelism=3, completions=None))
    assert len(world.active()) == 3
    one, two, three = world.active()
    world.end(one)
    world.settle()
    assert world.active() == [two, three]
    assert not world.conditions()
    world.end(two, "Failed")
    world.end(three)
    world.settle()
    assert world.conditions() == DONE
    assert (world.status["succeeded"], world.status["failed"]) == (2, 1)


def test_fewer_pods_if_parallelism_is_lowered_the_least_far_first_and_they_are_no_failures():
    world = started(job(parallelism=3, completions=9))
    one, two, three = world.active()
    world.ready(two)
    world.spec(parallelism=1)
    world.step()
    assert world.active() == [two]
    assert world.status["terminating"] == 2
    world.gone(one)
    world.gone(three)
    world.settle()
    assert "failed" not in world.status
    assert world.active() == [two]


def test_w5_nothing_is_made_in_a_namespace_that_goes_or_by_a_job_that_goes():
    world = World(job())
    world.is_namespace_terminating = True
    world.settle()
    assert not world.pods
    leaving = job()
    leaving["metadata"]["deletionTimestamp"] = format_time(START)
    assert not started(leaving).pods


def test_a_job_that_somebody_else_manages_is_left_alone():
    world = World(job(managedBy="example.com/other"))
    assert not world.settle().actions
    assert not world.writes
    assert started(job(managedBy="kubernetes.io/job-controller")).active()


# Counting


def test_w52_a_pod_is_noted_then_released_then_counted():
    world = started(job(completions=2))
    (name,) = world.active()
    uid = world.pods[name]["metadata"]["uid"]
    world.end(name)
    world.step()
    assert world.status["uncountedTerminatedPods"] == {"succeeded": [uid]}
    assert "succeeded" not in world.status
    assert name in world.tracked()
    world.step()
    assert name not in world.tracked()
    world.step()
    assert world.status["uncountedTerminatedPods"] == {}
    assert world.status["succeeded"] == 1


def test_w52_a_pod_that_was_noted_and_is_gone_altogether_is_counted():
    world = World(job(completions=2, status={"uncountedTerminatedPods": {"failed": ["a"], "succeeded": ["b"]}}))
    world.settle()
    assert (world.status["succeeded"], world.status["failed"]) == (1, 1)


def test_w52_a_deleted_pod_counts_as_failed_at_once():
    world = started(job())
    (name,) = world.active()
    world.going(name)
    world.settle()
    assert world.status["failed"] == 1
    assert world.status["terminating"] == 1
    world.gone(name)
    world.settle()
    assert name not in world.pods
    assert world.status["failed"] == 1


def test_w52_no_more_than_500_uids_are_noted_at_once():
    world = World(job(parallelism=600, completions=600))
    for _ in range(600):
        world.add("Succeeded")
    world.step()
    assert len(world.status["uncountedTerminatedPods"]["succeeded"]) == 500
    world.settle()
    assert world.status["succeeded"] == 600
    assert world.conditions() == DONE


def test_w52_a_pod_that_may_have_ended_since_is_not_let_go_of():
    world = World(job(suspend=True))
    name = world.add(resourceVersion="7")
    (waves,) = world.look().actions
    ((release, _),) = waves.lists
    assert release.patch["metadata"]["resourceVersion"] == "7"
    world.end(name)
    world.step()
    (group,) = world.look().cleanup
    assert "resourceVersion" not in group.actions[0].patch["metadata"]


def test_w54_complete_when_all_have_succeeded_and_are_counted():
    world = started(job())
    (name,) = world.active()
    world.end(name)
    world.step()
    assert world.conditions() == DONE[:1]
    world.settle()
    assert world.conditions() == DONE
    assert world.status["completionTime"] == format_time(START)
    assert world.status["succeeded"] == 1
    assert "active" not in world.status
    assert world.events[-1] == "Normal Completed Job completed"
    assert world.status["conditions"][1]["message"] == "Reached expected number of succeeded pods"


def test_more_successes_than_asked_for_are_told_of():
    world = started(job(parallelism=2, completions=2))
    for name in [*world.active(), world.add()]:
        world.end(name)
    world.settle()
    assert world.status["succeeded"] == 3
    assert world.events[-2:] == [
        "Normal Completed Job completed",
        "Warning TooManySucceededPods Too many succeeded pods running after completion count reached",
    ]


def test_what_is_left_of_a_finished_job_is_let_go_and_not_counted():
    world = started(job())
    world.end(*world.active())
    world.settle()
    late, ended = world.add(), world.add("Failed")
    world.settle()
    assert not world.tracked()
    assert late in world.terminating()
    assert ended in world.pods
    assert (world.status["succeeded"], world.status.get("failed")) == (1, None)


def test_a_pod_that_lost_its_finalizer_is_not_trusted_to_do_the_work():
    """It would not be counted: the controller died when it had let go of the pod and not deleted it yet."""
    world = World(job())
    name = world.add(finalizers=[])
    world.settle()
    assert world.terminating() == [name]
    assert len(world.active()) == 1


# Failures


def test_w53_a_failed_pod_is_replaced_after_10_s_doubling_to_10_min():
    world = started(job(backoffLimit=20))
    waits = []
    for _ in range(9):
        (name,) = world.active()
        world.end(name, "Failed")
        planned = world.settle()
        assert not world.active()
        waits.append(planned.again_after_s)
        world.wait(planned.again_after_s)
        world.settle()
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_w53_a_success_ends_the_back_off():
    world = started(job(completions=3))
    world.end(*world.active(), "Failed")
    world.settle()
    world.wait(10)
    world.settle()
    world.end(*world.active())
    world.settle()
    assert len(world.active()) == 1


def test_w53_a_controller_that_starts_anew_waits_by_the_pods_that_are_there():
    world = started(job())
    world.end(*world.active(), "Failed")
    world.settle()
    world.crash()
    assert world.settle().again_after_s == 10


def test_w53_a_failed_pod_that_was_deleted_is_waited_for_as_well():
    world = started(job())
    (name,) = world.active()
    world.going(name)
    world.settle()
    world.gone(name)
    assert name not in world.pods
    assert world.settle().again_after_s == 10


def test_w53_beyond_the_limit_the_job_fails_and_its_other_pods_with_it():
    world = started(job(parallelism=2, completions=2, backoffLimit=0))
    one, two = world.active()
    world.end(one, "Failed")
    world.step()
    assert world.conditions() == failed("BackoffLimitExceeded")[:1]
    assert world.terminating() == [two]
    world.settle()
    assert world.conditions() == failed("BackoffLimitExceeded")[:1], "not over while a pod is on its way out"
    world.gone(two)
    world.settle()
    assert world.conditions() == failed("BackoffLimitExceeded")
    assert world.status["failed"] == 2
    assert "completionTime" not in world.status
    assert world.events[-1] == "Warning BackoffLimitExceeded Job has reached the specified backoff limit"


@pytest.mark.parametrize(("limit", "restarts", "fails"), [(0, 0, False), (0, 1, True), (2, 1, False), (2, 2, True)])
def test_w53_restarts_of_containers_count_with_on_failure(limit, restarts, fails):
    world = started(job(policy="OnFailure", backoffLimit=limit))
    (name,) = world.active()
    containers = [{"name": "main", "restartCount": restarts, "state": {}}]
    world.change(name, status={"phase": "Running", "containerStatuses": containers})
    world.step()
    assert bool(world.conditions()) == fails


def test_w54_a_job_that_is_active_for_too_long_fails():
    world = started(job(activeDeadlineSeconds=30))
    assert world.settle().again_after_s == 30
    world.wait(29)
    assert world.settle().again_after_s == 1
    world.wait(1)
    (name,) = world.active()
    world.step()
    world.gone(name)
    world.settle()
    assert world.conditions() == failed("DeadlineExceeded")
    assert world.events[-1] == "Warning DeadlineExceeded Job was active longer than specified deadline"
    assert world.status["failed"] == 1


def test_a_verdict_stands_whatever_the_spec_says_later():
    world = started(job(parallelism=2, completions=2, backoffLimit=0))
    one, two = world.active()
    world.end(one, "Failed")
    world.step()
    world.spec(backoffLimit=9)
    world.end(two)
    world.settle()
    assert world.conditions() == failed("BackoffLimitExceeded")


# Suspension


def test_w56_a_job_made_suspended_has_no_start_time_and_no_pods():
    world = World(job(suspend=True))
    world.settle()
    assert world.status == {
        "conditions": [
            {
                "type": "Suspended",
                "status": "True",
                "lastProbeTime": format_time(START),
                "lastTransitionTime": format_time(START),
                "reason": "JobSuspended",
                "message": "Job suspended",
            }
        ],
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }
    assert world.events == ["Normal Suspended Job suspended"]


def test_w56_suspended_its_pods_go_uncounted_and_resumed_its_time_begins_anew():
    world = started(job(parallelism=2, completions=2, activeDeadlineSeconds=100))
    one, two = world.active()
    world.wait(60)
    world.spec(suspend=True)
    world.step()
    assert sorted(world.terminating()) == [one, two]
    assert "startTime" not in world.status
    assert "active" not in world.status
    for name in (one, two):
        world.gone(name)
    assert world.settle().again_after_s is None
    world.wait(1000)
    world.spec(suspend=False)
    planned = world.step()
    assert planned.again_after_s == 100
    assert world.status["startTime"] == format_time(world.now)
    assert world.conditions() == [("Suspended", "False", "JobResumed")]
    assert len(world.active()) == 2, "pods that were sent away are no failures: nobody waits"
    assert "failed" not in world.status
    assert world.events[-1] == "Normal Resumed Job resumed"


# Indexed jobs


@pytest.mark.parametrize(
    ("text", "found"),
    [("", []), ("0", [0]), ("0-2,5", [0, 1, 2, 5]), ("1,2", [1, 2]), ("0-9", list(range(8))), ("x,3,-1", [3])],
)
def test_w55_indexes_are_read_up_to_the_number_there_is(text, found):
    assert sorted(indexes.parse(text, 8)) == found


@pytest.mark.parametrize(("found", "text"), [([], ""), ([3], "3"), ([5, 0, 1, 2], "0-2,5"), ([1, 2, 4], "1,2,4")])
def test_w55_indexes_are_written_short(found, text):
    assert indexes.show(found) == text


def test_w55_a_pod_knows_its_index():
    world = started(indexed(2))
    first, second = world.pods.values()
    assert first["metadata"]["generateName"] == "once-0-"
    assert first["metadata"]["annotations"][INDEX] == first["metadata"]["labels"][INDEX] == "0"
    assert second["spec"]["hostname"] == "once-1"
    (variable,) = second["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    path = "metadata.labels['batch.kubernetes.io/job-completion-index']"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == path
    assert "env" not in world.job["spec"]["template"]["spec"]["containers"][0]


def test_w55_a_long_name_leaves_room_for_the_index():
    long = indexed(1)
    long["metadata"]["name"] = "n" * 63
    (pod,) = started(long).pods.values()
    assert pod["metadata"]["generateName"] == "n" * 55 + "-0-"


def test_w55_every_index_succeeds_once():
    world = started(indexed(4, parallelism=2))
    assert world.indexes() == [0, 1]
    world.end(world.active()[1])
    world.settle()
    assert world.status["completedIndexes"] == "1"
    assert world.indexes() == [0, 2]
    while world.active():
        world.end(world.active()[0])
        world.settle()
    assert world.status["completedIndexes"] == "0-3"
    assert world.status["succeeded"] == 4
    assert world.conditions() == DONE


def test_w55_an_index_is_stored_before_its_pod_is_released():
    world = started(indexed(2))
    (name, _) = world.active()
    world.end(name)
    world.step()
    assert world.status["completedIndexes"] == "0"
    assert name in world.tracked()
    world.step()
    assert name not in world.tracked()
    assert world.status["uncountedTerminatedPods"] == {}


def test_w55_of_two_pods_with_one_index_the_better_one_stays_and_the_index_counts_once():
    world = started(indexed(1))
    (first,) = world.active()
    second = world.add("Pending", 0)
    world.ready(first)
    world.step()
    assert world.active() == [first]
    world.gone(second)
    third = world.add("Succeeded", 0)
    world.end(first)
    world.settle()
    assert world.status["succeeded"] == 1
    assert not world.tracked()
    assert third in world.pods


def test_an_indexed_job_grows_and_shrinks():
    world = started(indexed(2))
    world.end(world.active()[1])
    world.settle()
    world.spec(completions=4, parallelism=4)
    world.settle()
    assert world.indexes() == [0, 2, 3]
    world.spec(completions=1, parallelism=1)
    world.settle()
    assert world.indexes() == [0]
    assert "completedIndexes" not in world.status
    for name in world.terminating():
        world.gone(name)
    world.end(*world.active())
    world.settle()
    assert world.status["completedIndexes"] == "0"
    assert world.conditions() == DONE
    assert "failed" not in world.status


def test_an_index_waits_by_its_own_failures_and_its_pods_remember_them():
    world = started(indexed(2, backoffLimitPerIndex=2))
    zero, one = world.active()
    world.end(zero, "Failed")
    assert world.settle().again_after_s == 10
    assert zero in world.tracked(), "it carries the count until another pod does"
    world.wait(10)
    world.settle()
    (again,) = [name for name in world.active() if name != one]
    assert world.pods[again]["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
    assert zero not in world.tracked()
    assert world.status["failed"] == 1
    world.end(again, "Failed")
    assert world.settle().again_after_s == 20


def test_an_index_beyond_its_limit_is_given_up_and_the_job_fails_when_the_others_are_through():
    world = started(indexed(2, backoffLimitPerIndex=0))
    zero, one = world.active()
    assert world.status["failedIndexes"] == ""
    world.end(zero, "Failed")
    world.settle()
    assert world.status["failedIndexes"] == "0"
    assert world.active() == [one]
    assert not world.conditions()
    world.end(one)
    world.settle()
    assert world.conditions() == failed("FailedIndexes")
    assert world.status["completedIndexes"] == "1"
    assert (world.status["succeeded"], world.status["failed"]) == (1, 1)


def test_too_many_failed_indexes_end_the_job():
    world = started(indexed(4, backoffLimitPerIndex=0, maxFailedIndexes=1))
    zero, one, *others = world.active()
    world.end(zero, "Failed")
    world.settle()
    assert not world.conditions()
    world.end(one, "Failed")
    world.step()
    assert world.conditions() == failed("MaxFailedIndexesExceeded")[:1]
    assert world.status["failedIndexes"] == "0,1"
    for name in others:
        world.gone(name)
    world.settle()
    assert world.conditions() == failed("MaxFailedIndexesExceeded")


# Policies


def rule(action, **match):
    return {"action": action, **match}


def codes(*values, operator="In", **more):
    return {"onExitCodes": {"operator": operator, "values": list(values), **more}}


def with_policy(*rules, **spec):
    return {"podFailurePolicy": {"rules": list(rules)}, **spec}


def test_a_rule_ends_the_job_with_the_pod_that_it_names():
    world = started(job(**with_policy(rule("FailJob", **codes(42)))))
    (name,) = world.active()
    world.end(name, "Failed", code=42)
    world.settle()
    assert world.conditions() == failed("PodFailurePolicy")
    message = f"Container main for pod default/{name} failed with exit code 42 matching FailJob rule at index 0"
    assert world.status["conditions"][0]["message"] == message
    assert world.status["failed"] == 1


def test_an_ignored_failure_does_not_count_but_is_waited_after():
    disrupted = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    world = started(job(backoffLimit=0, **with_policy(rule("Ignore", **disrupted))))
    (name,) = world.active()
    world.end(name, "Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    assert world.settle().again_after_s == 10
    assert not world.conditions()
    assert not world.tracked()
    assert "failed" not in world.status
    world.wait(10)
    world.settle()
    world.end(*world.active(), "Failed")
    world.settle()
    assert world.conditions() == failed("BackoffLimitExceeded")


@pytest.mark.parametrize(
    ("match", "code", "ends"),
    [
        (codes(1, 2), 2, True),
        (codes(1, 2), 3, False),
        (codes(1, 2, operator="NotIn"), 3, True),
        (codes(1, 2, operator="NotIn"), 1, False),
        (codes(1, operator="NotIn"), 0, False),
        (codes(1, containerName="main"), 1, True),
        (codes(1, containerName="other"), 1, False),
    ],
)
def test_exit_codes_match_as_the_rule_says(match, code, ends):
    world = started(job(**with_policy(rule("FailJob", **match))))
    world.end(*world.active(), "Failed", code=code)
    world.step()
    assert bool(world.conditions()) == ends


def test_the_first_rule_that_matches_decides():
    world = started(job(**with_policy(rule("Count", **codes(1)), rule("FailJob", **codes(1)))))
    world.end(*world.active(), "Failed")
    world.settle()
    assert not world.conditions()
    assert world.status["failed"] == 1


def test_a_rule_gives_up_one_index():
    world = started(indexed(2, backoffLimitPerIndex=5, **with_policy(rule("FailIndex", **codes(7)))))
    zero, one = world.active()
    world.end(zero, "Failed", code=7)
    world.settle()
    assert world.status["failedIndexes"] == "0"
    assert world.active() == [one]


def test_ignored_failures_of_an_index_are_remembered_apart():
    world = started(indexed(1, backoffLimitPerIndex=0, **with_policy(rule("Ignore", **codes(7)))))
    world.end(*world.active(), "Failed", code=7)
    world.settle()
    world.wait(10)
    world.settle()
    (again,) = world.active()
    annotations = world.pods[again]["metadata"]["annotations"]
    assert annotations["batch.kubernetes.io/job-index-failure-count"] == "0"
    assert annotations["batch.kubernetes.io/job-index-ignored-failure-count"] == "1"
    assert "failed" not in world.status


@pytest.mark.parametrize(
    ("success_rule", "ending"),
    [({"succeededIndexes": "0"}, 1), ({"succeededCount": 2}, 2), ({"succeededIndexes": "0-2", "succeededCount": 2}, 2)],
)
def test_a_success_policy_ends_the_job_early_and_the_others_are_no_failures(success_rule, ending):
    world = started(indexed(4, successPolicy={"rules": [success_rule]}))
    names = world.active()
    for name in names[:ending]:
        assert not world.conditions()
        world.end(name)
        world.step()
    met = [("SuccessCriteriaMet", "True", "SuccessPolicy"), ("Complete", "True", "SuccessPolicy")]
    assert world.conditions() == met[:1]
    assert world.status["conditions"][0]["message"] == "Matched rules at index 0"
    for name in names[ending:]:
        world.gone(name)
    world.settle()
    assert world.conditions() == met
    assert "failed" not in world.status
    assert world.status["succeeded"] == ending


def test_only_ended_pods_are_replaced_if_the_policy_says_so():
    world = started(job(podReplacementPolicy="Failed"))
    (name,) = world.active()
    world.going(name)
    world.settle()
    assert not world.active()
    assert (world.status["terminating"], world.status.get("failed")) == (1, None)
    world.gone(name)
    world.settle()
    assert world.status["failed"] == 1
    world.wait(10)
    world.settle()
    assert len(world.active()) == 1


def test_an_index_that_is_on_its_way_out_is_not_replaced_before_it_has_ended():
    world = started(indexed(2, podReplacementPolicy="Failed"))
    world.going(world.active()[0])
    world.wait(20)
    world.settle()
    assert world.indexes() == [1]


# Whose pods


def test_w2_an_orphan_that_matches_is_adopted_with_the_finalizer_and_counted():
    world = World(job())
    name = world.add("Succeeded", finalizers=[], ownerReferences=[])
    planned = world.step()
    assert isinstance(planned.before[0], Confirm)
    assert world.pods[name]["metadata"]["ownerReferences"][0]["uid"] == "job-uid"
    world.settle()
    assert world.status["succeeded"] == 1
    assert world.conditions() == DONE


def test_w2_a_pod_whose_labels_changed_is_released_without_the_finalizer():
    world = World(job())
    name = world.add(labels={})
    planned = world.step()
    (group,) = planned.before
    assert isinstance(group, Each)
    metadata = world.pods[name]["metadata"]
    assert (metadata["ownerReferences"], metadata["finalizers"]) == ([], [])
    assert len(world.active()) == 2, "one is free, the other is its replacement"


def test_w52_a_job_that_is_deleted_frees_its_pods_and_leaves_them_alone():
    world = started(job(parallelism=2, completions=2))
    one, two = world.active()
    world.end(one)
    world.job["metadata"]["deletionTimestamp"] = format_time(START)
    world.settle()
    assert not world.tracked()
    assert world.active() == [two]
    assert world.status["succeeded"] == 1
