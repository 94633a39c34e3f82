"""What one pod's event costs is the same in a set of a hundred and of ten thousand: counted in lines, not in time.

From the watch to the plan: the informer with its indexes, the controller's handlers, what it keeps, the decision.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager

import pytest

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.client import ObjectList, WatchEvent
from holdfast.client.informer import Informers
from holdfast.client.queue import WorkQueue
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.world import real_world

from .builders import Cluster, claim, doing, statefulset

SIZES = (100, 10_000)
ORDINAL = 57


class Lines:
    """How many lines of ours are run; loops inside native code, such as a sort, are not seen."""

    def __init__(self):
        self.count = 0

    def _trace(self, frame, event, argument):
        return self._line if "/holdfast/" in frame.f_code.co_filename else None

    def _line(self, frame, event, argument):
        self.count += event == "line"
        return self._line

    @contextmanager
    def counted(self):
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)


class Objects:
    """A client that lists a cluster in miniature, and then tells what it is told."""

    def __init__(self, cluster):
        self._objects = {
            STATEFUL_SETS: [cluster.set],
            PODS: list(cluster.pods.values()),
            PERSISTENT_VOLUME_CLAIMS: list(cluster.claims.values()),
            CONTROLLER_REVISIONS: list(cluster.revisions.values()),
        }
        self.events = {resource: asyncio.Queue() for resource in self._objects}

    async def list(self, resource, namespace="", **options):
        return ObjectList(self._objects[resource], "1")

    async def watch(self, resource, namespace="", **options):
        while True:
            yield await self.events[resource].get()


def a_set_at_rest(size, parallel):
    cluster = Cluster(statefulset(size, parallel=parallel, claims=("data",))).with_revision()
    for ordinal in range(size):
        cluster.add(ordinal)
        cluster.claims[f"data-web-{ordinal}"] = claim(f"data-web-{ordinal}")
    name = cluster.revision()
    counts = dict.fromkeys(
        ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"), size
    )
    cluster.set["status"] = {**counts, "observedGeneration": 1, "currentRevision": name, "updateRevision": name}
    return cluster


STORY = {
    "it is no longer ready": lambda cluster: cluster.move(ORDINAL, "running"),
    "it is ready again": lambda cluster: cluster.move(ORDINAL, "ready"),
    "it is being deleted": lambda cluster: cluster.move(ORDINAL, "terminating"),
    "it is gone": lambda cluster: cluster.gone(ORDINAL),
    "it is made": lambda cluster: cluster.add(ORDINAL, "pending"),
    "it is ready": lambda cluster: cluster.move(ORDINAL, "ready"),
}


async def work(size, parallel):
    """Lines by what happened, and what was done about it, the second time round: what is put off is done by then."""
    cluster = a_set_at_rest(size, parallel)
    client, world = Objects(cluster), real_world()
    informers, queue, controller = Informers(client, world), WorkQueue(world), StatefulSetController(world)
    controller.start(informers, queue)
    running = asyncio.create_task(informers.run())
    await informers.wait_synced()
    found = {}
    for revision, (what, happen) in enumerate([*STORY.items(), *STORY.items()], 2):
        await _plan(controller, queue, Lines())
        name = f"web-{ORDINAL}"
        last = cluster.pods.get(name)
        happen(cluster)
        pod = cluster.pods.get(name, last)
        pod = {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(revision)}}
        if name in cluster.pods:
            cluster.pods[name] = pod
        lines = Lines()
        with lines.counted():
            await client.events[PODS].put(WatchEvent("MODIFIED" if name in cluster.pods else "DELETED", pod))
            await informers.of(PODS).wait_for("", str(revision))
        made = await _plan(controller, queue, lines)
        found[what] = (lines.count, doing(made))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found


async def _plan(controller, queue, lines):
    queue.add("default/web")
    with lines.counted():
        key = await queue.get()
        made = controller.plan(controller.observe(key))
        queue.done(key)
    return made


@pytest.mark.parametrize("parallel", [False, True], ids=["ordered", "parallel"])
async def test_an_event_of_one_pod_costs_the_same_in_a_set_of_a_hundred_and_of_ten_thousand(parallel):
    small, large = [await work(size, parallel) for size in SIZES]
    assert small == large
    assert small["it is gone"][1] == [f"create pod web-{ORDINAL}"]
    assert all(lines > 50 for lines, _ in small.values()), "the counter counts"


async def test_the_counter_would_see_a_walk_over_all_pods(monkeypatch):
    """Were it only once per event that every pod is looked at."""
    observe = StatefulSetController.observe

    def walking(self, key):
        observed = observe(self, key)
        if observed is not None:
            for pod in observed.replicas.pods:
                assert pod.ordinal is not None
        return observed

    monkeypatch.setattr(StatefulSetController, "observe", walking)
    small, large = [(await work(size, False))["it is ready"][0] for size in (100, 500)]
    assert large >= small + 400
