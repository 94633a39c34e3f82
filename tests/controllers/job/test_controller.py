"""The controller on a real API server in this process: what wakes a Job, and whole lives of Jobs."""

import asyncio

import pytest

from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import is_true
from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client.informer import Informers
from holdfast.controllers.garbage.controller import GarbageCollector
from holdfast.controllers.job import controller as job_controller
from holdfast.controllers.job.controller import JobController
from holdfast.controllers.job.orphans import OrphanedPods
from holdfast.controllers.job.pods import TRACKING
from holdfast.controllers.runner import Runner
from holdfast.store.memory import MemoryStore
from holdfast.world import real_world


class Cluster:
    """The server, its client, and the controllers, which may crash and come back."""

    def __init__(self, server, world):
        self.client = server.client("test")
        self._server = server
        self._world = world
        self.runners = []
        self._tasks = []

    def start(self):
        client = self._server.client("controllers")
        informers = Informers(client, self._world)
        made = JobController(self._world.clock), OrphanedPods(), GarbageCollector()
        self.runners = [Runner(one, client, informers, self._world) for one in made]
        works = [informers.run(), *(runner.run() for runner in self.runners)]
        self._tasks = [asyncio.ensure_future(work) for work in works]

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def create(self, name="once", labels=None, **spec):
        template = {
            "metadata": {"labels": labels or {}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:1"}]},
        }
        manifest = {"metadata": {"name": name, "namespace": "default"}, "spec": {"template": template, **spec}}
        return await self.client.create(JOBS, manifest)

    async def job(self, name="once"):
        return await self.client.get(JOBS, name, "default")

    async def pods(self):
        return (await self.client.list(PODS, "default")).items

    async def end(self, pod, phase="Succeeded"):
        name = pod["metadata"]["name"]
        await self.client.patch(PODS, name, {"status": {"phase": phase}}, "default", subresource="status")

    async def until(self, condition):
        async with asyncio.timeout(60):
            while True:
                result = await condition()
                if result:
                    return result
                await asyncio.sleep(0.005)

    async def has_pods(self, number):
        async def are_there():
            pods = await self.pods()
            return len(pods) == number and [pods]

        return (await self.until(are_there))[0]

    async def finishes(self, kind="Complete", name="once"):
        async def is_so():
            job = await self.job(name)
            return job if is_true(job, kind) else None

        return await self.until(is_so)


@pytest.fixture
async def cluster():
    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world, Config())
    await server.open()
    cluster = Cluster(server, world)
    await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    cluster.start()
    yield cluster
    await cluster.stop()
    await server.close()
    await store.close()


async def test_w54_a_job_runs_to_its_end_and_then_nothing_is_written_any_more(cluster):
    await cluster.create(completions=3, parallelism=2)
    for number in (2, 3):
        pods = await cluster.has_pods(number)
        await cluster.end(next(pod for pod in pods if pod["status"]["phase"] == "Pending"))
    pods = await cluster.has_pods(3)
    await cluster.end(next(pod for pod in pods if pod["status"]["phase"] == "Pending"))
    job = await cluster.finishes()
    assert job["status"]["succeeded"] == 3
    assert [pod["metadata"].get("finalizers") for pod in await cluster.pods()] == [None] * 3
    await asyncio.sleep(0.1)
    assert (await cluster.job())["metadata"]["resourceVersion"] == job["metadata"]["resourceVersion"]
    await cluster.runners[0].events.flush()
    events = (await cluster.client.list(EVENTS, "default")).items
    assert {event["source"]["component"] for event in events} == {"job-controller"}
    assert sorted(event["reason"] for event in events) == ["Completed"] + 3 * ["SuccessfulCreate"]


async def test_w52_what_ended_while_the_controller_was_away_is_counted(cluster):
    await cluster.create(completions=2, parallelism=2)
    first, second = await cluster.has_pods(2)
    await cluster.stop()
    await cluster.end(first)
    await cluster.end(second)
    await cluster.client.delete(PODS, first["metadata"]["name"], "default", grace_period_s=0)
    cluster.start()
    job = await cluster.finishes()
    assert job["status"]["succeeded"] == 2
    await cluster.has_pods(1)


async def test_w58_a_job_deleted_without_a_word_leaves_its_pods_alone_and_free(cluster):
    await cluster.create()
    await cluster.has_pods(1)
    await cluster.client.delete(JOBS, "once", "default")

    async def is_free():
        (pod,) = await cluster.pods()
        metadata = pod["metadata"]
        return not metadata.get("finalizers") and not metadata.get("ownerReferences") and pod

    pod = await cluster.until(is_free)
    assert "deletionTimestamp" not in pod["metadata"]


async def test_w58_a_job_deleted_with_its_pods_takes_them_along(cluster):
    await cluster.create(parallelism=2, completions=2)
    await cluster.has_pods(2)
    await cluster.client.delete(JOBS, "once", "default", propagation="Background")
    await cluster.has_pods(0)


async def test_w52_pods_whose_job_is_gone_are_freed(cluster):
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "gone", "uid": "nobody", "controller": True}
    spec = {"containers": [{"name": "main", "image": "app:1"}]}
    for name, owners in (("a", [owner]), ("b", [])):
        metadata = {"name": name, "namespace": "default", "finalizers": [TRACKING], "ownerReferences": owners}
        await cluster.client.create(PODS, {"metadata": metadata, "spec": spec})

    async def are_free():
        return not any(pod["metadata"].get("finalizers") for pod in await cluster.pods())

    await cluster.until(are_free)


async def test_w2_a_job_with_a_selector_of_its_own_adopts(cluster):
    spec = {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}
    metadata = {"name": "mine", "namespace": "default", "labels": {"app": "x"}}
    pod = await cluster.client.create(PODS, {"metadata": metadata, "spec": spec})
    await cluster.create(labels={"app": "x"}, manualSelector=True, selector={"matchLabels": {"app": "x"}})
    await cluster.end(pod)
    job = await cluster.finishes()
    assert job["status"]["succeeded"] >= 1


async def test_w56_suspended_and_resumed_by_an_update(cluster):
    await cluster.create(suspend=True)

    async def is_suspended():
        return is_true(await cluster.job(), "Suspended")

    await cluster.until(is_suspended)
    assert not await cluster.pods()
    await cluster.client.patch(JOBS, "once", {"spec": {"suspend": False}}, "default")
    (pod,) = await cluster.has_pods(1)
    await cluster.end(pod)
    await cluster.finishes()


async def test_many_pods_are_looked_at_together(cluster, monkeypatch):
    monkeypatch.setattr(job_controller, "MANY_PODS", 3)
    monkeypatch.setattr(job_controller, "BATCH_S", 0.2)
    await cluster.create(completions=5, parallelism=5)
    pods = await cluster.has_pods(5)
    await asyncio.sleep(0.3)
    generation = int((await cluster.job())["metadata"]["resourceVersion"])
    for pod in pods:
        await cluster.end(pod)
    job = await cluster.finishes()
    assert job["status"]["succeeded"] == 5
    assert int(job["metadata"]["resourceVersion"]) - generation < 5 + 5 + 5, "five ends, five releases, few of status"
