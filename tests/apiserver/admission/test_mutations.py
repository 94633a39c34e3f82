"""MutatingAdmissionPolicies and their bindings (A249)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import REGISTRATION, Bind, named

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"


def applied(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patched(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


@pytest.fixture
def mutate(bind: Bind) -> Bind:
    """A policy with these mutations."""

    async def act(
        *mutations: dict[str, Any],
        resource: str = "configmaps",
        binding: dict[str, Any] | None = None,
        name: str = "p",
        **spec: Any,
    ) -> None:
        whole = {"mutations": list(mutations), "reinvocationPolicy": "Never", **spec}
        operations = ("CREATE", "UPDATE")
        await bind("mutating", whole, binding or {}, name=name, resource=resource, operations=operations)

    return act


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"old": "1"}}, "data": data}


async def test_a_configuration_is_laid_over_the_object(web: Any, mutate: Bind) -> None:
    await mutate(applied("Object{metadata: Object.metadata{labels: {'new': object.metadata.name}}}"))
    made = await web("POST", CONFIG_MAPS, config_map(k="v"))
    assert (made["metadata"]["labels"], made["data"]) == ({"old": "1", "new": "a"}, {"k": "v"})


async def test_items_are_found_by_their_keys_and_added(web: Any, mutate: Bind) -> None:
    """The case of the documentation: a sidecar, for which the server then does what it does for all containers."""
    expression = """
        Object{
          spec: Object.spec{
            containers: [
              Object.spec.containers{name: "c", imagePullPolicy: "Never"},
              Object.spec.containers{name: "mesh-proxy", image: "mesh/proxy:v1.0.0"}
            ]
          }
        }"""
    await mutate(applied(expression), resource="pods")
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await web("POST", PODS, body)
    assert made.code == 201, made.body
    first, second = made["spec"]["containers"]
    assert (first["image"], first["imagePullPolicy"]) == ("i", "Never")
    assert (second["name"], second["imagePullPolicy"]) == ("mesh-proxy", "IfNotPresent")
    assert second["volumeMounts"] == first["volumeMounts"]


async def test_a_patch_is_a_list_of_operations(web: Any, mutate: Bind) -> None:
    await mutate(
        patched(
            '[JSONPatch{op: "test", path: "/data/k", value: "v"},'
            ' JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a.b/c"), value: "d"},'
            ' JSONPatch{op: "copy", from: "/data/k", path: "/data/copy"}]'
        ),
        patched('has(object.data.copy) ? [JSONPatch{op: "remove", path: "/data/k"}] : []'),
    )
    made = await web("POST", CONFIG_MAPS, config_map(k="v"))
    assert (made["metadata"]["labels"], made["data"]) == ({"old": "1", "a.b/c": "d"}, {"copy": "v"})
    assert (await web("POST", CONFIG_MAPS, config_map("b", k="w")))["data"] == {"k": "w"}  # the test calls it off


async def test_variables_parameters_and_conditions_are_there_as_well(web: Any, mutate: Bind) -> None:
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "params"}, "data": {"team": "blue"}})
    await mutate(
        applied("Object{metadata: Object.metadata{labels: {'team': variables.team}}}"),
        resource="secrets",
        binding={"paramRef": {"name": "params", "parameterNotFoundAction": "Deny"}},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        variables=[{"name": "team", "expression": "params.data.team"}],
        matchConditions=[{"name": "named", "expression": "object.metadata.name != 'spared'"}],
    )
    path = "/api/v1/namespaces/ns/secrets"
    assert (await web("POST", path, {"metadata": {"name": "s"}}))["metadata"]["labels"] == {"team": "blue"}
    assert "labels" not in (await web("POST", path, {"metadata": {"name": "spared"}}))["metadata"]


DENIED = "policy 'p' with binding 'p-b' denied request: "


@pytest.mark.parametrize(
    ("mutation", "said"),
    [
        (
            applied("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}"),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
            ".spec.selector",
        ),
        (applied("Object{spec: Object.spec{replicasx: 1}}"), "error applying patch: failed to convert patch object"),
        (applied("'text'"), "unsupported return type from ApplyConfiguration expression: str"),
        (
            applied("Object{spec: object.none}"),
            "expression '{'spec': object.none}' resulted in error: no such key: none",
        ),
        (patched("[JSONPatch{op: 'remove', path: '/none'}]"), "JSONPath: "),
        (patched("'text'"), "type mismatch: JSONPatchType.expression should evaluate to array"),
    ],
)
async def test_what_comes_to_nothing_refuses_or_is_passed_over(
    web: Any, mutate: Bind, mutation: dict[str, Any], said: str
) -> None:
    await mutate(mutation, resource="deployments")
    path = "/apis/apps/v1/namespaces/ns/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = named("d", {"selector": {"matchLabels": {"a": "b"}}, "template": template})
    answer = await web("POST", path, body)
    assert (answer.code, answer["reason"]) == (403, "Invalid")
    assert answer["message"].startswith(DENIED + said), answer["message"]
    assert (answer["details"]["name"], answer["details"]["kind"]) == ("d", "deployments")
    merge = {"content-type": "application/merge-patch+json"}
    policy = f"{REGISTRATION}/mutatingadmissionpolicies/p"
    assert (await web("PATCH", policy, {"spec": {"failurePolicy": "Ignore"}}, headers=merge)).code == 200
    assert (await web("POST", path, body)).code == 201


async def test_policies_come_before_webhooks_and_again_after_them(
    web: Any, mutate: Bind, cluster: Any, patch: Any
) -> None:
    count = "[JSONPatch{op: 'add', path: '/data/count', value: string(object.data.size())}]"
    await mutate(patched(count), reinvocationPolicy="IfNeeded")
    await cluster.mutating(lambda request: patch({"op": "add", "path": "/data/hooked", "value": "1"}))
    made = await web("POST", CONFIG_MAPS, config_map(k="v"))
    assert cluster.hooks.requests()[0]["object"]["data"] == {"k": "v", "count": "1"}
    assert made["data"] == {"k": "v", "hooked": "1", "count": "3"}


async def test_custom_objects_are_changed_too(web: Any, mutate: Bind, gears: str) -> None:
    await mutate(applied("Object{spec: Object.spec{note: 'size ' + string(object.spec.size)}}"), resource="gears")
    body = {"apiVersion": "example.com/v2", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 3}}
    made = await web("POST", gears.replace("v1", "v2"), body)
    assert (made["apiVersion"], made["spec"]) == ("example.com/v2", {"size": 3, "note": "size 3"})


async def test_an_expression_that_nobody_could_read_is_shown_as_it_was_written(web: Any) -> None:
    rules = [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    mutations = [applied("Object{spec: }")]
    spec = {"matchConstraints": {"resourceRules": rules}, "mutations": mutations, "reinvocationPolicy": "Never"}
    answer = await web("POST", f"{REGISTRATION}/mutatingadmissionpolicies", named("p", spec))
    field = "spec.mutations[0].applyConfiguration.expression"
    assert answer.code == 422
    assert f'{field}: Invalid value: "Object{{spec: }}": compilation failed: ERROR' in answer["message"]
