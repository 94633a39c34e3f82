"""The controller on a real API server in this process: what wakes a set, and whole lives of sets."""

import asyncio
import json
import random
from contextlib import aclosing, asynccontextmanager

import pytest

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.apiserver.auth.user import MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import PatchType, Unreachable
from holdfast.client.informer import Informers
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient
from holdfast.controllers.content_hash import canonical
from holdfast.controllers.runner import Runner
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.store.memory import MemoryStore
from holdfast.wire.http import serve
from holdfast.world import real_world


class Lossy:
    """A client of which a third of the answers get lost, half of those after the call took effect."""

    def __init__(self, inner, seed):
        self._inner = inner
        self._random = random.Random(seed)
        self.lost = 0

    def __getattr__(self, name):
        async def call(*arguments, **options):
            chance = self._random.random()
            self.lost += chance < 1 / 3
            if chance < 1 / 6:
                raise Unreachable("the request was lost")
            answer = await getattr(self._inner, name)(*arguments, **options)
            if chance < 1 / 3:
                raise Unreachable("the answer was lost")
            return answer

        return call

    def watch(self, *arguments, **options):
        return self._inner.watch(*arguments, **options)


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class Cluster:
    """The server, its client, and the controller, which may crash and come back."""

    def __init__(self, server, client):
        self.server = server
        self.client = server.client("test")
        self.controllers_client = client
        self.world = real_world()
        self.runner = None
        self._tasks = []

    def start(self):
        client = self.controllers_client
        informers = Informers(client, self.world)
        self.runner = Runner(StatefulSetController(self.world, recounts=True), client, informers, self.world)
        self._tasks += [asyncio.ensure_future(informers.run()), asyncio.ensure_future(self.runner.run())]

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()

    async def apply(self, name="web", replicas=2, **spec):
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "app:1"}], "terminationGracePeriodSeconds": 0},
        }
        whole = {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}}, **spec}
        manifest = {"metadata": {"name": name, "namespace": "default"}, "spec": {"template": template, **whole}}
        return await self.client.create(STATEFUL_SETS, manifest)

    async def patch(self, patch, name="web", resource=STATEFUL_SETS):
        return await self.client.patch(resource, name, patch, "default")

    async def set(self, name="web"):
        return await self.client.get(STATEFUL_SETS, name, "default")

    async def pods(self):
        return {one["metadata"]["name"]: one for one in (await self.client.list(PODS, "default")).items}

    async def delete(self, resource, name, **options):
        return await self.client.delete(resource, name, "default", **options)

    async def messages(self):
        await self.runner.events.flush()
        return {event["message"] for event in (await self.client.list(EVENTS, "default")).items}

    async def until(self, condition):
        async with asyncio.timeout(60):
            while True:
                result = await condition()
                if result:
                    return result
                await asyncio.sleep(0.002)

    async def settled(self, name="web"):
        """Returns once the set is as wanted."""

        async def is_so():
            one = await self.set(name)
            status, wanted = one["status"], one["spec"]["replicas"]
            return (
                status.get("observedGeneration") == one["metadata"]["generation"]
                and (status["replicas"], status.get("updatedReplicas", 0)) == (wanted, wanted)
                and status["availableReplicas"] == wanted
                and status.get("currentRevision") == status.get("updateRevision")
            )

        await self.until(is_so)

    async def play_nodes(self):
        """Every pod becomes ready; every terminating one leaves."""
        async with aclosing(self.client.watch(PODS, resource_version="0")) as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    await self._play(event.object)

    async def _play(self, pod):
        metadata = pod["metadata"]
        try:
            if "deletionTimestamp" in metadata:
                await self.delete(PODS, metadata["name"], grace_period_s=0)
            elif pod["status"]["phase"] == "Pending":
                await self.client.patch(
                    PODS,
                    metadata["name"],
                    {"status": {"phase": "Running", "conditions": [READY]}},
                    metadata["namespace"],
                    subresource="status",
                )
        except NotFound:
            pass


@pytest.fixture(params=["in the server's process", "over HTTP"])
async def cluster(request):
    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world, Config(tokens={"secret": User("controllers", (MASTERS,))}))
    await server.open()
    http = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    remote = RemoteClient(Connection(f"http://127.0.0.1:{http.port}", token="secret"))
    cluster = Cluster(server, remote if request.param == "over HTTP" else server.client("controllers"))
    await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    cluster.start()
    yield cluster
    await cluster.stop()
    await remote.close()
    await server.close()
    await http.close()
    await store.close()


@asynccontextmanager
async def nodes(cluster):
    task = asyncio.ensure_future(cluster.play_nodes())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def goes_quiet(cluster):
    """S202: sooner or later, nobody writes any more."""
    for _ in range(100):
        await cluster.runner.events.flush()
        revision = cluster.server.store.revision
        await asyncio.sleep(0.1)
        if cluster.server.store.revision == revision:
            return True
    return False


CLAIMS = [
    {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
]


@pytest.mark.parametrize("management", ["OrderedReady", "Parallel"])
async def test_a_set_comes_up_is_updated_scaled_and_goes_quiet(cluster, management):
    async with nodes(cluster):
        await cluster.apply(replicas=3, podManagementPolicy=management, volumeClaimTemplates=CLAIMS)
        await cluster.settled()
        assert set(await cluster.pods()) == {"web-0", "web-1", "web-2"}
        container = {"name": "main", "image": "app:2"}
        await cluster.patch({"spec": {"template": {"spec": {"containers": [container]}}}})
        await cluster.settled()
        images = {pod["spec"]["containers"][0]["image"] for pod in (await cluster.pods()).values()}
        assert images == {"app:2"}
        await cluster.patch({"spec": {"replicas": 1}})
        await cluster.settled()
        assert set(await cluster.pods()) == {"web-0"}
        claims = (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
        assert len(claims) == 3
        assert await goes_quiet(cluster)
    assert "Create Pod web-2 in StatefulSet web successful" in await cluster.messages()


async def test_s68_s69_the_revision_has_the_name_it_has_on_any_cluster(cluster):
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]},
    }
    await cluster.apply(replicas=0, template=template)
    await cluster.settled()
    (revision,) = (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items
    assert revision["metadata"]["name"] == "web-6578754d74"


async def test_s68_s190_data_are_served_as_the_bytes_that_kubectl_compares(cluster):
    await cluster.apply(replicas=0)
    await cluster.settled()
    (revision,) = (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items
    assert json.dumps(revision["data"], separators=(",", ":")).encode() == canonical(revision["data"])


async def test_s69_equal_defaults_give_equal_revision_names(cluster):
    container = {"name": "main", "image": "app:1"}
    said = {
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "containers": [{**container, "imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File"}],
    }
    for name, spec in (("said", said), ("unsaid", {"containers": [container]})):
        template = {"metadata": {"labels": {"app": "both"}, "creationTimestamp": None}, "spec": spec}
        await cluster.apply(name, 0, template=template, selector={"matchLabels": {"app": "both"}})
        await cluster.settled(name)
    names = {one["metadata"]["name"] for one in (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items}
    assert len({name.removeprefix("un").removeprefix("said-") for name in names}) == 1
    assert len(names) == 2


async def test_s23_a_missing_governing_service_delays_nothing(cluster):
    async with nodes(cluster):
        await cluster.apply(serviceName="nowhere")
        await cluster.settled()
        assert "nowhere" not in {one["metadata"]["name"] for one in (await cluster.client.list(SERVICES)).items}


async def test_s24_a_set_of_a_long_name_is_accepted_and_its_pods_are_not(cluster):
    name = "w" * 53
    await cluster.apply(name, 1)

    async def has_failed():
        start = f"Create Pod {name}-0 in StatefulSet {name} failed error: Pod "
        return [text for text in await cluster.messages() if text.startswith(start)]

    (text,) = await cluster.until(has_failed)
    assert "must be no more than 63" in text
    assert not await cluster.pods()


async def test_s205_the_same_manifest_again_changes_nothing_and_scaling_makes_no_revision(cluster):
    async with nodes(cluster):
        made = await cluster.apply(volumeClaimTemplates=CLAIMS)
        await cluster.settled()
        sent = {key: made[key] for key in ("apiVersion", "kind", "spec")}
        sent |= {"metadata": {"name": "web", "namespace": "default"}}
        for _ in range(2):
            await cluster.client.update(STATEFUL_SETS, sent)
            await cluster.patch(sent)
            await cluster.client.patch(STATEFUL_SETS, "web", sent, "default", type=PatchType.STRATEGIC)
        assert (await cluster.set())["metadata"]["generation"] == 1
        await cluster.patch({"spec": {"replicas": 3}})
        await cluster.settled()
        assert (await cluster.set())["metadata"]["generation"] == 2
        assert len((await cluster.client.list(CONTROLLER_REVISIONS, "default")).items) == 1


async def test_s151_a_pods_change_and_end_wake_its_set(cluster):
    async with nodes(cluster):
        await cluster.apply()
        await cluster.settled()
        uid = (await cluster.pods())["web-0"]["metadata"]["uid"]
        await cluster.delete(PODS, "web-0", grace_period_s=0)

        async def is_back():
            pod = (await cluster.pods()).get("web-0")
            return pod is not None and pod["metadata"]["uid"] != uid

        await cluster.until(is_back)


async def test_s122_a_pod_whose_owner_is_taken_away_is_adopted_again(cluster):
    async with nodes(cluster):
        await cluster.apply()
        await cluster.settled()
        uid = (await cluster.pods())["web-0"]["metadata"]["uid"]
        await cluster.patch({"metadata": {"ownerReferences": None}}, "web-0", PODS)

        async def is_owned():
            return (await cluster.pods())["web-0"]["metadata"].get("ownerReferences")

        await cluster.until(is_owned)
        assert (await cluster.pods())["web-0"]["metadata"]["uid"] == uid


async def test_s110_s122_a_pod_whose_labels_are_taken_away_is_released_and_comes_back_with_them(cluster):
    async with nodes(cluster):
        await cluster.apply()
        await cluster.settled()
        pod = (await cluster.pods())["web-0"]
        await cluster.patch({"metadata": {"labels": {"app": None}}}, "web-0", PODS)

        async def is_counted(replicas):
            return (await cluster.set())["status"]["replicas"] == replicas

        await cluster.until(lambda: is_counted(1))
        assert "ownerReferences" not in (await cluster.pods())["web-0"]["metadata"]
        await cluster.patch({"metadata": {"labels": {"app": "web"}}}, "web-0", PODS)
        await cluster.until(lambda: is_counted(2))
        assert (await cluster.pods())["web-0"]["metadata"]["uid"] == pod["metadata"]["uid"]
    assert not [text for text in await cluster.messages() if "already exists" in text]


async def test_s151_a_change_of_controller_wakes_the_old_one(cluster):
    async with nodes(cluster):
        await cluster.apply()
        await cluster.settled()
        other = {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "o", "controller": True}
        await cluster.patch({"metadata": {"ownerReferences": [other]}}, "web-1", PODS)

        async def is_uncounted():
            return (await cluster.set())["status"]["replicas"] == 1

        await cluster.until(is_uncounted)


async def test_s28_an_orphan_is_taken_by_the_set_of_its_name_only(cluster):
    async with nodes(cluster):
        for name in ("a", "b"):
            labels = {"app": "both"}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
            await cluster.apply(name, 0, template=template, selector={"matchLabels": labels})
            await cluster.settled(name)
        await cluster.patch({"spec": {"replicas": 1}}, "b")
        await cluster.settled("b")
        await cluster.client.patch(PODS, "b-0", {"metadata": {"ownerReferences": None}}, "default")

        async def owners():
            return (await cluster.pods())["b-0"]["metadata"].get("ownerReferences")

        (owner,) = await cluster.until(owners)
        assert owner["name"] == "b"


@pytest.mark.parametrize("management", ["OrderedReady", "Parallel"])
async def test_s58_the_end_of_a_claim_wakes_the_set_that_waits_for_it(cluster, management):
    finalizer = {"metadata": {"finalizers": ["example.com/held"]}}
    async with nodes(cluster):
        retention = {"whenScaled": "Delete", "whenDeleted": "Retain"}
        await cluster.apply(
            volumeClaimTemplates=CLAIMS, persistentVolumeClaimRetentionPolicy=retention, podManagementPolicy=management
        )
        await cluster.settled()
        await cluster.patch(finalizer, "data-web-1", PERSISTENT_VOLUME_CLAIMS)
        await cluster.patch({"spec": {"replicas": 1}})

        async def is_gone():
            return "web-1" not in await cluster.pods()

        await cluster.until(is_gone)
        await cluster.patch({"spec": {"replicas": 2}})
        await asyncio.sleep(0.05)
        assert "web-1" not in await cluster.pods()
        claim = await cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data-web-1")
        await cluster.patch({"metadata": {"finalizers": None}}, "data-web-1", PERSISTENT_VOLUME_CLAIMS)
        await cluster.settled()
        fresh = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "data-web-1", "default")
        assert fresh["metadata"]["uid"] != claim["metadata"]["uid"]


async def test_s33_a_claim_that_is_being_deleted_is_waited_for_and_made_anew(cluster):
    async with nodes(cluster):
        claim = {
            "metadata": {"name": "data-web-0", "namespace": "default", "finalizers": ["example.com/held"]},
            "spec": CLAIMS[0]["spec"],
        }
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        await cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data-web-0")
        await cluster.apply(replicas=1, volumeClaimTemplates=CLAIMS)

        async def has_failed():
            return any("is being deleted" in text for text in await cluster.messages())

        await cluster.until(has_failed)
        assert not await cluster.pods()
        await cluster.patch({"metadata": {"finalizers": None}}, "data-web-0", PERSISTENT_VOLUME_CLAIMS)
        await cluster.settled()
    assert (
        "Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted" in await cluster.messages()
    )


async def test_s56_a_new_claim_gets_its_owner(cluster):
    async with nodes(cluster):
        retention = {"whenScaled": "Retain", "whenDeleted": "Delete"}
        made = await cluster.apply(volumeClaimTemplates=CLAIMS, persistentVolumeClaimRetentionPolicy=retention)
        await cluster.settled()
        claims = (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
        owners = [claim["metadata"]["ownerReferences"][0]["uid"] for claim in claims]
        assert owners == [made["metadata"]["uid"]] * 2
        assert await goes_quiet(cluster)


async def test_s14_s154_a_set_with_min_ready_seconds_looks_again_by_itself(cluster):
    await cluster.apply(replicas=1, minReadySeconds=1)

    async def exists():
        return "web-0" in await cluster.pods()

    await cluster.until(exists)
    since = cluster.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"status": {"phase": "Running", "conditions": [{**READY, "lastTransitionTime": since}]}}
    await cluster.client.patch(PODS, "web-0", ready, "default", subresource="status")

    async def is_available():
        return (await cluster.set())["status"]["availableReplicas"] == 1

    await cluster.until(is_available)


async def test_s110_a_taken_name_is_silent_and_tried_again(cluster):
    spec = {"containers": [{"name": "c", "image": "app:1"}]}
    stranger = {"metadata": {"name": "web-0", "namespace": "default", "labels": {"app": "other"}}, "spec": spec}
    await cluster.client.create(PODS, stranger)
    await cluster.apply(replicas=1)

    async def has_failed():
        return cluster.runner.queue._failures.get("default/web", 0) > 2

    await cluster.until(has_failed)
    assert await cluster.messages() == set()
    await cluster.delete(PODS, "web-0", grace_period_s=0)
    async with nodes(cluster):
        await cluster.settled()


async def test_s65_s74_s183_undo_by_the_revisions_patch_brings_the_old_revision_back(cluster):
    """S183: the patch is the revision's own data."""
    async with nodes(cluster):
        await cluster.apply(replicas=1)
        await cluster.settled()
        (first,) = (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items
        await cluster.patch({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}})
        await cluster.settled()
        await cluster.client.patch(STATEFUL_SETS, "web", first["data"], "default", type=PatchType.STRATEGIC)
        await cluster.settled()
        revisions = (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items
        numbers = {one["metadata"]["name"]: one["revision"] for one in revisions}
        assert numbers[first["metadata"]["name"]] == 3
        assert (await cluster.set())["status"]["updateRevision"] == first["metadata"]["name"]


async def test_a_controller_that_crashes_at_any_moment_leaves_a_set_that_its_successor_finishes(cluster):
    async with nodes(cluster):
        await cluster.apply(replicas=6, volumeClaimTemplates=CLAIMS)
        for _ in range(8):
            await cluster.stop()
            cluster.start()
            await asyncio.sleep(0.004)
        await cluster.settled()
        assert len(await cluster.pods()) == 6
        assert await goes_quiet(cluster)


@pytest.mark.parametrize("seed", range(4))
async def test_s200_whatever_answers_get_lost_there_is_one_pod_for_each_ordinal(cluster, seed):
    await cluster.stop()
    cluster.controllers_client = Lossy(cluster.controllers_client, seed)
    cluster.start()
    seen = []
    start = (await cluster.client.list(PODS)).resource_version
    async with nodes(cluster), aclosing(cluster.client.watch(PODS, resource_version=start)) as events:
        management = "Parallel" if seed % 2 else "OrderedReady"
        await cluster.apply(replicas=3, volumeClaimTemplates=CLAIMS, podManagementPolicy=management)
        await cluster.settled()
        await cluster.patch({"spec": {"replicas": 1}})
        await cluster.settled()
        assert len(await cluster.pods()) == 1
        while ("DELETED", "web-1") not in seen:
            event = await asyncio.wait_for(anext(events), 5)
            seen.append((event.type, event.object["metadata"].get("name", "")))
    assert cluster.controllers_client.lost > 0
    assert sorted(name for type, name in seen if type == "ADDED") == ["web-0", "web-1", "web-2"]


async def test_s26_a_pod_of_another_spelling_is_adopted_and_cannot_be_renamed(cluster):
    async with nodes(cluster):
        spec = {"containers": [{"name": "main", "image": "app:1"}]}
        metadata = {"name": "web-01", "namespace": "default", "labels": {"app": "web"}}
        await cluster.client.create(PODS, {"metadata": metadata, "spec": spec})
        await cluster.apply(replicas=2)

        async def has_failed():
            text = 'Update Pod web-1 in StatefulSet web failed error: pods "web-1" not found'
            return text in await cluster.messages()

        await cluster.until(has_failed)
        assert (await cluster.pods())["web-01"]["metadata"]["ownerReferences"]
        await cluster.delete(PODS, "web-01")
        await cluster.settled()
    assert set(await cluster.pods()) == {"web-0", "web-1"}


async def test_s36_an_adopted_pod_without_the_claims_volume_is_refused_until_somebody_deletes_it(cluster):
    async with nodes(cluster):
        labels = {"app": "web", "statefulset.kubernetes.io/pod-name": "web-0"}
        spec = {"containers": [{"name": "main", "image": "app:1"}]}
        metadata = {"name": "web-0", "namespace": "default", "labels": labels}
        await cluster.client.create(PODS, {"metadata": metadata, "spec": spec})
        await cluster.apply(replicas=1, volumeClaimTemplates=CLAIMS)

        async def has_failed():
            start = 'Update Pod web-0 in StatefulSet web failed error: Pod "web-0" is invalid: spec: Forbidden'
            return any(text.startswith(start) for text in await cluster.messages())

        await cluster.until(has_failed)
        await cluster.delete(PODS, "web-0", grace_period_s=0)
        await cluster.settled()


async def test_s160_a_creation_that_admission_refuses_is_told_and_tried_again(cluster):
    await cluster.delete(SERVICE_ACCOUNTS, "default")
    async with nodes(cluster):
        await cluster.apply(replicas=1)

        async def has_failed():
            start = 'Create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden'
            return any(text.startswith(start) for text in await cluster.messages())

        await cluster.until(has_failed)
        assert (await cluster.set())["status"]["observedGeneration"] == 1, "S137"
        await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        await cluster.settled()


async def test_s7_a_set_deleted_in_the_foreground_only_has_its_status_kept(cluster):
    async with nodes(cluster):
        await cluster.apply(replicas=2)
        await cluster.settled()
        await cluster.delete(STATEFUL_SETS, "web", propagation="Foreground")
        await cluster.delete(PODS, "web-0", grace_period_s=0)

        async def is_counted():
            status = (await cluster.set())["status"]
            return (status["replicas"], status["observedGeneration"]) == (1, 2)

        await cluster.until(is_counted)
        assert await goes_quiet(cluster)
        assert set(await cluster.pods()) == {"web-1"}
