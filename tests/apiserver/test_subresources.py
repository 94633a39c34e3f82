"""Scale, binding, eviction, ephemeral containers (A151-A156)."""

from __future__ import annotations

from typing import Any

import pytest

SETS = "/apis/apps/v1/namespaces/ns/statefulsets"
PODS = "/api/v1/namespaces/ns/pods"
MERGE = {"content-type": "application/merge-patch+json"}
CONTAINERS = [{"name": "main", "image": "app:1"}]


@pytest.fixture
async def made(web: Any) -> Any:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": CONTAINERS}}
    spec = {"replicas": 3, "serviceName": "w", "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return await web("POST", SETS, {"metadata": {"name": "web"}, "spec": spec})


async def test_s185_a_scale_shows_replicas_and_selector(web: Any, made: Any) -> None:
    scale = await web("GET", f"{SETS}/web/scale")
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 0, "selector": "app=web"})
    assert set(scale["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{SETS}/none/scale", 'statefulsets.apps "none" not found'),
        ("/apis/apps/v1/namespaces/ns/deployments/none/scale", 'deployments/scale.apps "none" not found'),
        ("/apis/apps/v1/namespaces/ns/replicasets/none/scale", 'replicasets/scale.apps "none" not found'),
        (
            "/api/v1/namespaces/ns/replicationcontrollers/none/scale",
            'replicationcontrollers/scale.autoscaling "none" not found',
        ),
    ],
)
async def test_a_scale_of_nothing_is_named_as_upstream_names_it(web: Any, path: str, told: str) -> None:
    answer = await web("GET", path)
    assert (answer.code, answer["message"]) == (404, told)
    assert answer["details"]["kind"] == told.partition(".")[0]


async def test_s186_s187_a_scale_is_written_to_its_parent(web: Any, made: Any) -> None:
    patched = await web("PATCH", f"{SETS}/web/scale", {"spec": {"replicas": 0}}, headers=MERGE)
    assert patched["spec"] == {}
    parent = await web("GET", f"{SETS}/web")
    assert (parent["spec"]["replicas"], parent["metadata"]["generation"]) == (0, 2)


async def test_s187_a_stale_scale_conflicts_with_its_parent(web: Any, made: Any) -> None:
    scale = await web("GET", f"{SETS}/web/scale")
    await web("PATCH", f"{SETS}/web", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    answer = await web("PUT", f"{SETS}/web/scale", {**scale.body, "spec": {"replicas": 1}})
    assert (answer.code, answer["details"]["kind"]) == (409, "statefulsets")


async def test_s187_a_negative_scale_is_invalid(web: Any, made: Any) -> None:
    answer = await web("PATCH", f"{SETS}/web/scale", {"spec": {"replicas": -1}}, headers=MERGE)
    assert answer.code == 422
    assert answer["message"] == (
        'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )


async def bind(web: Any, node: str, **metadata: Any) -> Any:
    body = {"metadata": {"name": "a", **metadata}, "target": {"kind": "Node", "name": node}}
    return await web("POST", f"{PODS}/a/binding", body)


async def test_n7_binding_puts_a_pod_on_a_node_once(web: Any) -> None:
    await web("POST", PODS, {"metadata": {"name": "a"}, "spec": {"containers": CONTAINERS}})
    answer = await bind(web, "n1", annotations={"x": "y"})
    assert (answer.code, answer["status"], answer["code"]) == (201, "Success", 201)
    assert "details" not in answer.body
    pod = await web("GET", f"{PODS}/a")
    assert (pod["spec"]["nodeName"], pod["metadata"]["annotations"]) == ("n1", {"x": "y"})
    (condition,) = [one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    assert condition["status"] == "True"
    again = await bind(web, "n2")
    assert again.code == 409
    assert again["message"] == (
        'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n1"'
    )


async def test_n7_a_pod_is_told_the_zone_and_region_of_its_node(web: Any) -> None:
    """Where it has a label of that name, the node knows better; other labels of the node are its own."""
    place = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1"}
    await web("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": {**place, "disk": "fast"}}})
    labels = {"app": "a", "topology.kubernetes.io/zone": "z2"}
    await web("POST", PODS, {"metadata": {"name": "a", "labels": labels}, "spec": {"containers": CONTAINERS}})
    await bind(web, "n1", labels={"by": "scheduler"})
    assert (await web("GET", f"{PODS}/a"))["metadata"]["labels"] == {"app": "a", "by": "scheduler", **place}
    spec = {"containers": CONTAINERS, "nodeName": "n1"}
    placed = await web("POST", PODS, {"metadata": {"name": "b"}, "spec": spec})
    assert placed["metadata"]["labels"] == place


async def test_n7_n229_a_pod_that_leaves_is_not_bound(web: Any) -> None:
    body = {"metadata": {"name": "a", "finalizers": ["x.example/y"]}, "spec": {"containers": CONTAINERS}}
    await web("POST", PODS, body)
    await web("DELETE", f"{PODS}/a")
    answer = await bind(web, "n1")
    assert answer["message"].endswith("pod a is being deleted, cannot be assigned to a host")


async def test_an_eviction_is_a_deletion_with_a_reason(web: Any) -> None:
    await web("POST", PODS, {"metadata": {"name": "a"}, "spec": {"containers": CONTAINERS, "nodeName": "n1"}})
    answer = await web("POST", f"{PODS}/a/eviction", {"metadata": {"name": "a"}})
    assert (answer.code, answer["code"]) == (201, 201)
    pod = await web("GET", f"{PODS}/a")
    assert pod["metadata"]["deletionTimestamp"]
    assert pod["status"]["conditions"][-1]["reason"] == "EvictionByEvictionAPI"


async def test_n205_ephemeral_containers_are_added_through_their_own_door(web: Any) -> None:
    await web("POST", PODS, {"metadata": {"name": "a"}, "spec": {"containers": CONTAINERS}})
    headers = {"content-type": "application/strategic-merge-patch+json"}
    patch = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "b:1"}]}}
    refused = await web("PATCH", f"{PODS}/a", patch, headers=headers)
    assert refused.code == 422
    added = await web("PATCH", f"{PODS}/a/ephemeralcontainers", patch, headers=headers)
    assert added["metadata"]["generation"] == 2
    assert added["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "IfNotPresent"


async def test_the_older_way_to_bind_names_the_pod_in_the_body(web: Any) -> None:
    await web("POST", PODS, {"metadata": {"name": "a"}, "spec": {"containers": CONTAINERS}})
    body = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await web("POST", "/api/v1/namespaces/ns/bindings", body)).code == 201
    assert (await web("GET", f"{PODS}/a"))["spec"]["nodeName"] == "n1"
    assert (await web("GET", "/api/v1/namespaces/ns/bindings")).code == 405


async def test_a_status_leaves_the_generation_of_a_daemon_sets_template_alone(web: Any) -> None:
    daemon_sets = "/apis/apps/v1/namespaces/ns/daemonsets"
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": CONTAINERS}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    made = await web("POST", daemon_sets, {"metadata": {"name": "agent"}, "spec": spec})
    metadata = {**made["metadata"], "annotations": {"a": "b"}}
    status = {**made["status"], "observedGeneration": 1}
    written = await web("PUT", f"{daemon_sets}/agent/status", {**made.body, "metadata": metadata, "status": status})
    assert written["metadata"]["annotations"] == {"a": "b", "deprecated.daemonset.template.generation": "1"}
    assert written["status"]["observedGeneration"] == 1
    refused = await web(
        "PATCH",
        f"{daemon_sets}/agent",
        {"metadata": {"annotations": {"deprecated.daemonset.template.generation": "x"}}},
        headers=MERGE,
    )
    assert (refused.code, refused["reason"]) == (400, "BadRequest")
