"""Webhook configurations and admission policies, which nothing calls yet but which are checked all the same (A246)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.admissionregistration.mutating_admission_policy import MUTATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.mutating_webhook_configuration import MUTATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from holdfast.api.admissionregistration.validating_webhook_configuration import VALIDATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.resource import Manifest, Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}


def texts(errors: Any) -> list[str]:
    return [str(error) for error in errors]


def webhooks(resource: Resource = VALIDATING_WEBHOOK_CONFIGURATIONS, **changed: Any) -> Manifest:
    webhook = {
        "name": "a.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": "https://a.example/x"},
        "rules": [{**RULE}],
        **changed,
    }
    configuration: Manifest = {"metadata": {"name": "a"}, "webhooks": [webhook]}
    resource.default(configuration)
    return configuration


def test_webhooks_are_filled_in() -> None:
    (webhook,) = webhooks(clientConfig={"service": {"name": "y", "namespace": "x"}})["webhooks"]
    assert webhook["clientConfig"]["service"]["port"] == 443
    assert webhook["rules"][0]["scope"] == "*"
    assert [webhook[field] for field in ("failurePolicy", "matchPolicy", "timeoutSeconds")] == [
        "Fail",
        "Equivalent",
        10,
    ]
    assert "reinvocationPolicy" not in webhook
    assert webhooks(MUTATING_WEBHOOK_CONFIGURATIONS)["webhooks"][0]["reinvocationPolicy"] == "Never"


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"name": "a"}, 'name: Invalid value: "a": should be a domain with at least three segments separated by dots'),
        ({"sideEffects": None}, "sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        ({"sideEffects": "Some"}, 'sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        (
            {"timeoutSeconds": 31},
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        ({"failurePolicy": "Try"}, 'failurePolicy: Unsupported value: "Try": supported values: "Fail", "Ignore"'),
        ({"admissionReviewVersions": []}, "admissionReviewVersions: Required value: must specify one of v1, v1beta1"),
        (
            {"admissionReviewVersions": ["v2"]},
            'admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1',
        ),
        ({"clientConfig": {}}, "clientConfig: Required value: exactly one of url or service is required"),
        (
            {"clientConfig": {"url": "http://a/x"}},
            "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
            "desired format: https://host[/path]",
        ),
        (
            {"clientConfig": {"url": "https://me@a/x"}},
            'clientConfig.url: Invalid value: "me": user information is not permitted in the URL',
        ),
        (
            {"clientConfig": {"service": {"namespace": "x"}}},
            "clientConfig.service.name: Required value: service name is required",
        ),
        (
            {"clientConfig": {"service": {"namespace": "x", "name": "y", "path": "/a//b"}}},
            'clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty',
        ),
        ({"rules": [{**RULE, "operations": []}]}, "rules[0].operations: Required value"),
        (
            {"rules": [{**RULE, "operations": ["PATCH"]}]},
            'rules[0].operations[0]: Unsupported value: "PATCH": '
            'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
        ),
        (
            {"rules": [{**RULE, "apiGroups": ["*", "apps"]}]},
            'rules[0].apiGroups: Invalid value: ["*","apps"]: if \'*\' is present, must not specify other API groups',
        ),
        (
            {"rules": [{**RULE, "resources": ["*", "pods"]}]},
            'rules[0].resources: Invalid value: ["*","pods"]: '
            "if '*' is present, must not specify other resources without subresources",
        ),
        (
            {"rules": [{**RULE, "resources": ["pods/*", "pods/log"]}]},
            "rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
        ),
        ({"matchConditions": [{"name": "a", "expression": " "}]}, "matchConditions[0].expression: Required value"),
    ],
)
def test_a_webhook_is_refused_in_upstreams_words(changed: Manifest, refusal: str) -> None:
    changed = {key: value for key, value in changed.items() if value is not None}
    configuration = webhooks(**changed)
    if refusal.startswith("sideEffects: Required"):
        del configuration["webhooks"][0]["sideEffects"]
    assert texts(VALIDATING_WEBHOOK_CONFIGURATIONS.validate(configuration)) == [f"webhooks[0].{refusal}"]


def test_a_webhooks_name_is_there_once() -> None:
    configuration = webhooks()
    configuration["webhooks"] *= 2
    errors = VALIDATING_WEBHOOK_CONFIGURATIONS.validate(configuration)
    assert texts(errors) == ['webhooks[1].name: Duplicate value: "a.example.com"']


def test_a_webhook_is_called_again_if_needed_or_never() -> None:
    configuration = webhooks(MUTATING_WEBHOOK_CONFIGURATIONS, reinvocationPolicy="Often")
    assert texts(MUTATING_WEBHOOK_CONFIGURATIONS.validate(configuration)) == [
        'webhooks[0].reinvocationPolicy: Unsupported value: "Often": supported values: "IfNeeded", "Never"'
    ]


def policy(resource: Resource = VALIDATING_ADMISSION_POLICIES, **changed: Any) -> Manifest:
    decides: Manifest = {"validations": [{"expression": "object.spec.replicas <= 5"}]}
    if resource is MUTATING_ADMISSION_POLICIES:
        decides = {
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
            "reinvocationPolicy": "Never",
        }
    spec = {"matchConstraints": {"resourceRules": [{**RULE}]}, **decides, **changed}
    made: Manifest = {"metadata": {"name": "a"}, "spec": spec}
    resource.default(made)
    return made


@pytest.mark.parametrize(
    ("changed", "refusals"),
    [
        ({}, []),
        (
            {"validations": []},
            [
                f"spec.{field}: Required value: validations or auditAnnotations must be specified"
                for field in ("validations", "auditAnnotations")
            ],
        ),
        (
            {"matchConstraints": {"resourceRules": []}},
            ["spec.matchConstraints.resourceRules: Required value"],
        ),
        (
            {"validations": [{"expression": ""}]},
            ["spec.validations[0].expression: Required value: expression is not specified"],
        ),
        (
            {"validations": [{"expression": "true", "message": "a\nb"}]},
            ['spec.validations[0].message: Invalid value: "a\\nb": message must not contain line breaks'],
        ),
        (
            {"validations": [{"expression": "true", "reason": "Mood"}]},
            [
                'spec.validations[0].reason: Unsupported value: "Mood": supported values: "Forbidden", "Invalid", '
                '"RequestEntityTooLarge", "Unauthorized"'
            ],
        ),
        (
            {"variables": [{"name": "a-b", "expression": "1"}]},
            ['spec.variables[0].name: Invalid value: "a-b": name is not a valid CEL identifier'],
        ),
        (
            {"paramKind": {"apiVersion": "v1", "kind": "Bad_Kind"}},
            [
                'spec.paramKind.kind: Invalid value: "Bad_Kind": may have mixed case, but should otherwise match: '
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
                "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            ],
        ),
    ],
)
def test_a_validating_policy_is_checked(changed: Manifest, refusals: list[str]) -> None:
    assert texts(VALIDATING_ADMISSION_POLICIES.validate(policy(**changed))) == refusals


@pytest.mark.parametrize(
    ("changed", "refusals"),
    [
        ({}, []),
        ({"mutations": []}, ["spec.mutations: Required value: mutations must contain at least one item"]),
        ({"reinvocationPolicy": ""}, ["spec.reinvocationPolicy: Required value"]),
        (
            {"mutations": [{"patchType": "Other"}]},
            [
                'spec.mutations[0].patchType: Unsupported value: "Other": '
                'supported values: "ApplyConfiguration", "JSONPatch"'
            ],
        ),
        (
            {"matchConstraints": {"resourceRules": [{**RULE, "operations": ["DELETE"]}]}},
            [
                'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "DELETE": '
                'supported values: "*", "CONNECT", "CREATE", "UPDATE"'
            ],
        ),
    ],
)
def test_a_mutating_policy_is_checked(changed: Manifest, refusals: list[str]) -> None:
    made = policy(MUTATING_ADMISSION_POLICIES, **changed)
    assert texts(MUTATING_ADMISSION_POLICIES.validate(made)) == refusals


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        ({"policyName": "a", "validationActions": ["Deny"]}, []),
        ({"validationActions": ["Deny"]}, ["spec.policyName: Required value"]),
        ({"policyName": "a"}, ["spec.validationActions: Required value: at least one validation action is required"]),
        (
            {"policyName": "a", "validationActions": ["Deny", "Warn"]},
            [
                'spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both "Deny" and "Warn" '
                "(repeating the same validation failure information in the API response and headers serves no purpose)"
            ],
        ),
        (
            {"policyName": "a", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Deny"}},
            ["spec.paramRef: Required value: one of name or selector must be specified"],
        ),
        (
            {"policyName": "a", "validationActions": ["Deny"], "paramRef": {"name": "x"}},
            ["spec.paramRef.parameterNotFoundAction: Required value"],
        ),
    ],
)
def test_a_binding_is_checked(spec: Manifest, refusals: list[str]) -> None:
    binding: Manifest = {"metadata": {"name": "a"}, "spec": {**spec}}
    VALIDATING_ADMISSION_POLICY_BINDINGS.default(binding)
    assert texts(VALIDATING_ADMISSION_POLICY_BINDINGS.validate(binding)) == refusals


def test_policies_and_bindings_are_printed() -> None:
    assert VALIDATING_ADMISSION_POLICIES.cells(policy(), NOW)[:3] == ["a", 1, "<unset>"]
    shown = VALIDATING_ADMISSION_POLICIES.cells(policy(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}), NOW)
    assert shown[2] == "v1/ConfigMap"
    for reference, cell in (
        (None, "<unset>"),
        ({"name": "x"}, "x"),
        ({"name": "x", "namespace": "n"}, "n/x"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "a=b"),
    ):
        binding: Manifest = {"metadata": {"name": "a"}, "spec": {"policyName": "p"}}
        if reference is not None:
            binding["spec"]["paramRef"] = reference
        assert VALIDATING_ADMISSION_POLICY_BINDINGS.cells(binding, NOW)[1:3] == ["p", cell]
