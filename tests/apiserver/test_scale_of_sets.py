"""The scale subresource of a StatefulSet: what is read, who may write it how, and to whom replicas belong."""

from __future__ import annotations

from typing import Any

import pytest

SETS = "/apis/apps/v1/namespaces/ns/statefulsets"
SCALE = f"{SETS}/web/scale"
MERGE, STRATEGIC, JSON, APPLY = (
    {"content-type": f"application/{kind}"}
    for kind in ("merge-patch+json", "strategic-merge-patch+json", "json-patch+json", "apply-patch+yaml")
)
WHOLE = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {"replicas": 5}}


def a_set(**spec: Any) -> dict[str, Any]:
    labels = {"app": "web", "tier": "a"}
    containers = [{"name": "main", "image": "app:1"}]
    expressions = [{"key": "tier", "operator": "In", "values": ["b", "a"]}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchExpressions": expressions, "matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }


@pytest.fixture
async def made(web: Any) -> Any:
    return await web("POST", SETS, a_set())


async def test_s185_status_replicas_are_all_that_are_there_and_the_selector_is_canonical(web: Any, made: Any) -> None:
    counts = {"replicas": 4, "readyReplicas": 2, "availableReplicas": 1}
    await web("PATCH", f"{SETS}/web/status", {"status": counts}, headers=MERGE)
    scale = await web("GET", SCALE)
    assert scale["status"] == {"replicas": 4, "selector": "app=web,tier in (a,b)"}
    metadata = made["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "creationTimestamp")}
    assert {**scale["metadata"], "resourceVersion": ""} == {**kept, "resourceVersion": ""}


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        pytest.param("PUT", {**WHOLE, "metadata": {"name": "web", "namespace": "ns"}}, {}, id="put"),
        pytest.param("PATCH", [{"op": "replace", "path": "/spec/replicas", "value": 5}], JSON, id="json"),
        pytest.param("PATCH", {"spec": {"replicas": 5}}, MERGE, id="merge"),
        pytest.param("PATCH", WHOLE, MERGE, id="merge, a whole object"),
        pytest.param("PATCH", {"spec": {"replicas": 5}}, STRATEGIC, id="strategic"),
        pytest.param("PATCH", WHOLE, STRATEGIC, id="strategic, a whole object"),
        pytest.param("PATCH", WHOLE, APPLY, id="apply"),
    ],
)
async def test_s186_replicas_go_through_by_every_method(
    web: Any, made: Any, method: str, body: Any, headers: Any
) -> None:
    query = "?fieldManager=me&force=true" if headers is APPLY else ""
    answer = await web(method, SCALE + query, body, headers=headers)
    assert (answer.code, answer["kind"], answer["spec"]) == (200, "Scale", {"replicas": 5})
    parent = await web("GET", f"{SETS}/web")
    assert (parent["spec"]["replicas"], parent["metadata"]["generation"]) == (5, 2)


async def test_s186_nothing_else_goes_through(web: Any, made: Any) -> None:
    patch = {
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"replicas": 5},
        "status": {"replicas": 9},
    }
    await web("PATCH", SCALE, patch, headers=MERGE)
    parent = await web("GET", f"{SETS}/web")
    assert "labels" not in parent["metadata"]
    assert "annotations" not in parent["metadata"]
    assert parent["status"]["replicas"] == 0
    assert parent["spec"] == {**made["spec"], "replicas": 5}


def put(**metadata: Any) -> dict[str, Any]:
    return {**WHOLE, "metadata": {"name": "web", "namespace": "ns", **metadata}}


async def test_s187_what_the_scale_says_of_itself_has_to_be_right(web: Any, made: Any) -> None:
    stale = made["metadata"]["resourceVersion"]
    assert (await web("PUT", SCALE, put())).code == 200, "without a version it is unconditional"
    assert (await web("PUT", SCALE, put(resourceVersion=stale))).code == 409
    assert (await web("PUT", SCALE, put(uid="another"))).code == 409
    assert (await web("PUT", SCALE, put(uid=made["metadata"]["uid"]))).code == 200


async def test_s187_negative_replicas_are_refused_and_none_are_left_out(web: Any, made: Any) -> None:
    refused = await web("PUT", SCALE, {**put(), "spec": {"replicas": -1}})
    assert (refused.code, refused["details"]["kind"]) == (422, "Scale")
    none = await web("PUT", SCALE, {**put(), "spec": {}})
    assert (none.code, none["spec"]) == (200, {})
    assert (await web("GET", f"{SETS}/web"))["spec"]["replicas"] == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_s187_of_no_set_there_is_no_scale(web: Any, method: str) -> None:
    body = {"GET": None, "PUT": put(), "PATCH": {"spec": {"replicas": 1}}}[method]
    answer = await web(method, SCALE, body, headers=MERGE if method == "PATCH" else {})
    assert (answer.code, answer["message"]) == (404, 'statefulsets.apps "web" not found')


def owners_of_replicas(parent: Any) -> set[tuple[str, str]]:
    entries = parent["metadata"]["managedFields"]
    return {
        (entry["manager"], entry["operation"])
        for entry in entries
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


async def test_s188_ownership_of_replicas_passes_from_the_set_to_the_scale_and_back(web: Any) -> None:
    await web("PATCH", f"{SETS}/web?fieldManager=deployer", a_set(), headers=APPLY)
    assert owners_of_replicas(await web("GET", f"{SETS}/web")) == {("deployer", "Apply")}
    refused = await web("PATCH", f"{SCALE}?fieldManager=scaler", WHOLE, headers=APPLY)
    assert refused.code == 409
    assert 'conflict with "deployer"' in refused["message"]
    await web("PATCH", f"{SCALE}?fieldManager=scaler&force=true", WHOLE, headers=APPLY)
    assert owners_of_replicas(await web("GET", f"{SETS}/web")) == {("scaler", "Apply")}
    refused = await web("PATCH", f"{SETS}/web?fieldManager=deployer", a_set(), headers=APPLY)
    assert refused.code == 409
    assert 'conflict with "scaler"' in refused["message"]
    await web("PATCH", f"{SETS}/web?fieldManager=deployer&force=true", a_set(), headers=APPLY)
    assert owners_of_replicas(await web("GET", f"{SETS}/web")) == {("deployer", "Apply")}


async def test_s188_a_plain_write_of_the_scale_owns_replicas_too(web: Any) -> None:
    await web("PATCH", f"{SETS}/web?fieldManager=deployer", a_set(), headers=APPLY)
    await web("PATCH", f"{SCALE}?fieldManager=autoscaler", {"spec": {"replicas": 7}}, headers=MERGE)
    assert owners_of_replicas(await web("GET", f"{SETS}/web")) == {("autoscaler", "Update")}
