"""When a node is short of something and which pod goes for it (N145, N146): from tables."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cluster import node_parts
from holdfast.node.eviction import ranking, thresholds
from holdfast.node.eviction.limits import DiskUse, excess, is_limited
from holdfast.node.eviction.manager import refusal
from holdfast.node.eviction.ranking import Candidate, Used, victims
from holdfast.node.eviction.thresholds import HARD, Met, Reading, Threshold, in_binary, last_met, met, pressures

sys.path.insert(0, str(Path(__file__).parents[1]))

from pods import T0, pod

GI, MI = 1 << 30, 1 << 20


# -- thresholds -----------------------------------------------------------------------------------


def test_n146_the_kubelet_s_own_thresholds():
    assert thresholds.parse(HARD) == (
        Threshold("memory.available", amount=100 * MI),
        Threshold("nodefs.available", part=Decimal("0.1")),
        Threshold("imagefs.available", part=Decimal("0.15")),
        Threshold("nodefs.inodesFree", part=Decimal("0.05")),
        Threshold("imagefs.inodesFree", part=Decimal("0.05")),
    )


def test_n146_a_threshold_of_nothing_is_none_and_unknown_ones_are_refused():
    assert thresholds.parse({"nodefs.available": "0%"}) == ()
    assert thresholds.read_option("memory.available<1Gi, nodefs.available<5%") == {
        "memory.available": "1Gi",
        "nodefs.available": "5%",
    }
    assert thresholds.read_option("") == {}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("memory.available=1Gi", "should read SIGNAL<VALUE"),
        ("memory.available<", "should read SIGNAL<VALUE"),
        ("memory<1Gi", "unknown eviction signal: memory; known are memory.available, "),
        ("memory.available<much", "quantities must match"),
        ("nodefs.available<x%", "neither a quantity nor a percentage"),
        ("nodefs.available<101%", "can never be available"),
        ("memory.available<-1Gi", "can never be available"),
    ],
)
def test_n146_a_threshold_that_makes_no_sense_is_refused(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        thresholds.read_option(given)
    with pytest.raises(ValueError, match="unknown eviction signal: disk"):
        thresholds.parse({"disk": "1Gi"})


@pytest.mark.parametrize(
    ("signal", "given", "reading", "is_met"),
    [
        ("memory.available", "100Mi", Reading(100 * MI, 8 * GI), False),
        ("memory.available", "100Mi", Reading(100 * MI - 1, 8 * GI), True),
        ("nodefs.available", "10%", Reading(10 * GI, 100 * GI), False),
        ("nodefs.available", "10%", Reading(10 * GI - 1, 100 * GI), True),
        ("pid.available", "100", Reading(99, 32768), True),
    ],
)
def test_n146_less_than_the_threshold_meets_it(signal, given, reading, is_met):
    assert bool(met(thresholds.parse({signal: given}), {signal: reading})) is is_met


def test_n146_what_cannot_be_read_is_not_met_and_memory_comes_first():
    found = met(thresholds.parse(HARD), {"nodefs.available": Reading(0, 1), "memory.available": Reading(0, 1)})
    assert [one.threshold.signal for one in found] == ["memory.available"]  # a tenth of 1 is nothing
    full = {"nodefs.available": Reading(0, 100), "memory.available": Reading(0, GI)}
    assert [one.signal.resource for one in met(thresholds.parse(HARD), full)] == ["memory", "ephemeral-storage"]


def test_n146_a_condition_holds_for_five_minutes_after_it_was_met():
    found = [Met(Threshold("memory.available", amount=GI), Reading(0, GI))]
    last = last_met({}, found, T0)
    assert pressures(last, T0) == {"MemoryPressure"}
    assert pressures(last_met(last, [], T0), T0 + timedelta(seconds=299)) == {"MemoryPressure"}
    assert pressures(last, T0 + timedelta(seconds=300)) == frozenset()


@given(st.integers(0, 1 << 60))
def test_amounts_are_written_so_that_they_are_read_back(count):
    from holdfast.api import quantity

    assert quantity.whole(in_binary(count)) == count


@pytest.mark.parametrize(("size_bytes", "expected"), [(4 * GI, "10%"), (100 * GI, str(GI)), (1000 * GI, str(GI))])
def test_n146_a_large_disk_is_never_short_of_more_than_a_gibibyte(monkeypatch, size_bytes, expected):
    """A developer's machine is not a node's own: nine tenths in use are no emergency."""
    status = os.statvfs_result((4096, 4096, size_bytes // 4096, 0, 0, size_bytes >> 14, 0, 0, 0, 255))
    monkeypatch.setattr(node_parts.os, "statvfs", lambda path: status)
    assert node_parts.thresholds(Path("/"))["nodefs.available"] == expected
    assert node_parts.thresholds(Path("/"))["memory.available"] == HARD["memory.available"]
    assert node_parts.thresholds(Path("/"))["nodefs.inodesFree"] == ("5%" if expected == "10%" else "20000")


# -- who goes first -------------------------------------------------------------------------------


def candidate(name: str, used: int | None, request: str = "", priority: int = 0, resource: str = "memory") -> Candidate:
    one = pod()
    one.manifest["metadata"]["name"] = name
    one.spec["priority"] = priority
    if request:
        one.spec["containers"][0]["resources"] = {"requests": {resource: request}}
    return Candidate(one, None if used is None else Used(used, {"app": used}))


def order(*candidates: Candidate, resource: str = "memory") -> list[str]:
    return [one.pod.name for one in victims(candidates, resource)]


def test_n146_first_who_is_above_its_request_then_by_priority_then_by_how_much():
    assert order(
        candidate("within, unimportant", 100 * MI, "1Gi", -10),
        candidate("above, important", 3 * GI, "1Gi", 100),
        candidate("above, a little", 1100 * MI, "1Gi"),
        candidate("above, a lot", 2 * GI, "1Gi"),
        candidate("no request", 1 * MI),
        candidate("within", 500 * MI, "1Gi"),
    ) == [
        "above, a lot",
        "above, a little",
        "no request",
        "above, important",
        "within, unimportant",
        "within",
    ]


def test_n146_who_cannot_be_measured_counts_as_above_its_request():
    assert order(candidate("within", 1, "1Gi"), candidate("unknown", None), candidate("above", GI)) == [
        "unknown",
        "above",
        "within",
    ]


def test_n146_critical_pods_stay():
    assert order(candidate("critical", 8 * GI, priority=2_000_000_000), candidate("other", 1)) == ["other"]


def test_n146_for_what_has_no_requests_priority_decides():
    assert order(candidate("a", None, priority=5), candidate("b", None), resource="inodes") == ["b", "a"]


def test_n146_the_message_names_who_is_above_its_request():
    found = Met(Threshold("memory.available", amount=100 * MI), Reading(80 * MI, 8 * GI))
    text = ranking.message(candidate("web-0", 2 * GI, "1Gi"), found)
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
        "Container app was using 2Gi, request is 1Gi, has larger consumption of memory. "
    )
    text = ranking.message(candidate("web-0", 500 * MI, "1Gi"), found)
    assert text == "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
    assert "Container app was using 500Mi, request is 0, has" in ranking.message(candidate("web-0", 500 * MI), found)


# -- limits of a pod's own ------------------------------------------------------------------------


def limited(limit: str = "", **volume: Any) -> Any:
    one = pod("app", "other", volumes=[{"name": "cache", "emptyDir": volume}])
    if limit:
        one.spec["containers"][0]["resources"] = {"limits": {"ephemeral-storage": limit}}
    return one


@pytest.mark.parametrize(
    ("one", "use", "message"),
    [
        pytest.param(limited(), DiskUse({"cache": 9 * GI}), "", id="no limit"),
        pytest.param(limited(sizeLimit="1Gi"), DiskUse({"cache": GI}), "", id="just within"),
        pytest.param(
            limited(sizeLimit="1024Mi"),
            DiskUse({"cache": GI + 1}),
            'Usage of EmptyDir volume "cache" exceeds the limit "1Gi". ',
            id="an emptyDir",
        ),
        pytest.param(
            limited(sizeLimit="1Gi", medium="Memory"),
            DiskUse({"cache": GI + 1}, in_memory=frozenset({"cache"})),
            'Usage of EmptyDir volume "cache" exceeds the limit "1Gi". ',
            id="an emptyDir in memory",
        ),
        pytest.param(
            limited("1Gi"),
            DiskUse({"cache": GI}, {"app": 1}),
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
            id="volumes count to the pod",
        ),
        pytest.param(
            limited("1Gi"), DiskUse({"cache": GI}, {"app": 1}, frozenset({"cache"})), "", id="those in memory do not"
        ),
    ],
)
def test_n145_what_a_pod_is_told(one, use, message):
    assert excess(one, use) == message


def test_n145_each_container_has_its_own_limit_too():
    one = limited("1Gi")
    one.spec["containers"][1]["resources"] = {"limits": {"ephemeral-storage": "2Gi"}}
    told = excess(one, DiskUse({}, {"app": GI + 1, "other": 1}))
    assert told == 'Container app exceeded its local ephemeral storage limit "1Gi". '


def test_n145_pods_without_limits_are_not_measured():
    assert not is_limited(limited())
    assert not is_limited(limited(sizeLimit="0"))
    assert is_limited(limited(sizeLimit="1Mi"))
    assert is_limited(limited("1Gi"))


# -- whom a node under pressure still takes -------------------------------------------------------


def waiting(qos: str, **spec: Any) -> Any:
    return pod(status={"qosClass": qos}, **spec)


@pytest.mark.parametrize(
    ("one", "conditions", "message"),
    [
        pytest.param(waiting("BestEffort"), "", "", id="no pressure"),
        pytest.param(waiting("Burstable"), "MemoryPressure", "", id="memory, but it has requests"),
        pytest.param(
            waiting("BestEffort"), "MemoryPressure", "The node had condition: [MemoryPressure]. ", id="best effort"
        ),
        pytest.param(
            waiting("BestEffort", tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]),
            "MemoryPressure",
            "",
            id="best effort that does not mind",
        ),
        pytest.param(
            waiting("Guaranteed"), "DiskPressure", "The node had condition: [DiskPressure]. ", id="disk, whoever it is"
        ),
        pytest.param(waiting("BestEffort", priority=2_000_001_000), "DiskPressure", "", id="critical"),
        pytest.param(
            waiting("Burstable"),
            "MemoryPressure DiskPressure",
            "The node had condition: [DiskPressure MemoryPressure]. ",
            id="both",
        ),
    ],
)
def test_n146_whom_a_node_under_pressure_refuses(one, conditions, message):
    assert refusal(one, frozenset(conditions.split())) == message
