"""DaemonSets on a real API server in this process, with the real scheduler and played nodes."""

import asyncio
from contextlib import aclosing, suppress

import pytest

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.apiserver.auth.user import MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import PatchType
from holdfast.client.informer import Informers
from holdfast.controllers.daemonset.controller import DaemonSetController
from holdfast.controllers.garbage.controller import GarbageCollector
from holdfast.controllers.runner import Runner
from holdfast.scheduler.controller import Scheduler
from holdfast.store.memory import MemoryStore
from holdfast.world import real_world

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
HASH = "controller-revision-hash"


class Cluster:
    """The server, the controller, the scheduler, and a client."""

    def __init__(self, server, world):
        self.client = server.client("test")
        self.server = server
        client = server.client("controllers")
        self.informers = Informers(client, world)
        self.runner = Runner(DaemonSetController(world.clock), client, self.informers, world)
        garbage = Runner(GarbageCollector(), client, self.informers, world)
        self.parts = [self.runner, garbage, Scheduler(client, self.informers, world), self.informers]
        self.failing = set()
        """Images whose pods fail at once."""

    async def add_node(self, name, **labels):
        status = {"conditions": [READY], "allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}}
        await self.client.create(NODES, {"metadata": {"name": name, "labels": labels}, "status": status})
        await self.client.patch(NODES, name, {"status": status}, subresource="status")
        await self.client.patch(NODES, name, {"spec": {"taints": None}})  # it has one until it is ready (A250)

    async def patch_node(self, name, patch):
        await self.client.patch(NODES, name, patch)

    async def apply(self, image="app:1", pods=None, **spec):
        container = {"name": "main", "image": image}
        template = {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [container], **(pods or {})}}
        whole = {"selector": {"matchLabels": {"app": "agent"}}, "template": template, **spec}
        manifest = {"metadata": {"name": "agent", "namespace": "default"}, "spec": whole}
        await self.client.create(DAEMON_SETS, manifest)

    async def patch(self, spec, type=PatchType.MERGE):
        return await self.client.patch(DAEMON_SETS, "agent", {"spec": spec}, "default", type=type)

    async def use(self, image):
        await self.patch({"template": {"spec": {"containers": [{"name": "main", "image": image}]}}})

    async def daemon_set(self):
        return await self.client.get(DAEMON_SETS, "agent", "default")

    async def list(self, resource):
        return (await self.client.list(resource, "default")).items

    async def images(self):
        """Of the pods that stay, by node; more than one for a node that has more."""
        found = {}
        for pod in await self.list(PODS):
            if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName"):
                image = pod["spec"]["containers"][0]["image"]
                name = pod["spec"]["nodeName"]
                found[name] = f"{found[name]} {image}" if name in found else image
        return found

    async def revisions(self):
        """Images by number."""
        return {
            one["revision"]: one["data"]["spec"]["template"]["spec"]["containers"][0]["image"]
            for one in await self.list(CONTROLLER_REVISIONS)
        }

    async def events(self):
        await self.runner.events.flush()
        return [(event["reason"], event["message"]) for event in await self.list(EVENTS)]

    async def until(self, condition, within_s=60):
        async with asyncio.timeout(within_s):
            while True:
                result = await condition()
                if result:
                    return result
                await asyncio.sleep(0.005)

    async def runs(self, expected):
        """Waits for pods of these images, available, and a status that says so."""

        async def is_so():
            status = (one := await self.daemon_set())["status"]
            seen = status.get("observedGeneration") == one["metadata"]["generation"]
            names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
            counts = {status.get(name, 0) for name in (*names, "updatedNumberScheduled")}
            return seen and counts == {len(expected)} and await self.images() == expected

        await self.until(is_so)

    async def play_nodes(self):
        """Every bound pod becomes ready, or fails; every terminating one leaves."""
        async with aclosing(self.client.watch(PODS, resource_version="0")) as events:
            async for event in events:
                if event.type not in ("BOOKMARK", "DELETED"):
                    with suppress(NotFound):
                        await self._play(event.object)

    async def _play(self, pod):
        metadata, status = pod["metadata"], {"phase": "Running", "conditions": [READY]}
        if pod["spec"]["containers"][0]["image"] in self.failing:
            status = {"phase": "Failed", "conditions": []}
        if "deletionTimestamp" in metadata:
            await self.client.delete(PODS, metadata["name"], "default", grace_period_s=0)
        elif pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
            await self.client.patch(PODS, metadata["name"], {"status": status}, "default", subresource="status")


@pytest.fixture
async def cluster():
    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world, Config(tokens={"secret": User("controllers", (MASTERS,))}))
    await server.open()
    cluster = Cluster(server, world)
    await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    work = [part.run() for part in cluster.parts]
    tasks = [asyncio.ensure_future(one) for one in (*work, cluster.play_nodes())]
    yield cluster
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await server.close()
    await store.close()


async def test_w40_every_node_gets_its_pod_a_new_one_too_and_then_nothing_is_written_any_more(cluster):
    await cluster.add_node("n1")
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    await cluster.add_node("n2")
    await cluster.runs({"n1": "app:1", "n2": "app:1"})
    pods = await cluster.list(PODS)
    told = {message for reason, message in await cluster.events() if reason == "SuccessfulCreate"}
    assert told == {f"Created pod: {pod['metadata']['name']}" for pod in pods}

    async def is_quiet():
        revision = cluster.server.store.revision
        await asyncio.sleep(0.1)
        return cluster.server.store.revision == revision

    await cluster.until(is_quiet)


async def test_w40_pods_come_and_go_with_labels_and_taints_of_nodes(cluster):
    await cluster.add_node("n1", disk="ssd")
    await cluster.add_node("n2")
    await cluster.apply(pods={"nodeSelector": {"disk": "ssd"}})
    await cluster.runs({"n1": "app:1"})
    await cluster.patch_node("n2", {"metadata": {"labels": {"disk": "ssd"}}})
    await cluster.runs({"n1": "app:1", "n2": "app:1"})
    await cluster.patch_node("n1", {"metadata": {"labels": {"disk": "hdd"}}})
    await cluster.runs({"n2": "app:1"})
    await cluster.patch_node("n2", {"spec": {"unschedulable": True}})
    await cluster.patch_node("n2", {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})

    async def is_misscheduled():
        status = (await cluster.daemon_set())["status"]
        return (status["numberMisscheduled"], status["desiredNumberScheduled"]) == (1, 0)

    await cluster.until(is_misscheduled)
    assert await cluster.images() == {"n2": "app:1"}
    await cluster.patch_node("n2", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
    await cluster.runs({})


async def test_w40_a_node_that_is_gone_is_not_counted_any_more(cluster):
    await cluster.add_node("n1")
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    await cluster.client.delete(NODES, "n1")

    async def is_noticed():
        return (await cluster.daemon_set())["status"]["desiredNumberScheduled"] == 0

    await cluster.until(is_noticed)


async def test_w40_a_cordoned_node_gets_a_pod_all_the_same(cluster):
    await cluster.add_node("n1")
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    await cluster.patch_node("n1", {"spec": {"unschedulable": True, "taints": [taint]}})
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})


@pytest.mark.parametrize(
    "bounds", [{"maxUnavailable": 1}, {"maxUnavailable": 0, "maxSurge": 1}, {"maxUnavailable": 0, "maxSurge": "100%"}]
)
async def test_w42_an_update_goes_through_and_back(cluster, bounds):
    for name in ("n1", "n2", "n3"):
        await cluster.add_node(name)
    await cluster.apply(updateStrategy={"rollingUpdate": bounds})
    await cluster.runs(dict.fromkeys(("n1", "n2", "n3"), "app:1"))
    await cluster.use("app:2")
    await cluster.runs(dict.fromkeys(("n1", "n2", "n3"), "app:2"))
    assert await cluster.revisions() == {1: "app:1", 2: "app:2"}
    first = min(await cluster.list(CONTROLLER_REVISIONS), key=lambda one: one["revision"])
    await cluster.patch(first["data"]["spec"], PatchType.STRATEGIC)
    await cluster.runs(dict.fromkeys(("n1", "n2", "n3"), "app:1"))
    assert await cluster.revisions() == {2: "app:2", 3: "app:1"}
    annotations = (await cluster.daemon_set())["metadata"]["annotations"]
    assert annotations["deprecated.daemonset.template.generation"] == "3"

    async def has_only_those_of_the_first():  # with a surge, the old one of a node goes last
        pods = await cluster.list(PODS)
        return {pod["metadata"]["labels"][HASH] for pod in pods} == {first["metadata"]["labels"][HASH]}

    await cluster.until(has_only_those_of_the_first)


async def test_w42_on_delete_a_pod_is_updated_once_somebody_deletes_it(cluster):
    await cluster.add_node("n1")
    await cluster.add_node("n2")
    await cluster.apply(updateStrategy={"type": "OnDelete"})
    await cluster.runs({"n1": "app:1", "n2": "app:1"})
    await cluster.use("app:2")

    async def is_seen():
        return (await cluster.daemon_set())["status"]["observedGeneration"] == 2

    await cluster.until(is_seen)
    (of_n1,) = [pod for pod in await cluster.list(PODS) if pod["spec"]["nodeName"] == "n1"]
    await cluster.client.delete(PODS, of_n1["metadata"]["name"], "default")

    async def is_replaced():
        return await cluster.images() == {"n1": "app:2", "n2": "app:1"}

    await cluster.until(is_replaced)


async def test_w42_the_history_is_cut_to_its_limit(cluster):
    await cluster.add_node("n1")
    await cluster.apply(revisionHistoryLimit=1)
    await cluster.runs({"n1": "app:1"})
    for image in ("app:2", "app:3", "app:4"):
        await cluster.use(image)
        await cluster.runs({"n1": image})

    async def is_cut():
        return await cluster.revisions() == {3: "app:3", 4: "app:4"}

    await cluster.until(is_cut)


async def test_w42_a_revision_that_somebody_deletes_is_made_again(cluster):
    await cluster.apply()
    (first,) = await cluster.until(lambda: cluster.list(CONTROLLER_REVISIONS))
    await cluster.client.delete(CONTROLLER_REVISIONS, first["metadata"]["name"], "default")

    async def is_back():
        found = await cluster.list(CONTROLLER_REVISIONS)
        return [one["metadata"]["uid"] for one in found] not in ([], [first["metadata"]["uid"]])

    await cluster.until(is_back)


async def test_w41_a_pod_that_fails_again_and_again_is_replaced_more_and_more_slowly(cluster):
    cluster.failing = {"app:bad"}
    await cluster.add_node("n1")
    await cluster.apply("app:bad")

    async def deletions():
        events = [message for reason, message in await cluster.events() if reason == "SuccessfulDelete"]
        return len(events) >= 2 and events

    started = asyncio.get_running_loop().time()
    await cluster.until(deletions)
    assert asyncio.get_running_loop().time() - started > 0.9
    await asyncio.sleep(0.3)
    assert len(await deletions()) == 2
    told = [message for reason, message in await cluster.events() if reason == "FailedDaemonPod"]
    assert len(told) == 2
    assert told[0].startswith("Found failed daemon pod default/agent-")
    assert told[0].endswith(" on node n1, will try to kill it")


async def test_min_ready_seconds_pass_before_a_pod_is_called_available(cluster):
    await cluster.add_node("n1")
    await cluster.apply(minReadySeconds=1)
    await cluster.runs({"n1": "app:1"})


async def test_w2_a_set_deleted_alone_leaves_pods_and_history_to_the_next_of_its_name(cluster):
    await cluster.add_node("n1")
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    (pod,) = await cluster.list(PODS)
    await cluster.client.delete(DAEMON_SETS, "agent", "default", propagation="Orphan")

    async def is_gone():
        return not await cluster.list(DAEMON_SETS)

    await cluster.until(is_gone)
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    assert [one["metadata"]["uid"] for one in await cluster.list(PODS)] == [pod["metadata"]["uid"]]
    assert await cluster.revisions() == {1: "app:1"}


@pytest.mark.parametrize("propagation", ["Foreground", "Background"])
async def test_a_set_that_is_deleted_takes_pods_and_history_with_it(cluster, propagation):
    await cluster.add_node("n1")
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    await cluster.client.delete(DAEMON_SETS, "agent", "default", propagation=propagation)

    async def is_gone():
        found = [await cluster.list(resource) for resource in (DAEMON_SETS, PODS, CONTROLLER_REVISIONS)]
        return not any(found)

    await cluster.until(is_gone)


async def test_w2_a_pod_that_loses_its_label_is_let_go_and_replaced(cluster):
    await cluster.add_node("n1")
    await cluster.apply()
    await cluster.runs({"n1": "app:1"})
    (pod,) = await cluster.list(PODS)
    name = pod["metadata"]["name"]
    await cluster.client.patch(PODS, name, {"metadata": {"labels": {"app": "other"}}}, "default")

    async def is_replaced():
        owners = {one["metadata"]["name"]: one["metadata"].get("ownerReferences") for one in await cluster.list(PODS)}
        return len(owners) == 2 and not owners[name]

    await cluster.until(is_replaced)
