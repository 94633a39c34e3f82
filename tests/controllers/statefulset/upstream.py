"""Whole simulated clusters for upstream's bugs, and upstream's rules in miniature where ours are others."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.controllers.actions import Fail
from holdfast.controllers.statefulset import update, writes
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web

A_LONG_TIME_S = 1800.0
NEVER_STARTS = {"simulated.holdfast.dev/main": json.dumps({"start_failure": "no such program"})}
"""Annotations of a template whose container has no program to run."""


def a_set(replicas=3, *, policy="OrderedReady", claims=("www",), annotations=None, **spec):
    """The tutorial's set, with other claims or further members."""
    made = web(replicas, policy)
    (claim,) = made["spec"]["volumeClaimTemplates"]
    made["spec"]["volumeClaimTemplates"] = [{**claim, "metadata": {"name": name}} for name in claims]
    if annotations:
        made["spec"]["template"]["metadata"]["annotations"] = annotations
    made["spec"] |= spec
    return made


@contextmanager
def running(manifest):
    """A cluster on which the set has come up."""
    with simulate(0) as cluster:
        cluster.apply(manifest)
        cluster.run_until(lambda: cluster.is_settled("web"))
        yield cluster


def pod(cluster, ordinal):
    """None if there is none."""
    return cluster.get(PODS, f"web-{ordinal}")


def is_ready(cluster, ordinal):
    found = pod(cluster, ordinal)
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def messages(cluster):
    return [event["message"] for event in cluster.objects(EVENTS, "default")]


# Upstream's rules


def nobody_watches_claims(monkeypatch):
    """S40: a claim that goes wakes nobody."""
    monkeypatch.setattr(StatefulSetController, "_on_claim", lambda self, old, new: None)


def claims_that_go_count_as_there(monkeypatch):
    """Before 1.20: a claim that exists will do, also if it is being deleted, and a pending pod's are not looked at."""
    create_claims = writes.create_claims

    def blind(seen, ordinal):
        return [action for action in create_claims(seen, ordinal) if not isinstance(action, Fail)]

    monkeypatch.setattr(writes, "create_claims", blind)
    monkeypatch.setattr(writes, "complete_claims", lambda seen, ordinal, pod: [])


def broken_pods_use_up_the_budget(monkeypatch):
    """1.35.0, maxUnavailable 1 by default: whatever is unavailable counts, outdated or not (S103)."""

    def next_outdated(statefulset, replicas, history):
        slots = list(statefulset.slots)
        unavailable = [ordinal for ordinal in slots if ordinal in replicas.unfit]
        if unavailable:
            return None, f"{len(unavailable)} pods are unavailable already"
        for ordinal in reversed(slots[statefulset.partition :]):
            found = replicas.get(ordinal)
            if found is not None and found.revision != history.update_name:
                return found, "outdated"
        return None, ""

    monkeypatch.setattr(update, "next_outdated", next_outdated)


def every_updated_pod_is_subtracted(monkeypatch):
    """S107: one pod less at the current revision, of whatever revision it was."""
    planning = sys.modules["holdfast.controllers.statefulset.plan"]
    work = planning.work

    def subtracting(observed, replicas, history, counted):
        reason, actions, after = work(observed, replicas, history, counted)
        is_update = "is outdated" in reason
        return reason, actions, counted.without_one_current() if is_update else after

    monkeypatch.setattr(planning, "work", subtracting)
