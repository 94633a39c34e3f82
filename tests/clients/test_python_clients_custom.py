"""A defined kind through the Python clients: each finds it by itself, writes, applies, lists, watches its objects."""

from __future__ import annotations

import time

import kr8s
import kubernetes
import kubernetes.dynamic
import lightkube
import pytest
from kr8s.objects import new_class
from lightkube import generic_resource
from lightkube.types import PatchType

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            },
        },
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
    },
}


@pytest.fixture
def kubeconfig(cluster):
    return str(cluster.home / "kubeconfig")


@pytest.fixture
def group(kubeconfig, namespace):
    """Of an established kind Gear, made by the official client."""
    group = f"{namespace}.example.com"
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}
    version["subresources"] = {"status": {}}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "gears", "kind": "Gear"},
        "versions": [version],
    }
    with kubernetes.config.new_client_from_config(kubeconfig) as client:
        extensions = kubernetes.client.ApiextensionsV1Api(client)
        extensions.create_custom_resource_definition({"metadata": {"name": f"gears.{group}"}, "spec": spec})
        watch = kubernetes.watch.Watch()
        for event in watch.stream(extensions.list_custom_resource_definition, timeout_seconds=90):
            conditions = event["object"].status.conditions or ()
            names = {one.type for one in conditions if one.status == "True"}
            if event["object"].metadata.name == f"gears.{group}" and "Established" in names:
                watch.stop()
        yield group
        extensions.delete_custom_resource_definition(f"gears.{group}")
        deadline = time.monotonic() + 60  # a group that is half gone would be an error to others who look around
        while f"gears.{group}" in [one.metadata.name for one in extensions.list_custom_resource_definition().items]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_kubernetes_without_a_class(kubeconfig, group, namespace):
    with kubernetes.config.new_client_from_config(kubeconfig) as client:
        gears = kubernetes.client.CustomObjectsApi(client)
        where = (group, "v1", namespace, "gears")
        body = {"apiVersion": f"{group}/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": {"size": 1}}
        gears.create_namespaced_custom_object(*where, body)
        gears.patch_namespaced_custom_object(*where, "a", {"spec": {"size": 2}})
        gears.patch_namespaced_custom_object_status(*where, "a", {"status": {"ready": True}})
        found = gears.list_namespaced_custom_object(*where)["items"]
        assert [(one["spec"], one["status"]) for one in found] == [({"size": 2}, {"ready": True})]
        with pytest.raises(kubernetes.client.ApiException) as refused:
            gears.patch_namespaced_custom_object(*where, "a", {"spec": {"size": "x"}})
        assert refused.value.status == 422
        assert gears.delete_namespaced_custom_object(*where, "a")["status"] == "Success"


def test_kubernetes_dynamic_client_finds_the_kind_and_applies(kubeconfig, group, namespace):
    with kubernetes.config.new_client_from_config(kubeconfig) as client:
        gears = kubernetes.dynamic.DynamicClient(client).resources.get(api_version=f"{group}/v1", kind="Gear")
        for manager, tags in (("one", ["a"]), ("two", ["b"])):
            body = {"apiVersion": f"{group}/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": {"tags": tags}}
            made = gears.server_side_apply(body, namespace=namespace, field_manager=manager)
        assert made.spec.tags == ["a", "b"]


@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
def test_kr8s_finds_it_by_kind(kubeconfig, group, namespace):
    api = kr8s.api(kubeconfig=kubeconfig, namespace=namespace)
    gear_class = new_class(kind="Gear", version=f"{group}/v1", namespaced=True)
    gear = gear_class({"metadata": {"name": "a", "namespace": namespace}, "spec": {"size": 1}}, api=api)
    gear.create()
    gear.patch({"spec": {"size": 3}})
    assert [one.spec.size for one in api.get(f"gears.{group}", namespace=namespace)] == [3]
    gear.delete()


def test_lightkube_patches_and_watches(kubeconfig, group, namespace):
    config = lightkube.KubeConfig.from_file(kubeconfig)
    light = lightkube.Client(config=config.get(), namespace=namespace, field_manager="test")
    gears = generic_resource.create_namespaced_resource(group, "v1", "Gear", "gears")
    light.create(gears(metadata={"name": "a"}, spec={"size": 1}))
    light.patch(gears, "a", {"spec": {"size": 2}}, patch_type=PatchType.MERGE)
    applied = light.apply(gears(metadata={"name": "a"}, spec={"tags": ["x"]}))
    assert applied.spec == {"size": 2, "tags": ["x"]}
    for event, found in light.watch(gears):
        assert (event, found.spec) == ("ADDED", {"size": 2, "tags": ["x"]})
        break
    light.delete(gears, "a")
