"""One sync of a DaemonSet, from start to end. Pure.

Source: Kubernetes, pkg/controller/daemon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Each, Emit, Plan, Waves
from holdfast.controllers.owners import claim
from holdfast.controllers.pod_writes import create_pod, delete_pod
from holdfast.controllers.replicaset.pods import available_in_s, is_ready, phase

from . import history, status, update
from .daemons import Judge, Work, by_node, is_leaving, tend
from .history import Find
from .placement import Fit, bound_to, fit
from .views import GENERATION_LABEL, HASH_LABEL, DaemonSet

MOST_AT_ONCE = 250
"""So many pods are created, and so many deleted, in one sync."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    daemon_set: DaemonSet
    nodes: Sequence[Manifest]
    pods: Sequence[Manifest]
    """Those it controls, and those of its namespace that nobody controls."""
    revisions: Sequence[Manifest]
    """The same of ControllerRevisions."""
    revision_named: Find
    waits_s: Mapping[str, float]
    """By node, so long its failed pod is not to be replaced yet."""
    is_namespace_terminating: bool
    now: datetime


def plan(observed: Observed) -> Plan:
    """Puts right what is wrong on any node; if nothing is, goes on with the update (W40-W43).

    Of a set that is being deleted, history and pods may be gone in any order: nothing can be said of it any more.
    """
    daemon_set = observed.daemon_set
    if daemon_set.is_being_deleted:
        return Plan("being deleted")
    revisions = claim(DAEMON_SETS, daemon_set.manifest, daemon_set.selects, CONTROLLER_REVISIONS, observed.revisions)
    claimed = claim(DAEMON_SETS, daemon_set.manifest, daemon_set.selects, PODS, observed.pods)
    decided = history.decide(daemon_set, revisions.kept, claimed.kept, observed.revision_named)
    judge = Judge(daemon_set, decided.hash, observed.now)
    fits = {node["metadata"]["name"]: fit(daemon_set.tolerant_template, node) for node in observed.nodes}
    pods = by_node(claimed.kept)
    reason, work = _work(observed, judge, fits, pods)
    trimmed = history.superfluous(daemon_set, decided, claimed.kept)
    return Plan(
        reason,
        before=[*revisions.before, *decided.before, *claimed.before],
        actions=[*_actions(observed, judge, work), *trimmed],
        status=status.write(daemon_set, status.count(judge, fits, pods), decided.collisions),
        subject=daemon_set.manifest,
        again_after_s=_again_after_s(observed, pods),
    )


def _work(
    observed: Observed, judge: Judge, fits: Mapping[str, Fit], pods: Mapping[str, Sequence[Manifest]]
) -> tuple[str, Work]:
    work = Work()
    for node, what in sorted(fits.items()):
        work.add(tend(judge, node, what, pods.get(node, ()), observed.waits_s.get(node, 0.0)))
    for node in sorted(pods.keys() - fits.keys()):
        # Of a node that is gone, what was never bound to it: nobody else would ever delete that.
        work.pods += [pod for pod in pods[node] if not (pod["spec"].get("nodeName") or is_leaving(pod))]
    if work:
        return f"{len(work.nodes)} pods are missing, {len(work.pods)} are too many", work
    if observed.daemon_set.is_rolling:
        wanted = {node for node, what in fits.items() if what is Fit.WANTED}
        if work := update.roll(judge, wanted, pods):
            return "rolling on", work
    return "all as wanted", work


def _actions(observed: Observed, judge: Judge, work: Work) -> list[Action]:
    """Creations, first a few to see whether they succeed, then deletions, whether or not they did."""
    nodes = [] if observed.is_namespace_terminating else work.nodes[:MOST_AT_ONCE]
    creations = [(_create(judge, node),) for node in nodes]
    group: list[Action] = [Waves(creations)] if creations else []
    group += map(Emit, work.told)
    group += map(delete_pod, work.pods[:MOST_AT_ONCE])
    return [Each(group)] if group else []


def _create(judge: Judge, node: str) -> Create:
    daemon_set = judge.daemon_set
    template = bound_to(daemon_set.tolerant_template, node)
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {})}
    if daemon_set.template_generation is not None:
        labels[GENERATION_LABEL] = str(daemon_set.template_generation)
    labels[HASH_LABEL] = judge.hash
    return create_pod(DAEMON_SETS, daemon_set.manifest, {**template, "metadata": {**metadata, "labels": labels}})


def _again_after_s(observed: Observed, pods: Mapping[str, Sequence[Manifest]]) -> float | None:
    """When the next failed pod may be replaced, or the next ready one becomes available."""
    waits: list[float] = []
    min_ready_s = observed.daemon_set.min_ready_s
    for node, of_node in pods.items():
        for pod in of_node:
            if phase(pod) == "Failed" and node in observed.waits_s:
                waits.append(observed.waits_s[node])
            elif is_ready(pod) and (wait_s := available_in_s(pod, min_ready_s, observed.now)) != 0:
                waits.append(float(min_ready_s) if wait_s is None else wait_s)
    return min(waits, default=None)
