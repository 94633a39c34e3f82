"""What to do next for a pod (N75-N103): a plan from a table, and plans against their invariants."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.node.backoff import Backoff, in_words
from holdfast.node.observed import Seen
from holdfast.node.plan import (
    CreateSandbox,
    EndPod,
    Memory,
    RemoveSandbox,
    StartContainer,
    StopContainer,
    next_attempt,
    plan,
    restart_key,
)
from holdfast.node.pod import Pod
from holdfast.node.status import pod_status

sys.path.insert(0, str(Path(__file__).parent))

from pods import at, ended, observed, pod, run, running

SIDECAR = {"name": "proxy", "restartPolicy": "Always"}


def named(actions: Any) -> list[str]:
    return [
        f"{type(action).__name__} {getattr(getattr(action, 'container', None), 'name', '')}".strip()
        for action in actions
    ]


def planned(one: Pod, seen: dict[str, Seen] | None = None, memory: Memory | None = None, **members: Any) -> list[str]:
    return named(plan(one, observed(seen=seen or {}, **members), memory or Memory(Backoff())).actions)


@pytest.mark.parametrize(
    ("one", "seen", "members", "expected"),
    [
        pytest.param(pod(), {}, {"sandbox": None}, ["CreateSandbox"], id="N75 the sandbox comes first"),
        pytest.param(pod("b", "a"), {}, {}, ["StartContainer b", "StartContainer a"], id="N76 in spec order"),
        pytest.param(pod(), {"app": running()}, {}, [], id="all run"),
        pytest.param(
            pod(init=[{"name": "init-a"}, {"name": "init-b"}]), {}, {}, ["StartContainer init-a"], id="N95 one by one"
        ),
        pytest.param(
            pod(init=[{"name": "init-a"}, {"name": "init-b"}]),
            {"init-a": ended(0, "init-a")},
            {},
            ["StartContainer init-b"],
            id="N95 the next one",
        ),
        pytest.param(pod(init=[{"name": "init"}]), {"init": running("init")}, {}, [], id="N95 the app waits"),
        pytest.param(
            pod(init=[{"name": "init"}]), {"init": ended(1, "init")}, {}, ["StartContainer init"], id="N96 retried"
        ),
        pytest.param(
            pod(init=[{"name": "init"}], restartPolicy="Never"),
            {"init": ended(1, "init")},
            {},
            ["EndPod"],
            id="N96 failed for good",
        ),
        pytest.param(pod(init=[SIDECAR]), {}, {}, ["StartContainer proxy"], id="N97 a sidecar in its place"),
        pytest.param(
            pod(init=[SIDECAR]), {"proxy": running("proxy", is_started=False)}, {}, [], id="N97 until it has started"
        ),
        pytest.param(
            pod(init=[SIDECAR]),
            {"proxy": running("proxy", is_ready=False)},
            {},
            ["StartContainer app"],
            id="N97 it need not be ready",
        ),
        pytest.param(
            pod(init=[SIDECAR]),
            {"proxy": ended(1, "proxy"), "app": running()},
            {},
            ["StartContainer proxy"],
            id="N97 restarted beside the app",
        ),
        pytest.param(
            pod(init=[SIDECAR], restartPolicy="Never"),
            {"proxy": running("proxy"), "app": ended(0)},
            {},
            ["EndPod"],
            id="N98 a sidecar does not keep the pod",
        ),
        pytest.param(
            pod(init=[{"name": "init"}]), {"app": running()}, {}, [], id="N103 a pruned init container counts as done"
        ),
        pytest.param(pod(restartPolicy="OnFailure"), {"app": ended(0)}, {}, ["EndPod"], id="OnFailure after success"),
        pytest.param(
            pod(restartPolicy="OnFailure"), {"app": ended(2)}, {}, ["StartContainer app"], id="OnFailure after failure"
        ),
        pytest.param(
            pod(), {"app": running()}, {"sandbox": None}, ["RemoveSandbox", "CreateSandbox"], id="N81 a broken sandbox"
        ),
        pytest.param(
            pod(restartPolicy="Never"),
            {"app": ended(137)},
            {"sandbox": None},
            ["EndPod"],
            id="N81 Never is not made anew",
        ),
        pytest.param(
            pod(), {"app": running(failed_probe="liveness")}, {}, ["StopContainer app"], id="N111 a condemned run"
        ),
    ],
)
def test_n75_n76_n81_n96_n103_plans(one, seen, members, expected):
    assert planned(one, seen, **members) == expected


def test_n111_the_probe_s_own_grace_period_counts():
    probe = {"exec": {}, "terminationGracePeriodSeconds": 3}
    one = pod(containers=[{"name": "app", "image": "app:1", "livenessProbe": probe}])
    [action] = plan(one, observed(seen={"app": running(failed_probe="liveness")}), Memory(Backoff())).actions
    assert isinstance(action, StopContainer)
    assert action.grace_period_s == 3
    assert action.message == "Container app failed liveness probe, will be restarted"


def test_n111_with_policy_never_the_text_promises_no_restart():
    one = pod(restartPolicy="Never")
    [action] = plan(one, observed(seen={"app": running(failed_probe="startup")}), Memory(Backoff())).actions
    assert action.message == "Container app failed startup probe"


def test_n19_the_deadline_ends_the_pod_and_is_waited_for():
    one = pod(activeDeadlineSeconds=100, status={"startTime": "2026-01-01T12:00:00Z"})
    step = plan(one, observed(seen={"app": running()}, now_s=60), Memory(Backoff()))
    assert (step.actions, step.again_after_s) == ((), 40)
    [action] = plan(one, observed(seen={"app": running()}, now_s=100), Memory(Backoff())).actions
    assert isinstance(action, EndPod)
    assert action.verdict.reason == "DeadlineExceeded"


def test_n89_a_back_off_puts_the_restart_off_and_says_so():
    backoff = Backoff()
    one = pod()
    backoff.next(restart_key(one, one.app_containers[0]), at(5), at(5))
    step = plan(one, observed(seen={"app": ended(1)}, now_s=12), Memory(backoff))
    assert step.actions == ()
    assert step.again_after_s == pytest.approx(8)
    assert step.waiting["app"].message == "back-off 10s restarting failed container=app pod=web-0_default(uid-1)"
    assert planned(one, {"app": ended(1)}, Memory(backoff), now_s=20) == ["StartContainer app"]


def test_n76_a_start_that_failed_is_held_until_its_time():
    one = pod("a", "b")
    step = plan(one, observed(now_s=60), Memory(Backoff(), {"a": at(70)}))
    assert named(step.actions) == ["StartContainer b"]  # N76: a failing one does not keep the others
    step = plan(one, observed(seen={"b": running("b")}, now_s=60), Memory(Backoff(), {"a": at(70)}))
    assert (step.actions, step.again_after_s) == ((), 10)


def test_n83_a_new_image_stops_only_that_container():
    one = pod("a", "b")
    old = replace(run("a"), image="app:0")
    [action] = plan(one, observed(seen={"a": Seen(current=old), "b": running("b")}), Memory(Backoff())).actions
    assert action.message == "Container a definition changed, will be restarted"


@pytest.mark.parametrize(
    ("status", "seen", "newest_log", "attempt"),
    [
        pytest.param({}, Seen(), None, 0, id="the first"),
        pytest.param({}, ended(1, attempt=4), None, 5, id="the runtime's count"),
        pytest.param({}, Seen(), 6, 7, id="the log files' count"),
        pytest.param({"restartCount": 3, "state": {"terminated": {}}}, Seen(), None, 4, id="the status' count"),
        pytest.param(
            {
                "restartCount": 3,
                "state": {"waiting": {}},
                "lastState": {"terminated": {"reason": "ContainerStatusUnknown"}},
            },
            Seen(),
            None,
            3,
            id="a lost run was counted already",
        ),
    ],
)
def test_n48_n230_restart_counts_never_go_back(status, seen, newest_log, attempt):
    one = pod(status={"containerStatuses": [{"name": "app", **status}]} if status else {})
    assert next_attempt(one, one.app_containers[0], seen, newest_log) == attempt


def test_n86_n87_the_sequence_of_back_offs():
    backoff, now = Backoff(), 0.0
    delays = []
    for _ in range(8):
        delay = backoff.remaining_s("key", at(now), at(now))
        delays.append(delay)
        now += delay
        backoff.next("key", at(now), at(now))
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.remaining_s("key", at(now + 599), at(now + 599)) == 300
    assert backoff.remaining_s("key", at(now + 601), at(now + 601)) == 0
    backoff.next("key", at(now + 601), at(now + 601))
    assert backoff.delay_s("key") == 10


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3600, "1h0m0s")])
def test_durations_in_words(seconds, text):
    assert in_words(seconds) == text


POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])
STATES = st.sampled_from(["none", "created", "running", "exited"])


@given(POLICIES, st.lists(STATES, min_size=3, max_size=3), st.integers(0, 2), st.booleans(), st.booleans())
def test_any_pod_comes_to_rest_and_never_runs_apps_before_init(policy, states, code, has_sandbox, is_sidecar):
    init = {"name": "init", **({"restartPolicy": "Always"} if is_sidecar else {})}
    one = pod("a", "b", init=[init], restartPolicy=policy)
    seen = {
        name: Seen(current=run(name, state, code))
        for name, state in zip(("init", "a", "b"), states, strict=True)
        if state != "none"
    }
    sandbox = observed().sandbox if has_sandbox else None
    for _ in range(30):
        look = observed(sandbox, seen=seen)
        assert pod_status(one, look, "crun")["phase"] in ("Pending", "Running", "Succeeded", "Failed")
        step = plan(one, look, Memory(Backoff()))
        assert sum(isinstance(action, CreateSandbox) for action in step.actions) <= 1
        if not step.actions or any(isinstance(action, EndPod) for action in step.actions):
            return
        for action in step.actions:
            match action:
                case RemoveSandbox():
                    seen = {}
                case CreateSandbox():
                    sandbox = observed().sandbox
                case StartContainer(container):
                    if container.name in ("a", "b") and not any(seen.get(n) and seen[n].current for n in ("a", "b")):
                        first = seen["init"]
                        assert first.is_running if is_sidecar else first.has_ended and first.exit_code == 0
                    attempt = seen[container.name].current.attempt + 1 if container.name in seen else 0
                    is_init = container.name == "init" and not is_sidecar
                    started = run(container.name, "exited" if is_init else "running", 0, attempt)
                    seen = {**seen, container.name: Seen(current=started)}
                case StopContainer(container, _, _, _):
                    seen = {**seen, container.name: ended(137, container.name)}
    raise AssertionError(f"no rest: {step}")
