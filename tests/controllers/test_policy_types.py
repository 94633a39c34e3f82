"""What the status of ValidatingAdmissionPolicies tells of their expressions (A249)."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from holdfast.api.admissionregistration import type_checking
from holdfast.api.kinds import Kinds
from holdfast.controllers.actions import Patch
from holdfast.controllers.policytypes.plan import Observed, plan

POLICIES = "validatingadmissionpolicies"


def rule(*resources: str, groups: tuple[str, ...] = ("apps",), versions: tuple[str, ...] = ("v1",)) -> dict[str, Any]:
    return {"apiGroups": list(groups), "apiVersions": list(versions), "resources": list(resources or ("statefulsets",))}


def policy(
    *expressions: str, rules: Any = None, status: Any = None, generation: int = 1, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "uid": "u", "generation": generation},
        "spec": {
            "matchConstraints": {"resourceRules": rules or [rule()]},
            "validations": [{"expression": one} for one in expressions],
            **spec,
        },
        "status": status or {},
    }


def warnings(given: dict[str, Any], *definitions: dict[str, Any]) -> list[tuple[str, str]]:
    (action,) = plan(Observed(given, definitions)).actions
    assert isinstance(action, Patch)
    assert (action.resource.plural, action.subresource) == (POLICIES, "status")
    found = action.patch["status"]["typeChecking"]["expressionWarnings"] or ()
    return [(one["fieldRef"], one["warning"]) for one in found]


def gears(**properties: Any) -> dict[str, Any]:
    """An established definition."""
    names = {"plural": "gears", "kind": "Gear"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    conditions = [{"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "True"}]
    return {
        "metadata": {"name": "gears.example.com", "uid": "g"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
        "status": {"acceptedNames": names, "conditions": conditions},
    }


def test_a_misspelt_field_is_told_for_each_kind() -> None:
    given = policy("object.replicas > 1", rules=[rule("replicasets", "deployments")])
    said = "ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n"
    text = f"apps/v1, Kind=Deployment: {said}\napps/v1, Kind=ReplicaSet: {said}"
    assert warnings(given) == [("spec.validations[0].expression", text)]


def test_what_is_right_is_looked_at_once() -> None:
    (action,) = plan(Observed(policy("object.spec.replicas <= 5"), ())).actions
    assert isinstance(action, Patch)
    assert action.patch == {
        "metadata": {"uid": "u"},
        "status": {"observedGeneration": 1, "typeChecking": {"expressionWarnings": None}},
    }
    assert not plan(Observed(policy("object.none", status={"observedGeneration": 1}), ())).actions
    assert plan(Observed(policy("object.none", status={"observedGeneration": 1}, generation=2), ())).actions


def test_messages_are_looked_at_as_well() -> None:
    validations = [
        {"expression": "true"},
        {"expression": "object.oh", "messageExpression": "'no ' + object.metadata.nme"},
    ]
    fields = [field for field, _ in warnings(policy(validations=validations))]
    assert fields == ["spec.validations[1].expression", "spec.validations[1].messageExpression"]


@pytest.mark.parametrize(
    "expression",
    [
        "object.metadata.labels['a'] == 'b' && object.metadata.?annotations['a'].orValue('') == ''",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('a/') && has(c.resources.limits))",
        "object.spec.template.spec.containers.all(c, quantity(c.resources.limits['cpu']).isLessThan(quantity('2')))",
        "object.spec.template.spec.containers.exists(c, c.ports.exists(p, p.containerPort == 80))",
        "object.spec.template.spec.?securityContext.?runAsNonRoot.orValue(false)",
        "timestamp(object.metadata.creationTimestamp) < timestamp('2030-01-01T00:00:00Z')",
        "oldObject == null || object.spec.serviceName == oldObject.spec.serviceName",
        "object.spec.updateStrategy.rollingUpdate.maxUnavailable == 1 || request.operation in ['CREATE', 'UPDATE']",
        "request.userInfo.groups.exists(g, g == 'a') && request.userInfo.extra['a'][0] == 'b' && !request.dryRun",
        "namespaceObject.metadata.labels['a'] == 'b' && namespaceObject.metadata.name.size() > 1",
        "authorizer.requestResource.check('delete').allowed()",
        "object.metadata.labels.all(k, v, format.labelValue().validate(v) == optional.none())",
        "request.options.anything == 1",
    ],
)
def test_what_may_be_right_is_not_told_of(expression: str) -> None:
    assert warnings(policy(expression)) == []


def test_variables_have_the_types_of_their_expressions() -> None:
    variables = [
        {"name": "names", "expression": "object.spec.template.spec.containers.map(c, c.name)"},
        {"name": "first", "expression": "variables.names[0]"},
        {"name": "wrong", "expression": "object.oh"},
        {"name": "spec", "expression": "object.spec"},
    ]
    right = "variables.first.startsWith('a') && variables.wrong.any && variables.spec.any == 1"
    wrong = ("variables.first > 1", "variables.none", "variables.names.x")
    found = warnings(policy(right, *wrong, variables=variables))
    assert [(field, text.partition(": ERROR: <input>:")[2].split("\n")[0]) for field, text in found] == [
        ("spec.validations[1].expression", "1:17: found no matching overload for '_>_' applied to '(string, int)'"),
        ("spec.validations[2].expression", "1:10: undefined field 'none'"),
        ("spec.validations[3].expression", "1:16: type 'list(string)' does not support field selection"),
    ]


def test_custom_kinds_and_parameters_are_known_by_their_definitions() -> None:
    rules = [rule("gears", groups=("example.com",))]
    parameters = {"apiVersion": "example.com/v1", "kind": "Gear"}
    definition = gears(size={"type": "integer"})
    given = policy("object.spec.size == params.spec.sise", rules=rules, paramKind=parameters)
    ((_, text),) = warnings(given, definition)
    assert text.startswith("example.com/v1, Kind=Gear: ERROR: <input>:1:32: undefined field 'sise'\n")
    assert warnings(given) == []  # nothing is known of the kind
    foreign = {"apiVersion": "example.com/v1", "kind": "None"}
    assert warnings(policy("object.spec.size == params.any", rules=rules, paramKind=foreign), definition) == []
    config = policy("params.data.most == 1", rules=rules, paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert "'(string, int)'" in warnings(config, definition)[0][1]
    ((_, text),) = warnings(policy("params.x", rules=rules), definition)
    assert "1:1: undeclared reference to 'params' (in container '')" in text


@pytest.mark.parametrize(
    ("rules", "kinds"),
    [
        ([rule("*")], []),
        ([rule("statefulsets", groups=("*",))], []),
        ([rule("statefulsets", versions=("*",))], []),
        ([rule("statefulsets", groups=("apps", "*"))], []),
        ([rule("statefulsets/scale", "pods/*")], []),
        ([rule("nothings")], []),
        ([rule("statefulsets"), rule("pods", groups=("",))], ["Pod", "StatefulSet"]),
        ([rule("*", "deployments"), rule("deployments")], ["Deployment"]),
        ([rule("horizontalpodautoscalers", groups=("autoscaling",), versions=("v2", "v1"))],
         ["HorizontalPodAutoscaler", "HorizontalPodAutoscaler"]),
    ],
)  # fmt: skip
def test_which_kinds_are_looked_at(rules: Any, kinds: list[str]) -> None:
    found = warnings(policy("object.oh", rules=rules))
    texts = found[0][1].split("\n\n") if found else []
    assert [text.partition("Kind=")[2].partition(":")[0] for text in texts] == kinds


def test_no_more_than_ten_kinds_are_looked_at() -> None:
    core = ("configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims",
            "persistentvolumes", "pods", "podtemplates", "secrets", "services")  # fmt: skip
    ((_, text),) = warnings(policy("object.oh", rules=[rule(*core, groups=("",)), rule("deployments")]))
    assert text.count("Kind=") == 10
    assert "Kind=Deployment" not in text


@pytest.mark.parametrize("missing", ["cel_expr_python.cel", "google.protobuf.message_factory"])
def test_without_the_libraries_nothing_is_told(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    assert type_checking.warnings(policy("object.oh"), Kinds()) != []
    monkeypatch.setitem(sys.modules, missing, None)
    assert type_checking.warnings(policy("object.oh"), Kinds()) == []


def test_a_library_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("google.protobuf.message_factory.GetMessageClass")
    assert type_checking.warnings(policy("object.oh"), Kinds()) == []
