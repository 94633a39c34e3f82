"""Deployments, ReplicaSets and ReplicationControllers on a real API server in this process, with played nodes."""

import asyncio
import re
from contextlib import aclosing

import pytest

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.apiserver.auth.user import MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client.informer import Informers
from holdfast.controllers.deployment.controller import DeploymentController
from holdfast.controllers.replicaset.controller import ReplicaSetController, replication_controllers
from holdfast.controllers.runner import Runner
from holdfast.store.memory import MemoryStore
from holdfast.world import real_world

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class Cluster:
    """The server, the three controllers, and a client."""

    def __init__(self, server, world):
        self.client = server.client("test")
        self.server = server
        client = server.client("controllers")
        self.informers = Informers(client, world)
        clock = world.clock
        made = DeploymentController(clock), ReplicaSetController(clock), replication_controllers(clock)
        self.runners = [Runner(one, client, self.informers, world) for one in made]
        self.is_ready = True
        self.most = 0

    async def deploy(self, replicas=3, image="app:1", **spec):
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}}
        whole = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
        return await self.client.create(
            DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "default"}, "spec": whole}
        )

    async def patch(self, spec):
        return await self.client.patch(DEPLOYMENTS, "web", {"spec": spec}, "default")

    async def use(self, image, **spec):
        await self.patch({"template": {"spec": {"containers": [{"name": "main", "image": image}]}}, **spec})

    async def deployment(self):
        return await self.client.get(DEPLOYMENTS, "web", "default")

    async def list(self, resource):
        return (await self.client.list(resource, "default")).items

    async def revisions(self):
        """Sizes by revision."""
        return {
            one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: one["spec"]["replicas"]
            for one in await self.list(REPLICA_SETS)
        }

    async def messages(self):
        for runner in self.runners:
            await runner.events.flush()
        return {event["message"] for event in await self.list(EVENTS)}

    async def until(self, condition):
        async with asyncio.timeout(60):
            while True:
                result = await condition()
                if result:
                    return result
                await asyncio.sleep(0.005)

    async def rolled_out(self):
        async def is_so():
            one = await self.deployment()
            status, wanted = one["status"], one["spec"]["replicas"]
            counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
            is_seen = status.get("observedGeneration") == one["metadata"]["generation"]
            return is_seen and counts == [wanted] * 3 and self.reason(one, "Progressing") == "NewReplicaSetAvailable"

        await self.until(is_so)

    @staticmethod
    def reason(deployment, type):
        return {one["type"]: one["reason"] for one in deployment["status"].get("conditions", ())}.get(type)

    async def play_nodes(self):
        """Every pod becomes ready, unless `is_ready` is off; every terminating one leaves."""
        living = set()
        async with aclosing(self.client.watch(PODS, resource_version="0")) as events:
            async for event in events:
                if event.type == "BOOKMARK":
                    continue
                metadata = event.object["metadata"]
                if event.type == "DELETED" or "deletionTimestamp" in metadata:
                    living.discard(metadata["name"])
                else:
                    living.add(metadata["name"])
                self.most = max(self.most, len(living))
                if event.type != "DELETED":
                    await self._play(event.object)

    async def _play(self, pod):
        metadata = pod["metadata"]
        try:
            if "deletionTimestamp" in metadata:
                await self.client.delete(PODS, metadata["name"], "default", grace_period_s=0)
            elif self.is_ready and pod["status"]["phase"] == "Pending":
                status = {"status": {"phase": "Running", "conditions": [READY]}}
                await self.client.patch(PODS, metadata["name"], status, "default", subresource="status")
        except NotFound:
            pass


@pytest.fixture
async def cluster():
    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world, Config(tokens={"secret": User("controllers", (MASTERS,))}))
    await server.open()
    cluster = Cluster(server, world)
    await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    work = [runner.run() for runner in cluster.runners]
    tasks = [asyncio.ensure_future(one) for one in (*work, cluster.informers.run(), cluster.play_nodes())]
    yield cluster
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await server.close()
    await store.close()


async def test_w23_an_update_goes_through_within_its_bounds_and_then_nothing_is_written_any_more(cluster):
    await cluster.deploy(replicas=4, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}})
    await cluster.rolled_out()
    await cluster.use("app:2")
    await cluster.rolled_out()
    assert await cluster.revisions() == {"1": 0, "2": 4}
    assert cluster.most <= 5
    one = await cluster.deployment()
    assert one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert cluster.reason(one, "Available") == "MinimumReplicasAvailable"
    names = {each["spec"]["replicas"]: each["metadata"]["name"] for each in await cluster.list(REPLICA_SETS)}
    messages = await cluster.messages()
    assert f"Scaled up replica set {names[0]} from 0 to 4" in messages
    assert any(
        one.startswith(f"Scaled down replica set {names[0]} from ") and one.endswith(" to 0") for one in messages
    )
    pods = await cluster.list(PODS)
    assert {f"Created pod: {pod['metadata']['name']}" for pod in pods} <= messages
    assert all(pod["metadata"]["generateName"] == f"{names[4]}-" for pod in pods)

    async def is_quiet():
        await cluster.messages()
        revision = cluster.server.store.revision
        await asyncio.sleep(0.1)
        return cluster.server.store.revision == revision

    await cluster.until(is_quiet)


async def test_w30_a_template_that_comes_back_uses_its_old_set_under_a_new_revision(cluster):
    await cluster.deploy(replicas=1)
    await cluster.rolled_out()
    await cluster.use("app:2")
    await cluster.rolled_out()
    await cluster.use("app:1")
    await cluster.rolled_out()
    assert await cluster.revisions() == {"2": 0, "3": 1}
    (back,) = [one for one in await cluster.list(REPLICA_SETS) if one["spec"]["replicas"]]
    assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


async def test_w25_recreate_never_runs_old_and_new_pods_together(cluster):
    await cluster.deploy(replicas=2, strategy={"type": "Recreate"})
    await cluster.rolled_out()
    cluster.most = 0
    await cluster.use("app:2")
    await cluster.rolled_out()
    assert await cluster.revisions() == {"1": 0, "2": 2}
    assert cluster.most == 2


async def test_w31_a_paused_deployment_scales_but_does_not_roll(cluster):
    await cluster.deploy(replicas=1)
    await cluster.rolled_out()
    await cluster.use("app:2", paused=True, replicas=3)
    await cluster.until(lambda: paused_at(cluster, 3))
    assert await cluster.revisions() == {"1": 3}
    await cluster.patch({"paused": None})
    await cluster.rolled_out()
    assert await cluster.revisions() == {"1": 0, "2": 3}


async def paused_at(cluster, available):
    one = await cluster.deployment()
    is_paused = cluster.reason(one, "Progressing") == "DeploymentPaused"
    return is_paused and one["status"].get("availableReplicas") == available


async def test_w29_old_sets_beyond_the_limit_are_deleted_oldest_first(cluster):
    await cluster.deploy(replicas=1, revisionHistoryLimit=1)
    for image in ("app:2", "app:3", "app:4"):
        await cluster.rolled_out()
        await cluster.use(image)
    await cluster.rolled_out()

    async def is_trimmed():
        return await cluster.revisions() == {"3": 0, "4": 1}

    await cluster.until(is_trimmed)


async def test_w28_a_rollout_without_progress_is_called_stuck_after_its_deadline(cluster):
    cluster.is_ready = False
    await cluster.deploy(replicas=1, progressDeadlineSeconds=1)

    async def is_stuck():
        return cluster.reason(await cluster.deployment(), "Progressing") == "ProgressDeadlineExceeded"

    await cluster.until(is_stuck)
    assert cluster.reason(await cluster.deployment(), "Available") == "MinimumReplicasUnavailable"


async def test_w14_a_pod_that_is_refused_is_told_in_events_and_in_both_conditions(cluster):
    spec = {"serviceAccountName": "nobody", "containers": [{"name": "main", "image": "app:1"}]}
    await cluster.deploy(replicas=1, template={"metadata": {"labels": {"app": "web"}}, "spec": spec})

    async def is_told():
        return cluster.reason(await cluster.deployment(), "ReplicaFailure") == "FailedCreate"

    await cluster.until(is_told)
    (one,) = await cluster.list(REPLICA_SETS)
    (condition,) = one["status"]["conditions"]
    assert condition["message"].startswith('pods "'), condition
    assert f"Error creating: {condition['message']}" in await cluster.messages()


async def test_w14_of_several_pods_that_are_refused_the_conditions_tell_of_one(cluster):
    quota = {"metadata": {"name": "few", "namespace": "default"}, "spec": {"hard": {"pods": "1"}}}
    await cluster.client.create(RESOURCE_QUOTAS, quota)
    await cluster.deploy(replicas=3)

    async def is_told():
        return cluster.reason(await cluster.deployment(), "ReplicaFailure") == "FailedCreate"

    await cluster.until(is_told)
    (one,) = await cluster.list(REPLICA_SETS)
    (condition,) = one["status"]["conditions"]
    refused = r'pods "[^"]+" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1'
    assert re.fullmatch(refused, condition["message"])


async def test_w2_pods_are_adopted_and_released_by_their_labels(cluster):
    spec = {"containers": [{"name": "main", "image": "app:1"}]}
    pod = {"metadata": {"name": "loner", "namespace": "default", "labels": {"app": "web"}}, "spec": spec}
    await cluster.client.create(PODS, pod)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    controller = {"metadata": {"name": "old", "namespace": "default"}, "spec": {"replicas": 2, "template": template}}
    await cluster.client.create(REPLICATION_CONTROLLERS, controller)

    async def owned():
        return {
            pod["metadata"]["name"]
            for pod in await cluster.list(PODS)
            if any(one["kind"] == "ReplicationController" for one in pod["metadata"].get("ownerReferences", ()))
        }

    async def are_two():
        names = await owned()
        return "loner" in names and len(names) == 2

    await cluster.until(are_two)
    await cluster.client.patch(PODS, "loner", {"metadata": {"labels": {"app": "other"}}}, "default")

    async def is_replaced():
        names = await owned()
        return "loner" not in names and len(names) == 2

    await cluster.until(is_replaced)
    assert len(await cluster.list(PODS)) == 3
