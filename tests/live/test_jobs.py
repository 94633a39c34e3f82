"""Jobs and CronJobs as people use them: kubectl's own commands, with real pods."""

import pytest


@pytest.fixture
def space(cluster, request):
    """kubectl in a namespace of the test's own."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    cluster.kubectl("create", "namespace", name)

    class Space:
        def kubectl(self, *arguments, **options):
            return cluster.kubectl("-n", name, *arguments, **options)

        def get(self, *arguments):
            return cluster.get("-n", name, *arguments)

        until = staticmethod(cluster.until)

    yield Space()
    cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=60s")


def job(name, program, **spec):
    container = {"name": "main", "image": "host", "command": ["/bin/sh", "-c", program]}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}}
    whole = {"template": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": whole}


def conditions(found):
    return [each["type"] for each in found["status"].get("conditions", ()) if each["status"] == "True"]


def reasons(space, name):
    selector = f"involvedObject.name={name}"
    return [event["reason"] for event in space.get("events", "--field-selector", selector)["items"]]


def test_a_job_is_created_waited_for_and_read(space):
    space.kubectl("create", "job", "hello", "--image=host", "--", "echo", "hello from a job")
    space.kubectl("wait", "--for=condition=complete", "job/hello", "--timeout=60s")
    assert space.kubectl("logs", "job/hello") == "hello from a job\n"
    found = space.get("job", "hello")
    assert conditions(found) == ["SuccessCriteriaMet", "Complete"]
    assert found["status"]["succeeded"] == 1
    columns = space.kubectl("get", "job", "hello", "--no-headers").split()
    assert columns[:2] == ["hello", "Complete"] or columns[1] == "1/1"  # an older kubectl's own columns
    space.until("its events", lambda: {"SuccessfulCreate", "Completed"} <= set(reasons(space, "hello")))
    (pod,) = space.get("pods", "-l", "job-name=hello")["items"]
    assert not pod["metadata"].get("finalizers")
    space.kubectl("delete", "job", "hello")
    space.until("its pod is gone", lambda: not space.get("pods")["items"])


def test_a_failing_job_is_tried_again_and_given_up(space):
    space.kubectl("create", "-f", "-", manifest=job("bad", "exit 3", backoffLimit=1))
    space.kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=60s")
    found = space.get("job", "bad")
    assert conditions(found) == ["FailureTarget", "Failed"]
    assert found["status"]["failed"] == 2
    assert found["status"]["conditions"][-1]["reason"] == "BackoffLimitExceeded"
    first, second = sorted(pod["metadata"]["creationTimestamp"] for pod in space.get("pods")["items"])
    assert first < second
    space.until("its event", lambda: "BackoffLimitExceeded" in reasons(space, "bad"))


def test_each_pod_of_an_indexed_job_knows_its_place(space):
    manifest = job("each", "echo $JOB_COMPLETION_INDEX $(hostname)", completions=3, parallelism=3)
    manifest["spec"]["completionMode"] = "Indexed"
    space.kubectl("create", "-f", "-", manifest=manifest)
    space.kubectl("wait", "--for=condition=complete", "job/each", "--timeout=60s")
    assert space.get("job", "each")["status"]["completedIndexes"] == "0-2"
    said = [space.kubectl("logs", pod["metadata"]["name"]) for pod in space.get("pods")["items"]]
    assert sorted(said) == ["0 each-0\n", "1 each-1\n", "2 each-2\n"]


def test_a_job_is_suspended_and_resumed(space):
    space.kubectl("create", "-f", "-", manifest=job("later", "sleep 3600", parallelism=2, completions=2))
    space.until("both run", lambda: space.get("job", "later")["status"].get("ready") == 2)
    space.kubectl("patch", "job", "later", "-p", '{"spec":{"suspend":true}}')
    space.until("its pods are gone", lambda: not space.get("pods")["items"])
    found = space.get("job", "later")
    assert conditions(found) == ["Suspended"]
    assert "startTime" not in found["status"]
    assert "failed" not in found["status"]
    space.kubectl("patch", "job", "later", "-p", '{"spec":{"suspend":false}}')
    space.until("both run again", lambda: space.get("job", "later")["status"].get("ready") == 2)


def test_a_job_that_takes_too_long_is_stopped_and_one_whose_time_is_over_goes(space):
    space.kubectl("create", "-f", "-", manifest=job("slow", "sleep 3600", activeDeadlineSeconds=2))
    space.kubectl("create", "-f", "-", manifest=job("short", "true", ttlSecondsAfterFinished=1))
    space.kubectl("wait", "--for=condition=failed", "job/slow", "--timeout=60s")
    assert space.get("job", "slow")["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"
    space.until("it is gone", lambda: not space.get("jobs,pods", "-l", "job-name=short")["items"])


def test_a_cron_job_runs_by_its_schedule_and_by_hand(space):
    space.kubectl("create", "cronjob", "often", "--image=host", "--schedule=@every 2s", "--", "echo", "again")
    space.until("one has run", lambda: any("Complete" in conditions(each) for each in space.get("jobs")["items"]))
    space.kubectl("patch", "cronjob", "often", "-p", '{"spec":{"suspend":true}}')
    space.until("its success is seen", lambda: "lastSuccessfulTime" in space.get("cronjob", "often")["status"])
    assert "lastScheduleTime" in space.get("cronjob", "often")["status"]
    space.kubectl("create", "job", "by-hand", "--from=cronjob/often")
    space.kubectl("wait", "--for=condition=complete", "job/by-hand", "--timeout=60s")
    assert space.kubectl("logs", "job/by-hand") == "again\n"
    space.until("its events", lambda: {"SuccessfulCreate", "SawCompletedJob"} <= set(reasons(space, "often")))
    space.kubectl("delete", "cronjob", "often")
    space.until("its jobs are gone", lambda: not space.get("jobs,pods")["items"])
