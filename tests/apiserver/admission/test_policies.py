"""ValidatingAdmissionPolicies and their bindings (A249)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import REGISTRATION, Bind, named

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def enforce(bind: Bind) -> Bind:
    """A policy with one validation, or whatever spec is given."""

    async def act(
        expression: str = "true", *, binding: dict[str, Any] | None = None, name: str = "p", **spec: Any
    ) -> None:
        validations = [{"expression": expression, "message": "no good"}]
        bound = {"validationActions": ["Deny"], **(binding or {})}
        await bind("validating", {"validations": validations, **spec}, bound, name=name)

    return act


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


DENIED = "ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: "


async def test_what_a_policy_denies_is_invalid(web: Any, enforce: Bind) -> None:
    await enforce("object.data.size == 'small'")
    assert (await web("POST", CONFIG_MAPS, config_map(size="small"))).code == 201
    answer = await web("POST", CONFIG_MAPS, config_map("b", size="large"))
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    assert answer["message"] == f'configmaps "b" is forbidden: {DENIED}no good'
    assert answer["details"] == {"name": "b", "kind": "configmaps", "causes": [{"message": f"{DENIED}no good"}]}
    changed = await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"size": "large"}}, headers=MERGE)
    assert changed.code == 422


async def test_a_policy_that_nobody_binds_has_no_effect(web: Any, enforce: Bind) -> None:
    await enforce("false")
    await web("DELETE", f"{REGISTRATION}/validatingadmissionpolicybindings/p-b")
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201


@pytest.mark.parametrize(
    ("reason", "code"),
    [("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413), ("Invalid", 422)],
)
async def test_a_validation_says_what_kind_of_refusal_it_is(web: Any, enforce: Bind, reason: str, code: int) -> None:
    await enforce(validations=[{"expression": "false", "reason": reason}])
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert (answer.code, answer["reason"]) == (code, reason)
    assert answer["message"].endswith(f"{DENIED}failed expression: false")


@pytest.mark.parametrize(
    ("message_expression", "said"),
    [
        ("'not ' + object.metadata.name + ' '", "not a"),
        ("object.none", "no good"),
        ("'two\\nlines'", "no good"),
        ("' '", "no good"),
        ("string(variables.count) + ' keys'", "2 keys"),
    ],
)
async def test_a_message_may_be_an_expression(web: Any, enforce: Bind, message_expression: str, said: str) -> None:
    validation = {"expression": "false", "message": "no good", "messageExpression": message_expression}
    await enforce(validations=[validation], variables=[{"name": "count", "expression": "object.data.size()"}])
    answer = await web("POST", CONFIG_MAPS, config_map(a="1", b="2"))
    assert answer["message"].endswith(f"{DENIED}{said}")


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("variables.size.orValue('small') == 'small'", 201),
        ("variables.again.hasValue()", 422),
        ("variables.size == optional.none() && variables.colour == optional.of('red')", 201),
        ("variables.colour.value() == 'red' && 'variables.colour' != variables.colour.value()", 201),
        ("variables.texts.?a.orValue('x') == 'x'", 201),
        ("variables.wrong.value() == 'x'", 422),
    ],
)
async def test_variables_may_be_optional_values(web: Any, enforce: Bind, expression: str, code: int) -> None:
    variables = [
        {"name": "size", "expression": "object.data.?size"},
        {"name": "again", "expression": "variables.size"},
        {"name": "colour", "expression": "object.data[?'colour']"},
        {"name": "texts", "expression": "{'variables.size': 'y'}"},
        {"name": "wrong", "expression": "object.none.?size"},
    ]
    await enforce(expression, variables=variables)
    answer = await web("POST", CONFIG_MAPS, config_map(colour="red"))
    assert answer.code == code, answer.body


async def test_what_comes_to_an_optional_value_fails(web: Any, enforce: Bind) -> None:
    await enforce("object.data.?size")
    answer = await web("POST", CONFIG_MAPS, config_map(a="1"))
    failure = "expression 'object.data.?size' resulted in error: an optional value is no result"
    assert (answer.code, answer["message"].partition("request: ")[2]) == (422, failure)


async def test_warnings_let_the_request_pass(web: Any, enforce: Bind) -> None:
    await enforce("false", binding={"validationActions": ["Warn", "Audit"]})
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert answer.code == 201
    text = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-b': no good"
    assert answer.headers["Warning"] == [f'299 - "{text}"']


@pytest.mark.parametrize(("policy", "code"), [("Fail", 422), ("Ignore", 201)])
async def test_what_cannot_be_evaluated_is_refused_where_the_policy_says_so(
    web: Any, enforce: Bind, policy: str, code: int
) -> None:
    await enforce("object.data.none == 'x'", failurePolicy=policy)
    answer = await web("POST", CONFIG_MAPS, config_map(a="1"))
    assert answer.code == code
    if code != 201:
        failure = "expression 'object.data.none == 'x'' resulted in error: no such key: none"
        assert answer["message"].endswith(f"{DENIED}{failure}")


async def test_variables_are_worked_out_when_they_are_used(web: Any, enforce: Bind) -> None:
    variables = [
        {"name": "first", "expression": "object.data.first"},
        {"name": "both", "expression": "variables.first + object.data.second"},
        {"name": "broken", "expression": "object.data.none"},
    ]
    await enforce("!has(object.data.first) || variables.both == 'ab'", variables=variables)
    assert (await web("POST", CONFIG_MAPS, config_map("m", other="x"))).code == 201
    assert (await web("POST", CONFIG_MAPS, config_map("n", first="a", second="b"))).code == 201
    assert (await web("POST", CONFIG_MAPS, config_map("o", first="a", second="c"))).code == 422
    answer = await web("POST", CONFIG_MAPS, config_map("o", first="a"))
    assert answer["message"].endswith(
        'resulted in error: composited variable "both" fails to evaluate: no such key: second'
    )


async def test_a_policy_sees_who_asks_and_for_what(web: Any, enforce: Bind) -> None:
    await enforce(
        "request.operation != 'DELETE' || (object == null && oldObject.metadata.name != 'precious')"
        " || request.userInfo.username == 'root'"
    )
    for name in ("precious", "cheap"):
        assert (await web("POST", CONFIG_MAPS, config_map(name))).code == 201
    assert (await web("DELETE", f"{CONFIG_MAPS}/precious")).code == 422
    assert (await web("DELETE", f"{CONFIG_MAPS}/cheap")).code == 200


async def test_a_policy_sees_the_namespace_and_may_ask_what_the_user_may(web: Any, enforce: Bind) -> None:
    await enforce(
        "namespaceObject.metadata.name == 'ns' && !has(namespaceObject.metadata.managedFields)"
        " && authorizer.group('apps').resource('deployments').namespace('ns').check('create').allowed()"
        " && !authorizer.serviceAccount('ns', 'default').group('').resource('pods').check('get').allowed()"
    )
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert answer.code == 201, answer.body


async def test_conditions_spare_requests(web: Any, enforce: Bind) -> None:
    conditions = [{"name": "others", "expression": "request.userInfo.username != 'admin'"}]
    await enforce("false", matchConditions=conditions)
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201


async def test_a_condition_that_fails_counts_as_a_denial(web: Any, enforce: Bind) -> None:
    await enforce("true", matchConditions=[{"name": "broken", "expression": "object.none"}])
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert answer["message"].endswith(f"{DENIED}expression 'object.none' resulted in error: no such key: none")


async def test_a_binding_narrows_down_what_the_policy_is_about(web: Any, enforce: Bind) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "other"}}
    await enforce("false", binding={"matchResources": {"namespaceSelector": selector}})
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201
    assert (await web("POST", CONFIG_MAPS.replace("/ns/", "/other/"), config_map())).code == 422


async def test_rules_may_leave_out_what_others_name(web: Any, enforce: Bind) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"]}
    constraints = {
        "resourceRules": [{**rule, "resources": ["*"]}],
        "excludeResourceRules": [{**rule, "resources": ["configmaps"], "resourceNames": ["spared"]}],
    }
    await enforce("false", matchConstraints=constraints)
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 422
    assert (await web("POST", CONFIG_MAPS, config_map("spared"))).code == 201
    assert (await web("DELETE", f"{REGISTRATION}/validatingadmissionpolicies/p")).code == 200
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201


# -- parameters

PARAMETERS = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
SECRETS = {
    "matchConstraints": {
        "resourceRules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["secrets"]}]
    }
}


def secret(name: str = "s", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "stringData": data}


async def post(web: Any, body: dict[str, Any]) -> Any:
    return await web("POST", "/api/v1/namespaces/ns/secrets", body)


@pytest.mark.parametrize("namespace", ["", "ns"])
async def test_parameters_are_an_object_s(web: Any, enforce: Bind, namespace: str) -> None:
    await web("POST", CONFIG_MAPS, config_map("limits", prefix="ok"))
    reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
    reference |= {"namespace": namespace} if namespace else {}
    expression = "object.metadata.name.startsWith(params.data.prefix) && params.kind == 'ConfigMap'"
    await enforce(expression, binding={"paramRef": reference}, **PARAMETERS, **SECRETS)
    assert (await post(web, secret("ok-s"))).code == 201
    assert (await post(web, secret("s"))).code == 422
    await web("PATCH", f"{CONFIG_MAPS}/limits", {"data": {"prefix": "s"}}, headers=MERGE)
    assert (await post(web, secret("s"))).code == 201


@pytest.mark.parametrize(("action", "code"), [("Deny", 422), ("Allow", 201)])
async def test_parameters_that_are_not_there(web: Any, enforce: Bind, action: str, code: int) -> None:
    reference = {"name": "limits", "parameterNotFoundAction": action}
    await enforce("false", binding={"paramRef": reference}, **PARAMETERS, **SECRETS)
    answer = await post(web, secret())
    assert answer.code == code
    if action == "Deny":
        why = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
        assert answer["message"] == f'secrets "s" is forbidden: {DENIED}{why}'


async def test_every_object_that_is_selected_has_its_say(web: Any, enforce: Bind) -> None:
    for name, minimum in (("one", "1"), ("two", "2")):
        body = config_map(name, minimum=minimum)
        await web("POST", CONFIG_MAPS, {**body, "metadata": {"name": name, "labels": {"limits": "yes"}}})
    await web("POST", CONFIG_MAPS, config_map("three", minimum="3"))
    reference = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
    expression = "object.metadata.name.size() >= int(params.data.minimum)"
    await enforce(expression, binding={"paramRef": reference}, **PARAMETERS, **SECRETS)
    assert [(await post(web, secret(name))).code for name in ("a", "aa")] == [422, 201]


async def test_a_binding_without_parameters_sees_none(web: Any, enforce: Bind) -> None:
    await enforce("params == null", **PARAMETERS, **SECRETS)
    assert (await post(web, secret())).code == 201


async def test_a_kind_of_parameters_that_nobody_serves(web: Any, enforce: Bind) -> None:
    kind = {"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"}}
    await enforce("true", binding={"paramRef": {"name": "x", "parameterNotFoundAction": "Allow"}}, **kind, **SECRETS)
    answer = await post(web, secret())
    assert answer.code == 422
    assert "failed to configure binding: paramKind kind `example.com/v1, Kind=Limit` not known" in answer["message"]


async def test_custom_objects_are_parameters_too(web: Any, enforce: Bind, gears: str) -> None:
    await web("POST", gears, {"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "g"}, "spec": {}})
    kind = {"paramKind": {"apiVersion": "example.com/v2", "kind": "Gear"}}
    reference = {"name": "g", "parameterNotFoundAction": "Deny"}
    expression = "params.apiVersion == 'example.com/v2' && object.metadata.name.size() == params.spec.size"
    await enforce(expression, binding={"paramRef": reference}, **kind, **SECRETS)
    assert [(await post(web, secret(name))).code for name in ("aa", "a")] == [422, 201]


# -- with others


async def test_policies_judge_before_webhooks_and_after_those_that_change(
    web: Any, enforce: Bind, cluster: Any, patch: Any
) -> None:
    change = patch({"op": "add", "path": "/data", "value": {"size": "large"}})
    await cluster.mutating(lambda request: change)
    await cluster.validating(lambda request: {"allowed": True})
    await enforce("object.data.size == 'small'")
    assert (await web("POST", CONFIG_MAPS, config_map(size="small"))).code == 422
    assert [path for path, _ in cluster.hooks.seen] == ["/mutate.example.com"]


async def test_an_annotation_for_the_log_that_fails_refuses(web: Any, enforce: Bind) -> None:
    await enforce(validations=[], auditAnnotations=[{"key": "size", "valueExpression": "object.data.size"}])
    assert (await web("POST", CONFIG_MAPS, config_map(size="1"))).code == 201
    answer = await web("POST", CONFIG_MAPS, config_map("b", other="1"))
    assert answer["message"].endswith(f"{DENIED}expression 'object.data.size' resulted in error: no such key: size")
    assert answer.code == 422


async def test_an_expression_that_nobody_could_read_is_refused_at_the_door(web: Any) -> None:
    rules = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "1 +"}]}
    answer = await web("POST", f"{REGISTRATION}/validatingadmissionpolicies", named("p", spec))
    assert answer.code == 422
    assert (
        'spec.validations[0].expression: Invalid value: "1 +": compilation failed: ERROR: <input>:1:4'
        in answer["message"]
    )


async def test_who_writes_what_cannot_be_evaluated_here_is_warned(web: Any) -> None:
    rules = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    validations = [{"expression": "object.metadata.name.madeUp()"}]
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": validations}
    answer = await web("POST", f"{REGISTRATION}/validatingadmissionpolicies", named("p", spec))
    assert answer.code == 201
    (warning,) = answer.headers["Warning"]
    assert "spec.validations[0].expression: holdfast cannot evaluate this" in warning
