"""From what was seen to the status: phases, conditions, container statuses (N10-N52)."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.observed import Seen, Verdict, Waiting
from holdfast.node.runtime import RunsAs
from holdfast.node.status import pod_status

sys.path.insert(0, str(Path(__file__).parent))

from pods import at, ended, observed, pod, run, running

SIDECAR = {"name": "proxy", "restartPolicy": "Always"}
BACKING_OFF = Waiting("CrashLoopBackOff", "back-off 10s")


def status(one: Any, seen: dict[str, Seen] | None = None, old: dict[str, Any] | None = None, **members: Any) -> Any:
    return pod_status(one, observed(seen=seen or {}, **members), "crun", old)


def condition(result: dict[str, Any], type: str) -> dict[str, Any]:
    return next(c for c in result["conditions"] if c["type"] == type)


@pytest.mark.parametrize(
    ("one", "seen", "phase"),
    [
        pytest.param(pod(), {}, "Pending", id="nothing has started"),
        pytest.param(pod(), {"app": running()}, "Running", id="all run"),
        pytest.param(pod("a", "b"), {"a": running("a")}, "Pending", id="one has yet to start"),
        pytest.param(pod(), {"app": ended(3, waiting=BACKING_OFF)}, "Running", id="N13 crash loop is Running"),
        pytest.param(pod(), {"app": ended(0)}, "Running", id="Always restarts after success"),
        pytest.param(pod(restartPolicy="Never"), {"app": ended(0)}, "Succeeded", id="Never and 0"),
        pytest.param(pod(restartPolicy="Never"), {"app": ended(1)}, "Failed", id="Never and 1"),
        pytest.param(pod(restartPolicy="OnFailure"), {"app": ended(1)}, "Running", id="OnFailure restarts after 1"),
        pytest.param(pod(restartPolicy="OnFailure"), {"app": ended(0)}, "Succeeded", id="OnFailure and 0"),
        pytest.param(
            pod("a", "b", restartPolicy="Never"),
            {"a": ended(1, "a"), "b": running("b")},
            "Running",
            id="one still runs",
        ),
        pytest.param(pod(init=[{"name": "init"}]), {"init": running("init")}, "Pending", id="init at work"),
        pytest.param(pod(init=[{"name": "init"}]), {"init": ended(1, "init")}, "Pending", id="init retries"),
        pytest.param(
            pod(init=[{"name": "init"}], restartPolicy="Never"), {"init": ended(1, "init")}, "Failed", id="init failed"
        ),
        pytest.param(
            pod(init=[{"name": "init"}]), {"init": ended(0, "init"), "app": running()}, "Running", id="init done"
        ),
        pytest.param(
            pod(init=[SIDECAR]), {"proxy": running("proxy", is_started=False)}, "Pending", id="sidecar not started"
        ),
        pytest.param(
            pod(init=[SIDECAR]), {"proxy": running("proxy"), "app": running()}, "Running", id="sidecar beside the app"
        ),
    ],
)
def test_n10_n11_n13_phase(one, seen, phase):
    assert status(one, seen)["phase"] == phase


def test_n12_n234_a_terminal_phase_is_final():
    done = pod(restartPolicy="Never", status={"phase": "Failed"})
    assert status(done, {"app": running()})["phase"] == "Failed"


def test_n15_no_terminal_phase_while_a_sidecar_runs():
    one = pod(init=[SIDECAR], restartPolicy="Never", status={"phase": "Running"})
    seen = {"proxy": running("proxy"), "app": ended(0)}
    assert status(one, seen)["phase"] == "Running"
    seen["proxy"] = ended(137, "proxy")
    assert status(one, seen)["phase"] == "Succeeded"  # N98: the sidecar's code does not count


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (143, "Failed")])
def test_n14_n16_a_deleted_pod_ends_terminal_even_if_it_would_restart(code, phase):
    one = pod(status={"phase": "Running"})
    result = status(one, {"app": ended(code)}, sandbox=None, is_ending=True, has_ended=True)
    assert result["phase"] == phase
    assert condition(result, "Ready")["reason"] == f"Pod{'Completed' if code == 0 else 'Failed'}"
    assert condition(result, "PodReadyToStartContainers")["status"] == "False"


def test_n14_a_deleted_pod_that_never_ran_has_failed():
    """A Job that replaces ended pods only would wait for it for ever."""
    assert status(pod(), {}, sandbox=None, is_ending=True, has_ended=True)["phase"] == "Failed"


def test_n17_n19_a_verdict_fails_the_pod_with_its_reason():
    verdict = Verdict("DeadlineExceeded", "too long")
    result = status(pod(), {"app": ended(137)}, is_ending=True, has_ended=True, verdict=verdict)
    assert (result["phase"], result["reason"], result["message"]) == ("Failed", "DeadlineExceeded", "too long")
    again = status(pod(), {"app": ended(137)}, old=result, is_ending=True, has_ended=True)
    assert again["reason"] == "DeadlineExceeded"  # N17


def test_n18_the_start_time_never_changes():
    first = status(pod())
    assert first["startTime"] == "2026-01-01T12:01:00Z"
    assert status(pod(), {"app": running()}, old=first, now_s=600)["startTime"] == first["startTime"]


def test_n25_n26_transition_times_change_only_with_the_status():
    first = status(pod(), {}, sandbox=None)
    second = status(pod(), {"app": running()}, old=first, now_s=90)
    third = status(pod(), {"app": running()}, old=second, now_s=120)
    types = [c["type"] for c in third["conditions"]]
    assert types == ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    assert condition(third, "Ready")["lastTransitionTime"] == "2026-01-01T12:01:30Z"
    assert condition(third, "Initialized")["lastTransitionTime"] == "2026-01-01T12:01:00Z"
    assert third == second


def test_n28_init_containers_that_are_not_through_are_named():
    one = pod(init=[{"name": "init-a"}, {"name": "init-b"}])
    result = status(one, {"init-a": ended(0, "init-a"), "init-b": running("init-b")})
    initialized = condition(result, "Initialized")
    assert (initialized["status"], initialized["reason"]) == ("False", "ContainersNotInitialized")
    assert initialized["message"] == "containers with incomplete status: [init-b]"


def test_n29_unready_containers_are_named():
    result = status(pod("a", "b"), {"a": running("a", is_ready=False), "b": running("b")})
    ready = condition(result, "ContainersReady")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [a]"
    assert condition(result, "Ready")["reason"] == "ContainersNotReady"


def test_n30_readiness_gates_hold_ready_back():
    gates = [{"conditionType": "example.com/open"}]
    result = status(pod(readinessGates=gates), {"app": running()})
    ready = condition(result, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    assert '"example.com/open" does not exist' in ready["message"]
    opened = {"conditions": [{"type": "example.com/open", "status": "True"}]}
    result = status(pod(readinessGates=gates, status=opened), {"app": running()})
    assert condition(result, "Ready")["status"] == "True"
    assert condition(result, "example.com/open") == opened["conditions"][0]


def test_n40_entries_exist_from_the_first_and_app_statuses_are_sorted():
    one = pod("b", "a", init=[{"name": "init-z"}, {"name": "init-a"}])
    result = status(one)
    assert [e["name"] for e in result["containerStatuses"]] == ["a", "b"]
    assert [e["name"] for e in result["initContainerStatuses"]] == ["init-z", "init-a"]


@pytest.mark.parametrize(("init", "reason"), [(None, "ContainerCreating"), ([{"name": "init"}], "PodInitializing")])
def test_n43_n236_the_default_waiting_reason(init, reason):
    [entry] = status(pod(init=init))["containerStatuses"]
    assert entry["state"] == {"waiting": {"reason": reason}}


def test_n46_n47_a_run_that_ended_is_neither_ready_nor_started():
    [entry] = status(pod(), {"app": ended(143)})["containerStatuses"]
    assert (entry["ready"], entry["started"]) == (False, False)
    end = entry["state"]["terminated"]
    assert (end["exitCode"], end["reason"], end["finishedAt"]) == (143, "Error", "2026-01-01T12:00:10Z")
    assert "signal" not in end


def test_n47_started_waits_for_the_startup_probe_and_ready_for_started():
    [entry] = status(pod(), {"app": running(is_started=False)})["containerStatuses"]
    assert (entry["started"], entry["ready"]) == (False, False)


def test_n49_in_back_off_the_finished_run_is_the_last_state():
    seen = ended(3, attempt=2, waiting=BACKING_OFF)
    [entry] = status(pod(), {"app": seen})["containerStatuses"]
    assert entry["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert entry["lastState"]["terminated"]["exitCode"] == 3
    assert entry["restartCount"] == 2


def test_n49_n235_when_it_runs_again_the_last_state_is_the_latest_termination():
    seen = Seen(current=run(attempt=3), previous=run(state="exited", code=9, attempt=2))
    [entry] = status(pod(), {"app": seen})["containerStatuses"]
    assert "running" in entry["state"]
    assert entry["lastState"]["terminated"]["exitCode"] == 9
    assert entry["restartCount"] == 3


def test_n50_a_run_that_vanished_counts_as_lost():
    old = status(pod(), {"app": running()})
    [entry] = status(pod(), {}, old=old)["containerStatuses"]
    assert entry["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert entry["lastState"]["terminated"]["exitCode"] == 137
    assert entry["restartCount"] == 1
    again = status(pod(), {}, old=status(pod(), {}, old=old))
    assert again["containerStatuses"][0]["restartCount"] == 1


def test_n51_what_has_not_ended_when_the_pod_has_is_stamped():
    old = status(pod("a", "b"), {"a": running("a"), "b": running("b")})
    seen = {"a": ended(0, "a")}
    result = status(pod("a", "b"), seen, old=old, is_ending=True, has_ended=True, sandbox=None)
    assert result["containerStatuses"][1]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert result["phase"] == "Failed"


def test_n51_what_the_pod_never_came_to_is_not_stamped():
    one = pod(init=[{"name": "init-a"}, {"name": "init-b"}], restartPolicy="Never")
    result = status(one, {"init-a": ended(1, "init-a")}, is_ending=True, has_ended=True)
    states = [e["state"] for e in (*result["initContainerStatuses"], *result["containerStatuses"])]
    assert [next(iter(state)) for state in states] == ["terminated", "waiting", "waiting"]
    assert result["phase"] == "Failed"
    assert condition(result, "Initialized")["status"] == "False"


def test_n41_n52_whom_a_run_ran_as_is_told_even_when_the_runtime_has_forgotten_it():
    current = dataclasses.replace(run(), runs_as=RunsAs(1, 2, (2, 3)))
    shown = status(pod(), {"app": Seen(current=current)})
    assert shown["containerStatuses"][0]["user"] == {"linux": {"uid": 1, "gid": 2, "supplementalGroups": [2, 3]}}
    ended = dataclasses.replace(run(state="exited", code=0), runs_as=RunsAs(1, 2, (2, 3)))
    old = status(pod(restartPolicy="Never"), {"app": Seen(current=ended)})
    later = status(pod(restartPolicy="Never"), {}, old=old)
    assert later["containerStatuses"] == old["containerStatuses"]


def test_n42_n52_a_finished_run_the_runtime_forgot_stays_finished():
    one = pod(restartPolicy="Never")
    old = status(one, {"app": ended(0)})
    result = status(one, {}, old=old)
    assert result["containerStatuses"] == old["containerStatuses"]
    result = status(one, {"app": Seen(previous=run(state="exited", code=0))}, old=old, sandbox=None, has_ended=True)
    assert result["containerStatuses"] == old["containerStatuses"]
    assert result["containerStatuses"][0]["state"]["terminated"]["containerID"] == "crun://app-0"  # N42


def test_n82_n237_the_address_goes_with_the_sandbox_but_a_finished_pod_keeps_it():
    assert status(pod())["podIPs"] == [{"ip": "10.0.0.5"}]
    assert "podIP" not in status(pod(), {}, sandbox=None)
    old = status(pod(restartPolicy="Never"), {"app": ended(0)})
    assert status(pod(restartPolicy="Never"), {"app": ended(0)}, old=old, sandbox=None)["podIP"] == "10.0.0.5"


def test_n123_in_its_post_start_hook_a_container_does_not_run_yet():
    [entry] = status(pod(), {"app": running(is_in_hook=True)})["containerStatuses"]
    assert entry["state"] == {"waiting": {"reason": "ContainerCreating"}}


def test_n176_the_termination_message_is_shown():
    result = status(pod(), {"app": ended(1)}, messages={"app-0": "out of cheese"})
    assert result["containerStatuses"][0]["state"]["terminated"]["message"] == "out of cheese"


def test_n246_the_same_observation_gives_the_same_status():
    first = status(pod(), {"app": running()})
    assert status(pod(), {"app": running()}, old=first, now_s=3600) == first
    assert at(0) < at(1)


ASKING = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def test_n41_n148_a_run_that_has_ended_tells_what_it_was_granted():
    one = pod(restartPolicy="Never", containers=[{"name": "app", "image": "app:1", "resources": ASKING}])
    [waiting] = status(one)["containerStatuses"]
    assert not waiting.keys() & {"resources", "allocatedResources"}
    done = status(one, {"app": ended(0)})
    [entry] = done["containerStatuses"]
    assert (entry["resources"], entry["allocatedResources"]) == (ASKING, ASKING["requests"])
    assert status(one, {}, old=done)["containerStatuses"] == [entry]  # N52


def test_n205_of_an_ephemeral_container_nobody_tells_whether_it_has_started():
    one = pod(ephemeralContainers=[{"name": "debugger", "image": "app:1"}])
    [entry] = status(one, {"app": running(), "debugger": running("debugger")})["ephemeralContainerStatuses"]
    assert "started" not in entry
    assert entry["resources"] == {}


@pytest.mark.parametrize(("wish", "can", "shown"), [("Enabled", True, "Enabled"), ("IfPossible", False, "Disabled")])
def test_v76_whether_a_mount_is_read_only_throughout_is_told(wish, can, shown):
    mount = {"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": wish}
    one = pod(containers=[{"name": "app", "volumeMounts": [mount]}])
    [entry] = status(one, has_recursive_read_only=can)["containerStatuses"]
    told = {"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": shown}
    assert entry["volumeMounts"] == [told]


def test_n45_a_run_that_could_not_be_started_has_an_id_and_no_time_of_its_start():
    failed = dataclasses.replace(run(state="exited", code=128), started=None, reason="StartError")
    [entry] = status(pod(restartPolicy="Never"), {"app": Seen(current=failed)})["containerStatuses"]
    end = entry["state"]["terminated"]
    assert (end["startedAt"], end["finishedAt"]) == ("1970-01-01T00:00:00Z", "2026-01-01T12:00:10Z")
    assert end["containerID"] == entry["containerID"] == "crun://app-0"
    assert entry["resources"] == {}
