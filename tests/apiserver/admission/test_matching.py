"""Which requests a webhook is asked about (A247)."""

from __future__ import annotations

from typing import Any

import pytest

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
NAMESPACES = "/api/v1/namespaces"


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


def config_map(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", **metadata}}


@pytest.mark.parametrize(
    ("rule", "is_asked"),
    [
        pytest.param({"resources": ["configmaps"]}, True, id="the resource"),
        pytest.param({"resources": ["*"]}, True, id="any resource"),
        pytest.param({"resources": ["*/*"]}, True, id="any resource and what is below"),
        pytest.param({"resources": ["configmaps/*"]}, True, id="the resource and what is below it"),
        pytest.param({"resources": ["configmaps/status"]}, False, id="only what is below"),
        pytest.param({"resources": ["secrets"]}, False, id="another resource"),
        pytest.param({"apiGroups": [""]}, True, id="the group"),
        pytest.param({"apiGroups": ["apps"]}, False, id="another group"),
        pytest.param({"apiVersions": ["v1"]}, True, id="the version"),
        pytest.param({"apiVersions": ["v2"]}, False, id="another version"),
        pytest.param({"operations": ["CREATE", "DELETE"]}, True, id="the operation"),
        pytest.param({"operations": ["UPDATE"]}, False, id="another operation"),
        pytest.param({"scope": "Namespaced"}, True, id="namespaced"),
        pytest.param({"scope": "Cluster"}, False, id="not namespaced"),
    ],
)
async def test_a_rule_says_what_is_asked_about(
    web: Any, cluster: Any, on: Any, rule: dict[str, Any], is_asked: bool
) -> None:
    await cluster.validating(allow, rules=[{**on("configmaps"), **rule}])
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    assert bool(cluster.hooks.seen) == is_asked


async def test_a_namespace_is_of_the_cluster_and_in_itself(web: Any, cluster: Any, on: Any) -> None:
    await cluster.validating(allow, rules=[on("namespaces", scope="Cluster")])
    await cluster.validating(allow, name="b.example.com", rules=[on("namespaces", scope="Namespaced")])
    await web("POST", NAMESPACES, {"metadata": {"name": "new"}})
    (request,) = cluster.hooks.requests()
    assert (request["name"], request["namespace"]) == ("new", "new")


async def test_namespaces_are_chosen_by_their_labels(web: Any, cluster: Any) -> None:
    selector = {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}
    await cluster.validating(allow, namespaceSelector=selector)
    await web("POST", NAMESPACES, {"metadata": {"name": "chosen", "labels": {"team": "a"}}})
    for namespace in ("ns", "chosen"):
        await web("POST", f"{NAMESPACES}/{namespace}/configmaps", config_map())
    assert [request["namespace"] for request in cluster.hooks.requests()] == ["chosen"]


async def test_a_namespace_is_chosen_by_the_labels_that_it_is_to_have(web: Any, cluster: Any, on: Any) -> None:
    selector = {"matchLabels": {"team": "a"}}
    await cluster.validating(allow, rules=[on("namespaces", "nodes")], namespaceSelector=selector)
    await web("POST", NAMESPACES, {"metadata": {"name": "n"}})
    merge = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{NAMESPACES}/n", {"metadata": {"labels": {"team": "a"}}}, headers=merge)
    await web("DELETE", f"{NAMESPACES}/n")
    await web("POST", "/api/v1/nodes", {"metadata": {"name": "of-no-namespace"}})
    told = [(request["operation"], request["name"]) for request in cluster.hooks.requests()]
    assert told == [("UPDATE", "n"), ("DELETE", "n"), ("CREATE", "of-no-namespace")]


async def test_objects_are_chosen_by_the_labels_they_have_or_had(web: Any, cluster: Any) -> None:
    await cluster.validating(allow, objectSelector={"matchLabels": {"a": "b"}})
    merge = {"content-type": "application/merge-patch+json"}
    await web("POST", CONFIG_MAPS, config_map())
    for labels in ({"a": "b"}, {"a": None}, {"c": "d"}):
        await web("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"labels": labels}}, headers=merge)
    assert len(cluster.hooks.seen) == 2


@pytest.mark.parametrize(
    ("expression", "is_asked"),
    [
        ("object.metadata.name == 'a'", True),
        ("object.metadata.name == 'b'", False),
        ("request.userInfo.username == 'admin' && request.operation == 'CREATE'", True),
        ("oldObject == null && request.namespace == 'ns'", True),
        ("request.resource.resource == 'configmaps' && !has(request.subResource)", True),
        ("authorizer.group('').resource('pods').namespace('ns').check('delete').allowed()", True),
        ("authorizer.serviceAccount('ns', 'default').group('').resource('pods').check('get').allowed()", False),
        ("authorizer.requestResource.check('create').allowed()", True),
        ("!has(object.metadata.labels) || object.metadata.labels['x'] != 'y'", True),
    ],
)
async def test_conditions_narrow_it_down(web: Any, cluster: Any, expression: str, is_asked: bool) -> None:
    await cluster.validating(allow, matchConditions=[{"name": "one", "expression": expression}])
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    assert bool(cluster.hooks.seen) == is_asked


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_one_condition_that_does_not_hold_settles_it(web: Any, cluster: Any, policy: str) -> None:
    conditions = [{"name": "broken", "expression": "object.none == 1"}, {"name": "no", "expression": "false"}]
    await cluster.validating(allow, matchConditions=conditions, failurePolicy=policy)
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    assert cluster.hooks.seen == []


async def test_a_condition_that_fails_is_a_failure_of_the_webhook(web: Any, cluster: Any) -> None:
    conditions = [{"name": "broken", "expression": "object.none == 1"}]
    await cluster.validating(allow, matchConditions=conditions, failurePolicy="Ignore")
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    await cluster.validating(allow, name="b.example.com", matchConditions=conditions)
    answer = await web("POST", CONFIG_MAPS, {"metadata": {"name": "b"}})
    assert (answer.code, answer["reason"]) == (403, "Forbidden")
    refusal = "expression 'object.none == 1' resulted in error: no such key: none"
    assert answer["message"] == f'configmaps "b" is forbidden: {refusal}'
    assert cluster.hooks.seen == []


async def test_a_configuration_holds_from_the_moment_it_is_there_until_it_is_gone(web: Any, cluster: Any) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/check.example.com"
    await cluster.validating(lambda request: {"allowed": False})
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 400
    merge = {"content-type": "application/merge-patch+json"}
    selector = [{**cluster.webhook("check.example.com"), "objectSelector": {"matchLabels": {"a": "b"}}}]
    await web("PATCH", path, {"webhooks": selector}, headers=merge)
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    assert (await web("POST", CONFIG_MAPS, {"metadata": {"name": "b", "labels": {"a": "b"}}})).code == 400
    await web("DELETE", path)
    assert (await web("POST", CONFIG_MAPS, {"metadata": {"name": "b", "labels": {"a": "b"}}})).code == 201
