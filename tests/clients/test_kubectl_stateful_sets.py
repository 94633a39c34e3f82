"""What kubectl makes of a StatefulSet by itself: rollouts told in words, history, restarts, scaling, descriptions."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

pytestmark = [pytest.mark.kubectl, pytest.mark.live]

SET = "statefulset.apps/web"


@pytest.fixture
def cluster(simulated):
    return simulated


def a_set(image="host", replicas=2, strategy=None, cause="", min_ready_s=0, **pod):
    """A set named web, whose pods take no time to leave."""
    labels = {"app": "web"}
    containers = [{"name": "c", "image": image}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", **({"annotations": {"kubernetes.io/change-cause": cause}} if cause else {})},
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "selector": {"matchLabels": labels},
            "minReadySeconds": min_ready_s,
            **({"updateStrategy": strategy} if strategy else {}),
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": containers, **pod},
            },
        },
    }


@pytest.fixture
def roll_out(kubectl):
    """Applies a set, and says what `rollout status` prints until it is done."""

    def apply(**options):
        kubectl("apply", "-f", "-", manifest=a_set(**options))
        return kubectl("rollout", "status", SET, "--timeout=120s").splitlines()

    return apply


def watched_from_the_start(kubectl, **options):
    """What `rollout status` prints of a rollout that does not begin before somebody watches it."""
    kubectl("apply", "-f", "-", manifest=a_set(min_ready_s=3600, **options))
    watching = kubectl.watching("rollout", "status", SET)
    try:
        told = [watching.stdout.readline().strip()]
        kubectl("patch", SET, "--type=merge", "-p", '{"spec":{"minReadySeconds":2}}')  # whole seconds count
        return told + watching.communicate(timeout=120)[0].splitlines()
    finally:
        watching.kill()
        watching.communicate()


def test_s189_a_rollout_is_told_by_what_is_updated(kubectl, roll_out):
    assert roll_out()[-1] == "partitioned roll out complete: 2 new pods have been updated..."
    partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    told = roll_out(image="second", strategy=partition)
    assert told[-1] == "partitioned roll out complete: 1 new pods have been updated..."
    assert kubectl("get", "sts", "web", "-o", "jsonpath={.status.updatedReplicas}") == "1"
    half = "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated..."
    told = watched_from_the_start(kubectl, image="third")
    assert half in told
    assert told[-1] == "partitioned roll out complete: 2 new pods have been updated..."


def test_s189_without_parameters_by_its_revision(kubectl, roll_out):
    roll_out(strategy={"type": "RollingUpdate"})
    half = "waiting for statefulset rolling update to complete 1 pods at revision "
    told = watched_from_the_start(kubectl, image="second", strategy={"type": "RollingUpdate"})
    revision = kubectl("get", "sts", "web", "-o", "jsonpath={.status.currentRevision}")
    assert f"{half}{revision}..." in told
    assert told[-1] == f"statefulset rolling update complete 2 pods at revision {revision}..."


def test_s189_pods_that_are_not_ready_are_waited_for(kubectl):
    kubectl("apply", "-f", "-", manifest=a_set(nodeSelector={"no": "where"}))
    done = kubectl("rollout", "status", SET, "--timeout=1s", check=False)
    assert done.returncode != 0
    assert "Waiting for 2 pods to be ready..." in done.stdout


def test_s189_under_on_delete_there_is_no_status(kubectl):
    kubectl("apply", "-f", "-", manifest=a_set(replicas=0, strategy={"type": "OnDelete"}))
    assert kubectl.fails("rollout", "status", SET) == (
        "error: rollout status is only available for RollingUpdate strategy type\n"
    )


def history(kubectl):
    rows = [line.split(maxsplit=1) for line in kubectl("rollout", "history", SET).splitlines() if line]
    return [(row[0], row[1].strip()) for row in rows[2:]]


def test_s190_history_lists_the_sets_revisions_with_their_causes(kubectl, roll_out):
    roll_out(cause="the first")
    roll_out(image="second", cause="the second")
    (ours, _) = json.loads(kubectl("get", "controllerrevisions", "-o", "json"))["items"]
    owner = {**ours["metadata"]["ownerReferences"][0], "uid": "another"}
    metadata = {"name": "stranger", "labels": {"app": "web"}, "ownerReferences": [owner]}
    stranger = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": {}, "revision": 9}
    kubectl("create", "-f", "-", manifest=stranger)
    assert history(kubectl) == [("1", "the first"), ("2", "the second")]


def test_s190_undo_goes_back_to_the_revision_before_or_to_one_that_is_named(kubectl, roll_out):
    for image in ("host", "second", "third"):
        roll_out(image=image)
    image = ("get", SET, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert kubectl("rollout", "undo", SET) == f"{SET} rolled back\n"
    assert kubectl(*image) == "second"
    kubectl("rollout", "status", SET, "--timeout=120s")
    assert [number for number, _ in history(kubectl)] == ["1", "3", "4"]
    assert kubectl("rollout", "undo", SET, "--to-revision=1") == f"{SET} rolled back\n"
    assert kubectl(*image) == "host"
    kubectl("rollout", "status", SET, "--timeout=120s")
    if kubectl.minor >= 34:  # those before compare with a creationTimestamp that no server of today serves
        skipped = f"{SET} skipped rollback (current template already matches revision 5)\n"
        assert kubectl("rollout", "undo", SET, "--to-revision=5") == skipped
    assert "$patch" not in kubectl("get", SET, "-o", "yaml")


def test_s191_a_restart_is_an_annotation_of_the_template(kubectl, roll_out):
    roll_out()
    assert kubectl("rollout", "restart", SET) == f"{SET} restarted\n"
    annotations = json.loads(kubectl("get", SET, "-o", "jsonpath={.spec.template.metadata.annotations}"))
    assert annotations.keys() == {"kubectl.kubernetes.io/restartedAt"}
    assert datetime.fromisoformat(annotations["kubectl.kubernetes.io/restartedAt"])


@pytest.mark.parametrize(("verb", "noun"), [("pause", "pausing"), ("resume", "resuming")])
def test_s191_a_set_is_neither_paused_nor_resumed(kubectl, roll_out, verb, noun):
    roll_out(replicas=0)
    assert f"{noun} is not supported" in kubectl.fails("rollout", verb, SET)


def test_s192_scaling_may_ask_for_what_there_is(kubectl, roll_out):
    roll_out()
    assert "scaled" in kubectl("scale", SET, "--replicas=3")
    assert "scaled" in kubectl("scale", SET, "--current-replicas=3", "--replicas=1")
    refused = kubectl.fails("scale", SET, "--current-replicas=3", "--replicas=5")
    assert refused == "error: Expected replicas to be 3, was 1\n"
    stale = kubectl.fails("scale", SET, "--resource-version=1", "--replicas=5")
    assert "xpected resource version to be 1" in stale
    deadline = time.monotonic() + 60
    while True:  # the status of those that leave is written meanwhile
        version = kubectl("get", SET, "-o", "jsonpath={.metadata.resourceVersion}")
        done = kubectl("scale", SET, f"--resource-version={version}", "--replicas=2", check=False)
        if "scaled" in done.stdout:
            return
        assert f"xpected resource version to be {version}" in done.stderr
        assert time.monotonic() < deadline


def test_s192_a_description_counts_the_pods_that_the_set_controls(kubectl, roll_out):
    roll_out()
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "host"}]},
    }
    kubectl("apply", "-f", "-", manifest=stranger)
    kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=120s")
    (line,) = [line for line in kubectl("describe", SET).splitlines() if line.startswith("Pods Status:")]
    assert " ".join(line.split()) == "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed"
