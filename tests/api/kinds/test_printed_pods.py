"""How a pod is printed in a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)
RUNNING = {"running": {}}
OK = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def container(state: Manifest | None = None, **more: Any) -> Manifest:
    return {"name": "c", "restartCount": 0, "ready": False, "state": state or {}, **more}


def failed(code: int = 1, **more: Any) -> Manifest:
    return {"terminated": {"exitCode": code, **more}}


def waiting(reason: str = "") -> Manifest:
    return {"waiting": {"reason": reason} if reason else {}}


def pod(
    *statuses: Manifest,
    inits: tuple[Manifest, ...] = (),
    sidecars: tuple[str, ...] = (),
    phase: str = "Running",
    going: bool = False,
    true: tuple[str, ...] = (),
    gated: bool = False,
    spec: Manifest | None = None,
    **status: Any,
) -> Manifest:
    """With as many containers as statuses; `inits` are named by their number unless they have a name."""
    named = [{"name": str(number), **each} for number, each in enumerate(inits)]
    named = [each | {"name": str(number)} if each["name"] == "c" else each for number, each in enumerate(named)]
    conditions: list[Manifest] = [{"type": type, "status": "True"} for type in true]
    if gated:
        conditions.append({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"})
    metadata: Manifest = {"name": "web-0", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:59:00Z"
    always = {name: {"restartPolicy": "Always"} for name in sidecars}
    return {
        "metadata": metadata,
        "spec": {
            "containers": [{"name": "c"} for _ in statuses],
            "initContainers": [{"name": each["name"], **always.get(each["name"], {})} for each in named],
            **(spec or {}),
        },
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": list(statuses),
            "initContainerStatuses": named,
            **status,
        },
    }


def shown(manifest: Manifest, column: str) -> Any:
    position = [each.name for each in PODS.columns].index(column)
    return PODS.cells(manifest, NOW)[position]


def test_s194_the_columns_of_pods() -> None:
    assert [(column.name, column.priority) for column in PODS.columns] == [
        *[(name, 0) for name in ("Name", "Ready", "Status", "Restarts", "Age")],
        *[(name, 1) for name in ("IP", "Node", "Nominated Node", "Readiness Gates")],
    ]


READY = container(RUNNING, ready=True)
SIDECAR = container(RUNNING, name="side", ready=True, started=True)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(pod(READY, READY), "2/2", id="ready and running"),
        pytest.param(pod(READY, container(RUNNING)), "1/2", id="running, not ready"),
        pytest.param(pod(container(waiting("X"), ready=True)), "0/1", id="ready, not running"),
        pytest.param(pod(READY, inits=(container(OK),)), "1/1", id="init containers do not count"),
        pytest.param(pod(READY, inits=(SIDECAR,), sidecars=("side",)), "2/2", id="sidecars do"),
        pytest.param(pod(READY, inits=({**SIDECAR, "ready": False},), sidecars=("side",)), "1/2", id="not ready"),
        pytest.param(pod(READY, inits=({**SIDECAR, "started": False},), sidecars=("side",)), "0/2", id="not started"),
    ],
)
def test_s195_ready_containers_of_all(of: Manifest, expected: str) -> None:
    assert shown(of, "Ready") == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(pod(phase="Pending"), "Pending", id="the phase"),
        pytest.param(pod(phase="Failed", reason="Evicted"), "Evicted", id="the reason"),
        pytest.param(pod(phase="Pending", gated=True), "SchedulingGated", id="held back from scheduling"),
        pytest.param(pod(inits=(container(OK), container(RUNNING)), phase="Pending"), "Init:1/2", id="so many done"),
        pytest.param(pod(inits=(container(waiting("PodInitializing")),)), "Init:0/1", id="none done"),
        pytest.param(pod(inits=(container(waiting("ErrImagePull")),)), "Init:ErrImagePull", id="init waits"),
        pytest.param(pod(inits=(container(failed(2, reason="Error")),)), "Init:Error", id="init failed"),
        pytest.param(pod(inits=(container(failed(2)),)), "Init:ExitCode:2", id="init failed without reason"),
        pytest.param(pod(inits=(container(failed(137, signal=9)),)), "Init:Signal:9", id="init was killed"),
        pytest.param(
            pod(READY, inits=(SIDECAR, container(OK)), sidecars=("side",)), "Running", id="a started sidecar is passed"
        ),
        pytest.param(
            pod(inits=({**SIDECAR, "started": False},), sidecars=("side",)), "Init:0/1", id="one that is not is not"
        ),
        pytest.param(
            pod(
                container(waiting("CrashLoopBackOff")),
                inits=(container(failed(1, reason="Error")),),
                true=("Initialized",),
            ),
            "CrashLoopBackOff",
            id="initialized once",
        ),
        pytest.param(pod(container(waiting("ErrImagePull"))), "ErrImagePull", id="waits"),
        pytest.param(pod(container(failed(3, reason="OOMKilled"))), "OOMKilled", id="ended, with a reason"),
        pytest.param(pod(container(failed(143, signal=15))), "Signal:15", id="was killed"),
        pytest.param(pod(container(failed(3))), "ExitCode:3", id="ended, with a code"),
        pytest.param(pod(container(waiting("A")), container(waiting("B"))), "A", id="the first one's trouble"),
        pytest.param(pod(container(OK), READY, true=("Ready",)), "Running", id="one done, the rest ready"),
        pytest.param(pod(container(OK), READY), "NotReady", id="one done, the rest not ready"),
        pytest.param(
            pod(container(OK), container(failed(1, reason="Error")), phase="Failed"), "Error", id="done, but one failed"
        ),
        pytest.param(pod(container(OK), phase="Succeeded"), "Completed", id="all done"),
        pytest.param(pod(READY, going=True), "Terminating", id="leaves"),
        pytest.param(pod(READY, going=True, reason="NodeLost"), "Unknown", id="leaves a node that is lost"),
        pytest.param(pod(container(OK), phase="Succeeded", going=True), "Completed", id="ended and leaves"),
        pytest.param(pod(container(failed(1)), phase="Failed", going=True), "ExitCode:1", id="failed and leaves"),
    ],
)
def test_s196_the_status_in_a_word(of: Manifest, expected: str) -> None:
    assert shown(of, "Status") == expected


def restarted(count: int, ended: str = "", **more: Any) -> Manifest:
    last = {"lastState": {"terminated": {"finishedAt": ended}}} if ended else {}
    return container(RUNNING, restartCount=count, **last, **more)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(pod(restarted(0)), "0", id="none"),
        pytest.param(pod(restarted(3)), "3", id="at a time nobody knows"),
        pytest.param(pod(restarted(3, "2026-01-01T00:55:00Z")), "3 (5m ago)", id="and when"),
        pytest.param(
            pod(restarted(1, "2026-01-01T00:50:00Z"), restarted(2, "2026-01-01T00:58:30Z")),
            "3 (90s ago)",
            id="the latest",
        ),
        pytest.param(
            pod(restarted(5), inits=(container(failed(), restartCount=4),), phase="Pending"),
            "4",
            id="while initializing",
        ),
        pytest.param(pod(restarted(5), inits=(container(OK, restartCount=4),)), "5", id="not afterwards"),
        pytest.param(
            pod(restarted(5), inits=({**SIDECAR, "restartCount": 2},), sidecars=("side",)), "7", id="but of sidecars"
        ),
    ],
)
def test_s197_restarts_and_when_the_last_one_was(of: Manifest, expected: str) -> None:
    assert shown(of, "Restarts") == expected


def test_s198_what_is_empty_is_none() -> None:
    empty = pod(READY)
    wide = ("IP", "Node", "Nominated Node", "Readiness Gates")
    assert [shown(empty, column) for column in wide] == ["<none>"] * 4
    gates = [{"conditionType": "a"}, {"conditionType": "b"}]
    full = pod(
        READY,
        true=("a",),
        spec={"nodeName": "n1", "readinessGates": gates},
        podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        nominatedNodeName="n2",
    )
    assert [shown(full, column) for column in wide] == ["10.0.0.1", "n1", "n2", "1/2"]


@pytest.mark.parametrize(("phase", "ended"), [("Running", False), ("Failed", True), ("Succeeded", True)])
def test_s198_rows_of_pods_that_ended_say_so(phase: str, ended: bool) -> None:
    conditions = PODS.row_conditions(pod(READY, phase=phase))
    assert [(each["type"], each["status"], each["reason"]) for each in conditions] == (
        [("Completed", "True", phase)] if ended else []
    )
