"""How many pods a metric asks for (W82): upstream's own cases among them."""

from __future__ import annotations

import pytest

from holdfast.controllers.autoscaling.replicas import Tolerance, Unknown, Wanted, propose

from .made import NOW, pod, samples

YOUNG = {"age_s": 60, "ready_for_s": 50}


def asked(pods, use, wanted, current=None, tolerance=None):
    return propose(pods, use, wanted, len(pods) if current is None else current, tolerance or Tolerance(), NOW)


def of_cpu(percent):
    return Wanted("cpu", percent=percent)


@pytest.mark.parametrize(
    ("amounts", "percent", "replicas", "used"),
    [
        ([300, 500, 700], 30, 5, 50),
        ([100, 300, 500, 250, 250], 50, 3, 28),
        ([1010, 1030, 1020], 100, 3, 102),
        ([900, 930, 930], 100, 3, 92),
        ([400, 95, None, None], 100, 3, 24),
        ([1000, None], 100, 2, 100),
        ([1900, None], 100, 2, 190),
        ([600, None], 100, 2, 60),
        ([300, None], 200, 2, 30),
    ],
    ids=["more", "fewer", "a bit more", "a bit less", "missing, fewer", "equal", "missing, more", "less", "over 100"],
)
def test_w82_as_many_as_use_asks_for(amounts, percent, replicas, used):
    found = asked([pod(number) for number in range(len(amounts))], samples(*amounts), of_cpu(percent))
    assert (found.replicas, found.use.percent) == (replicas, used)


@pytest.mark.parametrize(
    ("ready", "amounts", "percent", "replicas", "used"),
    [
        ([False, True, True], [300, 500, 700], 30, 4, 60),
        ([True, False, False], [400, 500, 700], 30, 3, 40),
        ([True, True, True, False, False], [100, 300, 500, 250, 250], 50, 2, 30),
        ([False, True, True], [100, 450, None], 50, 3, 45),
        ([False, True, True], [100, 2000, None], 50, 4, 200),
    ],
)
def test_w82_pods_that_are_not_ready_yet_ask_for_nothing(ready, amounts, percent, replicas, used):
    pods = [pod(number, ready=is_ready, **YOUNG) for number, is_ready in enumerate(ready)]
    found = asked(pods, samples(*amounts), of_cpu(percent))
    assert (found.replicas, found.use.percent) == (replicas, used)


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ({"age_s": 3600}, True),
        ({"age_s": 3600, "ready": False, "ready_for_s": 600}, True),
        ({"age_s": 3600, "ready": False, "ready_for_s": 3580}, False),
        ({"age_s": 120, "ready_for_s": 60}, True),
        ({"age_s": 120, "ready_for_s": 10}, False),
        ({"age_s": 120, "ready": False, "ready_for_s": 60}, False),
    ],
    ids=["old", "was ready once", "never was", "young", "window with its start", "young, not ready"],
)
def test_w82_cpu_counts_once_it_tells_of_work_and_not_of_a_start(state, counts):
    found = asked([pod(0), pod(1, **state)], samples(400, 800), of_cpu(50))
    assert found.use.percent == (60 if counts else 40)


def test_w82_memory_counts_from_the_start():
    memory = Wanted("memory", amount=1000)
    found = asked([pod(0), pod(1, ready=False, **YOUNG)], samples(1000, 3000), memory)
    assert (found.replicas, found.use.average, found.use.percent) == (4, 2000, None)


def test_w82_pods_that_end_or_wait_to_start_are_left_out():
    gone = pod(1, deletionTimestamp="2026-01-01T12:00:00Z")
    pods = [pod(0), gone, pod(2, phase="Failed"), pod(3, phase="Pending")]
    assert asked(pods, samples(250, 9000, 9000, 9000), of_cpu(50), current=2).use.percent == 25


def test_w82_a_tolerance_of_ones_own():
    pods, use = [pod(0), pod(1)], samples(580, 580)
    assert asked(pods, use, of_cpu(50)).replicas == 3
    assert asked(pods, use, of_cpu(50), tolerance=Tolerance(up=0.2)).replicas == 2
    assert asked(pods, samples(460, 460), of_cpu(50), tolerance=Tolerance(down=0.01)).replicas == 2


def test_w82_requests_are_those_of_all_containers_that_stay_of_one_or_of_the_pod():
    single = pod(0)
    sidecar = {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    single["spec"]["initContainers"] = [sidecar, {"name": "once", "resources": {"requests": {"cpu": "8"}}}]
    assert asked([single], samples(1000), of_cpu(50)).use.percent == 50
    assert asked([single], samples(1000), Wanted("cpu", "main", percent=50)).use.percent == 100
    single["spec"]["resources"] = {"requests": {"cpu": "4"}}
    assert asked([single], samples(1000), of_cpu(50)).use.percent == 25


@pytest.mark.parametrize(
    ("pods", "use", "wanted", "told"),
    [
        ([], {}, of_cpu(50), "no pods returned by selector while calculating replica count"),
        ([pod(0)], {}, of_cpu(50), "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod(0, request="")], samples(1), of_cpu(50), "missing request for cpu in container main of Pod web-0"),
        ([pod(0)], samples(1), Wanted("cpu", "side", percent=50), "container side not found in Pod web-0"),
        ([pod(0)], {"other": samples(1)["web-0"]}, of_cpu(50), "no metrics returned matched known pods"),
    ],
)
def test_w83_why_nothing_follows(pods, use, wanted, told):
    with pytest.raises(Unknown) as unknown:
        asked(pods, use, wanted)
    assert str(unknown.value) == told


def test_w83_a_pod_that_asks_for_something_but_not_that():
    single = pod(0)
    single["spec"]["resources"] = {"requests": {"memory": "1Gi"}}
    del single["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    with pytest.raises(Unknown, match="missing pod-level request for cpu in Pod web-0"):
        asked([single], samples(1), of_cpu(50))
