"""The columns of `kubectl get pods` (N55 to N59)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.core.pod_table import cells, row_conditions

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T11:58:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
RUNNING = {"running": {"startedAt": "2026-01-01T11:00:00Z"}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


def container(name: str, state: dict[str, Any], ready: bool = False, **members: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": ready, "restartCount": 0, **members}


def pod(
    *apps: dict[str, Any], inits: list[dict[str, Any]] | None = None, phase: str = "Running", **status: Any
) -> dict[str, Any]:
    """Init containers called `proxy...` are sidecars."""
    inits = inits or []
    sidecar = {"restartPolicy": "Always"}
    spec = {
        "containers": [{"name": each["name"]} for each in apps],
        "initContainers": [
            {"name": each["name"], **(sidecar if each["name"].startswith("proxy") else {})} for each in inits
        ],
    }
    status = {"phase": phase, "containerStatuses": list(apps), "initContainerStatuses": inits, **status}
    return {"metadata": {"name": "web-0"}, "spec": spec, "status": status}


def conditions(**given: str) -> list[dict[str, str]]:
    return [{"type": type, "status": status} for type, status in given.items()]


def deleted(one: dict[str, Any]) -> dict[str, Any]:
    one["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:30Z"
    return one


@pytest.mark.parametrize(
    ("one", "status"),
    [
        pytest.param(pod(phase="Pending"), "Pending", id="the phase"),
        pytest.param(pod(phase="Failed", reason="Evicted"), "Evicted", id="the pod's reason"),
        pytest.param(
            pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
            "SchedulingGated",
            id="a gate",
        ),
        pytest.param(pod(container("a", waiting("ContainerCreating"))), "ContainerCreating", id="waiting"),
        pytest.param(pod(container("a", waiting("CrashLoopBackOff"))), "CrashLoopBackOff", id="back-off"),
        pytest.param(
            pod(container("a", waiting("ImagePullBackOff")), container("b", waiting("CrashLoopBackOff"))),
            "ImagePullBackOff",
            id="the first container wins",
        ),
        pytest.param(pod(container("a", CRASHED)), "Error", id="terminated with a reason"),
        pytest.param(pod(container("a", {"terminated": {"exitCode": 3}})), "ExitCode:3", id="without"),
        pytest.param(pod(container("a", {"terminated": {"exitCode": 1, "signal": 9}})), "Signal:9", id="by a signal"),
        pytest.param(
            pod(container("a", DONE), container("b", RUNNING, True), conditions=conditions(Ready="True")),
            "Running",
            id="one done, one running, ready",
        ),
        pytest.param(
            pod(container("a", DONE), container("b", RUNNING, True), conditions=conditions(Ready="False")),
            "NotReady",
            id="one done, one running, not ready",
        ),
        pytest.param(
            pod(container("a", RUNNING), inits=[container("i", waiting("PodInitializing"))], phase="Pending"),
            "Init:0/1",
            id="initializing",
        ),
        pytest.param(
            pod(container("a", RUNNING), inits=[container("i", DONE), container("j", RUNNING)], phase="Pending"),
            "Init:1/2",
            id="the second",
        ),
        pytest.param(pod(container("a", RUNNING), inits=[container("i", CRASHED)]), "Init:Error", id="init failed"),
        pytest.param(
            pod(container("a", RUNNING), inits=[container("i", {"terminated": {"exitCode": 3}})]),
            "Init:ExitCode:3",
            id="init failed without a reason",
        ),
        pytest.param(
            pod(container("a", RUNNING), inits=[container("i", {"terminated": {"exitCode": 1, "signal": 15}})]),
            "Init:Signal:15",
            id="init failed by a signal",
        ),
        pytest.param(
            pod(container("a", RUNNING), inits=[container("i", waiting("CrashLoopBackOff"))]),
            "Init:CrashLoopBackOff",
            id="init backs off",
        ),
        pytest.param(
            pod(container("a", RUNNING, True), inits=[container("proxy", RUNNING, True, started=True)]),
            "Running",
            id="a started sidecar is passed over",
        ),
        pytest.param(deleted(pod(container("a", RUNNING, True))), "Terminating", id="being deleted"),
        pytest.param(deleted(pod(phase="Running", reason="NodeLost")), "Unknown", id="on a lost node"),
    ],
)
def test_n55_status(one, status):
    assert cells(one, NOW)[2] == status


@pytest.mark.parametrize(
    ("one", "ready"),
    [
        (pod(container("a", RUNNING, True), container("b", RUNNING)), "1/2"),
        (pod(container("a", RUNNING, True), inits=[container("i", DONE)]), "1/1"),
        (pod(container("a", RUNNING, True), inits=[container("proxy", RUNNING, True, started=True)]), "2/2"),
        (pod(container("a", RUNNING, True), inits=[container("proxy", RUNNING, False, started=True)]), "1/2"),
    ],
)
def test_n56_ready_counts_sidecars_and_no_other_init_containers(one, ready):
    assert cells(one, NOW)[1] == ready


def test_n57_restarts_are_those_of_containers_that_go_on_with_the_age_of_the_last():
    once = container("a", RUNNING, True, restartCount=2, lastState=CRASHED)
    assert cells(pod(once), NOW)[3] == "2 (2m ago)"
    assert cells(pod(container("a", RUNNING, True)), NOW)[3] == "0"
    init = container("i", DONE, restartCount=5)
    assert cells(pod(once, inits=[init]), NOW)[3] == "2 (2m ago)"
    assert cells(pod(container("a", waiting("PodInitializing")), inits=[{**init, "state": RUNNING}]), NOW)[3] == "5"
    sidecar = container("proxy", RUNNING, True, restartCount=3, started=True)
    assert cells(pod(once, inits=[sidecar]), NOW)[3] == "5 (2m ago)"


def test_n58_wide_columns_say_none_where_there_is_nothing():
    assert cells(pod(phase="Pending"), NOW)[5:] == ["<none>", "<none>", "<none>", "<none>"]
    one = pod(podIPs=[{"ip": "10.0.0.5"}], conditions=conditions(db="True", web="False"))
    one["spec"] |= {"nodeName": "n1", "readinessGates": [{"conditionType": "db"}, {"conditionType": "web"}]}
    assert cells(one, NOW)[5:] == ["10.0.0.5", "n1", "<none>", "1/2"]


def test_n59_a_deleted_pod_shows_how_it_ended_before_it_goes():
    assert cells(deleted(pod(container("a", DONE), phase="Succeeded")), NOW)[2] == "Completed"
    failed = deleted(pod(container("a", CRASHED), phase="Failed"))
    assert cells(failed, NOW)[2] == "Error"
    assert row_conditions(failed)[0]["reason"] == "Failed"
