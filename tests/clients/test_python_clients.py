"""The Python clients there are, each doing its daily work: write, read, patch, list in pages, watch, be refused."""

from __future__ import annotations

import asyncio
import threading

import kr8s
import kr8s.asyncio
import kubernetes
import kubernetes_asyncio
import lightkube
import pytest
from kr8s.objects import ConfigMap
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources import apps_v1, core_v1
from lightkube.types import PatchType

SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "web"},
    "spec": {
        "serviceName": "web",
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "host"}]},
        },
    },
}


@pytest.fixture
def kubeconfig(cluster):
    return str(cluster.home / "kubeconfig")


# -- kubernetes


@pytest.fixture
def official(kubeconfig):
    with kubernetes.config.new_client_from_config(kubeconfig) as made:
        yield made


def test_kubernetes_writes_reads_patches_and_deletes(official, namespace):
    core = kubernetes.client.CoreV1Api(official)
    body = kubernetes.client.V1ConfigMap(metadata=kubernetes.client.V1ObjectMeta(name="a"), data={"k": "1"})
    made = core.create_namespaced_config_map(namespace, body)
    assert (made.data, made.metadata.creation_timestamp.tzinfo is not None) == ({"k": "1"}, True)
    patched = core.patch_namespaced_config_map("a", namespace, {"data": {"l": "2"}})
    assert patched.data == {"k": "1", "l": "2"}
    made.data = {"k": "3"}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.replace_namespaced_config_map("a", namespace, made)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    assert core.delete_namespaced_config_map("a", namespace)["status"] == "Success"
    with pytest.raises(kubernetes.client.ApiException) as missing:
        core.read_namespaced_config_map("a", namespace)
    assert 'configmaps \\"a\\" not found' in missing.value.body


def test_kubernetes_pages_through_lists(official, namespace):
    core = kubernetes.client.CoreV1Api(official)
    for name in "abcde":
        core.create_namespaced_secret(namespace, {"metadata": {"name": name}})
    page, names = core.list_namespaced_secret(namespace, limit=2), []
    while True:
        names += [item.metadata.name for item in page.items]
        if not page.metadata._continue:
            break
        page = core.list_namespaced_secret(namespace, limit=2, _continue=page.metadata._continue)
    assert names == list("abcde")


def test_kubernetes_watches_from_a_list(official, namespace):
    core = kubernetes.client.CoreV1Api(official)
    version = core.list_namespaced_secret(namespace).metadata.resource_version
    writer = threading.Timer(0.2, lambda: core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}}))
    writer.start()
    stream = kubernetes.watch.Watch().stream(
        core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=90
    )
    event = next(stream)
    stream.close()
    writer.join()
    assert (event["type"], event["object"].metadata.name, event["object"].kind) == ("ADDED", "s", "Secret")


def test_kubernetes_scales_a_set_and_reads_its_status(official, namespace):
    apps = kubernetes.client.AppsV1Api(official)
    apps.create_namespaced_stateful_set(namespace, SET)
    assert apps.read_namespaced_stateful_set_scale("web", namespace).spec.replicas in (0, None)
    scaled = apps.patch_namespaced_stateful_set_scale("web", namespace, {"spec": {"replicas": 2}})
    assert (scaled.spec.replicas, scaled.kind) == (2, "Scale")
    assert apps.read_namespaced_stateful_set("web", namespace).spec.replicas == 2
    assert apps.read_namespaced_stateful_set_status("web", namespace).status is not None


def test_kubernetes_dynamic_client_applies_server_side(official, namespace):
    dynamic = kubernetes.dynamic.DynamicClient(official)
    sets = dynamic.resources.get(api_version="apps/v1", kind="StatefulSet")
    applied = sets.server_side_apply(body=SET, namespace=namespace, field_manager="me")
    assert applied.spec.serviceName == "web"
    (entry,) = [entry for entry in applied.metadata.managedFields if entry.operation == "Apply"]
    assert entry.manager == "me"
    changed = {**SET, "spec": {**SET["spec"], "replicas": 1}}
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError):
        sets.server_side_apply(body=changed, namespace=namespace, field_manager="you")


# -- kubernetes_asyncio


async def test_kubernetes_asyncio_writes_and_watches(kubeconfig, namespace):
    async with await kubernetes_asyncio.config.new_client_from_config(kubeconfig) as made:
        core = kubernetes_asyncio.client.CoreV1Api(made)
        version = (await core.list_namespaced_secret(namespace)).metadata.resource_version
        for name in "ab":
            await core.create_namespaced_secret(namespace, {"metadata": {"name": name}})
        await core.delete_namespaced_secret("a", namespace)
        seen = []
        async with kubernetes_asyncio.watch.Watch() as watch:
            async for event in watch.stream(
                core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=90
            ):
                seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == 3:
                    break
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_kubernetes_asyncio_keeps_many_watches_open_at_once(kubeconfig, namespace):
    """(A318)"""
    async with await kubernetes_asyncio.config.new_client_from_config(kubeconfig) as made:
        core = kubernetes_asyncio.client.CoreV1Api(made)
        version = (await core.list_namespaced_secret(namespace)).metadata.resource_version

        async def first():
            async with kubernetes_asyncio.watch.Watch() as watch:
                stream = watch.stream(
                    core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=90
                )
                return (await anext(stream))["object"].metadata.name

        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(first()) for _ in range(20)]
            await asyncio.sleep(0.2)
            await core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}})
    assert [task.result() for task in waiting] == ["s"] * 20


# -- kr8s, which warns of every version newer than itself

NEWER = "ignore:Kubernetes version .* is not supported:UserWarning"


@pytest.mark.filterwarnings(NEWER)
def test_kr8s_makes_labels_and_deletes(kubeconfig, namespace):
    made = kr8s.api(kubeconfig=kubeconfig, namespace=namespace)
    box = ConfigMap({"metadata": {"name": "a", "namespace": namespace}, "data": {"k": "1"}}, api=made)
    box.create()
    box.label({"x": "y"})
    box.patch({"data": {"k": "2"}})
    (found,) = made.get("configmaps", namespace=namespace, label_selector={"x": "y"})
    assert (found.name, found.data.k, found.labels.x) == ("a", "2", "y")
    box.delete()
    assert not box.exists()
    with pytest.raises(kr8s.NotFoundError):
        ConfigMap.get("a", namespace=namespace, api=made)


@pytest.mark.filterwarnings(NEWER)
async def test_kr8s_watches(kubeconfig, namespace):
    made = await kr8s.asyncio.api(kubeconfig=kubeconfig, namespace=namespace)
    box = await kr8s.asyncio.objects.ConfigMap(
        {"metadata": {"name": "a", "namespace": namespace}, "data": {"k": "1"}}, api=made
    )
    await box.create()
    seen = []
    async with asyncio.timeout(90):
        async for kind, found in made.watch("configmaps", namespace=namespace, field_selector="metadata.name=a"):
            seen.append((kind, found.raw["data"]["k"]))
            if len(seen) == 2:
                break
            await box.patch({"data": {"k": "2"}})
    assert seen == [("ADDED", "1"), ("MODIFIED", "2")]


# -- lightkube


@pytest.fixture
def light(kubeconfig, namespace):
    return lightkube.Client(
        config=lightkube.KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="lightkube"
    )


def test_lightkube_creates_lists_patches_and_applies(light):
    light.create(core_v1.ConfigMap(metadata=ObjectMeta(name="a", labels={"x": "y"}), data={"k": "1"}))
    assert [found.metadata.name for found in light.list(core_v1.ConfigMap, labels={"x": "y"})] == ["a"]
    light.patch(core_v1.ConfigMap, "a", {"data": {"l": "2"}}, patch_type=PatchType.MERGE)
    assert light.get(core_v1.ConfigMap, "a").data == {"k": "1", "l": "2"}
    applied = light.apply(apps_v1.StatefulSet.from_dict(SET))
    assert applied.spec.revisionHistoryLimit == 10
    scale = light.get(apps_v1.StatefulSet.Scale, "web")
    assert scale.status.selector == "app=web"
    light.delete(core_v1.ConfigMap, "a")
    with pytest.raises(lightkube.ApiError) as missing:
        light.get(core_v1.ConfigMap, "a")
    assert (missing.value.status.code, missing.value.status.reason) == (404, "NotFound")


def test_lightkube_watches_what_is_there_and_what_comes(light):
    light.create(core_v1.Secret(metadata=ObjectMeta(name="a", labels={"x": "y"})))
    seen = []
    for kind, found in light.watch(core_v1.Secret, labels={"x": "y"}, server_timeout=90):
        seen.append((kind, found.metadata.name))
        if len(seen) == 1:
            light.create(core_v1.Secret(metadata=ObjectMeta(name="b", labels={"x": "y"})))
        if len(seen) == 2:
            light.patch(core_v1.Secret, "b", {"metadata": {"labels": {"x": "z"}}})
        if len(seen) == 3:
            break
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "b")]
