"""Plays a story, and sees to it that it ends well."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import Conflict, NotFound
from holdfast.simulation.cluster import simulate

from .ending import end
from .steps import DeleteRevision, DeleteSet
from .story import Story

NGINX = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "nginx", "namespace": "default"},
    "spec": {"clusterIP": "None", "selector": {"app": "nginx"}, "ports": [{"name": "web", "port": 80}]},
}

LOSES_REVISIONS = (DeleteRevision, DeleteSet)
"""After these a set may stand on a revision that goes: it uses that of a set of the same name (S77), which is collected
with that one."""


@dataclass(frozen=True, slots=True)
class Played:
    fingerprint: str
    simulated_s: float


def tell(story: Story) -> Played:
    """Plays it. Raises InvariantBroken, NeverHappened, or whatever else went wrong."""
    with simulate(story.seed, story.faults, nodes=story.nodes) as cluster:
        # Before that, a pod's creation waits in admission, and the checkers' bound on how long a step takes is off.
        cluster.run_until(lambda: cluster.get(SERVICE_ACCOUNTS, "default") is not None)
        cluster.apply(NGINX, story.shape.manifest())
        for step in story.steps:
            cluster.run_for(step.after_s)
            with suppress(NotFound, Conflict):  # gone or changed since the user looked
                step.take(cluster)
        cluster.heal()
        end(cluster, story.shape, needs_waking=any(isinstance(step, LOSES_REVISIONS) for step in story.steps))
        return Played(cluster.fingerprint, cluster.time_s)
