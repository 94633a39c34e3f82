"""Pods that make room for one of a higher priority (N227)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.scheduler.plan import Assign, Unschedulable, decide
from holdfast.simulation.cluster import simulate

from .builders import cluster, node, pod, storage
from .test_scheduler import events, node_of, scheduled
from .test_scheduler import pod as applied

FULL = "0/1 nodes are available: 1 Insufficient cpu."


def victims(wanted: dict[str, Any], *pods: dict[str, Any], nodes: Any = None, budgets: Any = ()) -> Any:
    """Node and names of those that go; else the message."""
    view = cluster(*(nodes or [node()]), pods=pods)
    decision = decide(wanted, view.nodes_for(wanted), storage(), random.Random(0), budgets=lambda: budgets)
    if isinstance(decision, Assign):
        return decision.node
    if decision.preemption is None:
        return decision.message
    return decision.preemption.node, [each["metadata"]["name"] for each in decision.preemption.victims]


def runs(name: str, cpu: str, priority: int = 0, on: str = "n1", start: str = "", **more: Any) -> dict[str, Any]:
    one = pod(name, on=on, requests={"cpu": cpu}, priority=priority, **more)
    if start:
        one["status"]["startTime"] = start
    return one


def wants(cpu: str, priority: int = 100, **more: Any) -> dict[str, Any]:
    return pod("urgent", requests={"cpu": cpu}, priority=priority, **more)


def budget(allowed: int, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "budget", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


def test_n227_only_those_that_are_in_the_way_go_the_least_important_of_them():
    there = [runs("low", "2"), runs("middle", "1", 50), runs("equal", "1", 100)]
    assert victims(wants("1"), *there) == ("n1", ["low"])
    assert victims(wants("3"), *there) == ("n1", ["middle", "low"])
    late = [runs("early", "2", start="2026-01-01T00:00:00Z"), runs("late", "2", start="2026-01-02T00:00:00Z")]
    assert victims(wants("2"), *late) == ("n1", ["late"])


@pytest.mark.parametrize(
    ("wanted", "there", "note"),
    [
        (wants("1", 0), runs("equal", "4"), "1 No preemption victims found for incoming pod"),
        (wants("5"), runs("low", "4"), "1 Preemption is not helpful for scheduling"),
        (wants("3"), runs("high", "2", 200), "1 No preemption victims found for incoming pod"),
    ],
)
def test_n221_where_nobody_can_make_room_that_is_said(wanted, there, note):
    told = f"{FULL} preemption: 0/1 nodes are available: {note}."
    assert victims(wanted, there) == told


def test_n221_where_making_room_is_not_enough_it_is_said_what_is_still_in_the_way():
    there = [runs("high", "2", 200), runs("low", "1")]
    assert victims(wants("3"), *there) == f"{FULL} preemption: 0/1 nodes are available: 1 Insufficient cpu."


def test_n227_the_node_is_chosen_where_least_is_lost():
    nodes = [node("n1"), node("n2")]
    one = runs("a", "4", 10, labels={"app": "kept"})
    assert victims(wants("1"), one, runs("b", "4", 20, on="n2"), nodes=nodes) == ("n1", ["a"])
    kept = [budget(0, app="kept")]
    assert victims(wants("1"), one, runs("b", "4", 20, on="n2"), nodes=nodes, budgets=kept) == ("n2", ["b"])
    several = [runs("b", "2", 10, on="n2"), runs("c", "2", 10, on="n2")]
    assert victims(wants("4"), one, *several, nodes=nodes) == ("n1", ["a"])


def test_n227_budgets_are_kept_where_they_can_be():
    there = [runs("kept", "2", 0, labels={"app": "kept"}), runs("other", "2", 10)]
    assert victims(wants("2"), *there, budgets=[budget(0, app="kept")]) == ("n1", ["other"])
    assert victims(wants("2"), *there, budgets=[budget(1, app="kept")]) == ("n1", ["kept"])


def test_n227_room_that_is_being_made_is_not_taken_by_lesser_pods():
    view = cluster(node(), pods=(runs("low", "2"),))
    view.nominate(wants("3"), "n1")
    lesser = decide(pod("lesser", requests={"cpu": "1"}, priority=0), view.nodes_for(pod("lesser")), storage(),
                    random.Random(0))  # fmt: skip
    assert isinstance(lesser, Unschedulable)
    greater = wants("2", 200)
    greater["metadata"]["uid"] = "greater"
    assert isinstance(decide(greater, view.nodes_for(greater), storage(), random.Random(0)), Assign)


def test_n227_a_pod_makes_room_for_itself_and_says_so():
    with simulate(0) as one:
        low = applied("low", requests={"cpu": "50"}, terminationGracePeriodSeconds=20)
        low["metadata"]["annotations"] = {"simulated.holdfast.dev/main": '{"ignores_signal": true}'}
        one.apply(low)
        one.run_until(lambda: node_of(one, "low"), within_s=10)
        one.apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"},
                   "value": 1000})  # fmt: skip
        one.apply(applied("high", requests={"cpu": "50"}, priorityClassName="high"))
        one.run_for(3)
        assert scheduled(one, "high")[2].startswith("0/1 nodes are available: 1 Insufficient cpu.")
        high, low = one.get(PODS, "high"), one.get(PODS, "low")
        assert high["status"]["nominatedNodeName"] == "n1"
        assert low["metadata"]["deletionTimestamp"]
        (disruption,) = [each for each in low["status"]["conditions"] if each["type"] == "DisruptionTarget"]
        assert (disruption["status"], disruption["reason"], disruption["message"]) == (
            "True",
            "PreemptionByScheduler",
            "default-scheduler: preempting to accommodate a higher priority pod",
        )
        (told,) = events(one, "low", "Preempted")
        assert told["message"] == f"Preempted by pod {high['metadata']['uid']} on node n1"
        (refused,) = events(one, "high", "FailedScheduling")
        assert refused["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        one.apply(applied("lesser", requests={"cpu": "50"}))
        one.run_until(lambda: node_of(one, "high"), within_s=60)
        assert node_of(one, "lesser") is None
        assert "nominatedNodeName" not in one.get(PODS, "high")["status"]
